"""A benchmark's own part of a page of the docs."""

import re
from pathlib import Path


def put(text: str, page: Path, mark: str) -> None:
    """`text` replaces what stands between `<!-- mark -->` and the next `<!-- end -->`. ValueError if the page has no such place."""
    marked = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, places = marked.subn(lambda found: found.group(1) + text.rstrip("\n") + "\n" + found.group(2), page.read_text())
    if places != 1:
        raise ValueError(f"Expected the lines '<!-- {mark} -->' and '<!-- end -->' once in {page}, found them {places} times.")
    page.write_text(changed)
