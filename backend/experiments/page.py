"""A measurement's own part of a page of the docs."""

import re
from pathlib import Path

from backend.assets.atomic import write_bytes
from backend.errors import UserError


def put(text: str, page: Path, mark: str) -> Path:
    """The page, in which `text` now stands between `<!-- mark -->` and the next `<!-- end -->`. Errors: as `place_in`."""
    before, found = place_in(page, mark)
    first, last = found.span()
    own = text.rstrip("\n")
    return write_bytes(page, f"{before[:first]}{found[1]}{own}\n{found[2]}{before[last:]}".encode())


def place_in(page: Path, mark: str) -> tuple[str, re.Match[str]]:
    """The page's text and where its place is. Errors: UserError if the lines `<!-- mark -->` and `<!-- end -->` are not there once."""
    marked = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    places = list(marked.finditer(text))
    if len(places) != 1:
        expected = f"Put a line '<!-- {mark} -->' and a line '<!-- end -->' there once."
        raise UserError(f"'{page}' has {len(places) or 'no'} places for '{mark}', not one.", expected)
    return text, places[0]
