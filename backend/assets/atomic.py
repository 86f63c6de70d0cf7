"""Files that are either whole or not there."""

import contextlib
import os
from pathlib import Path

from backend.errors import ResourceError


def write_bytes(path: Path | str, data: bytes) -> Path:
    """Put `data` at `path` in one step: written beside it under a temporary name, synced, renamed. Folders are made as needed.

    Raises ResourceError if the disk is full or the place cannot be written; an older file at `path` is then as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        sentence = f"{path} could not be written ({len(data):,} bytes): {error.strerror or error}."
        raise ResourceError(sentence, "Free some space or name another place.") from error
    return path
