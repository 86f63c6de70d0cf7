"""Options that several commands read."""

import errno
import json
import re
from pathlib import Path
from typing import Any

from protocol.errors import ResourceError, UserError

_BARE_POINT = re.compile(r"[+-]?(\.\d+|\d+\.)([eE][+-]?\d+)?")  # numbers that people write and JSON does not


def pair(text: str) -> tuple[str, Any]:
    """NAME=VALUE apart; the value as JSON where it is, or a number without its zero (.5), else as the text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"'--set {text}' is not NAME=VALUE.", "Write for example --set guidance=15.")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), float(value) if _BARE_POINT.fullmatch(value.strip()) else value.strip()


def make_folder(out: Path) -> None:
    """The output folder, made and probed before anything is computed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)  # another command may share the folder
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"There is no space left for the output folder '{out}'.", "Free some, or choose another with --out."
            ) from None
        raise UserError(f"The output folder '{out}' cannot be written: {error.strerror}.", "Choose another with --out.") from None
