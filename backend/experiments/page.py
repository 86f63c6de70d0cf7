"""A measurement's own part of a page of the docs."""

import re
from pathlib import Path

from backend.assets.atomic import write_bytes
from backend.errors import UserError


def put(text: str, page: Path, mark: str) -> Path:
    """The page, in which `text` now stands between `<!-- mark -->` and the next `<!-- end -->`.

    UserError, and an untouched page, if these lines are not there once.
    """
    marked = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    before = page.read_text(encoding="utf-8") if page.is_file() else ""
    changed, places = marked.subn(lambda found: found.group(1) + text.rstrip("\n") + "\n" + found.group(2), before)
    if places != 1:
        expected = f"Put a line '<!-- {mark} -->' and a line '<!-- end -->' there once."
        raise UserError(f"'{page}' has {places or 'no'} places for '{mark}', not one.", expected)
    return write_bytes(page, changed.encode())
