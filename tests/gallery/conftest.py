"""A batch as a page, open in a real browser."""

from collections.abc import Iterator

import pytest

from backend.gallery import make
from tests.gallery.chromium import Browser
from tests.gallery.chromium import make as make_browser
from tests.gallery.folder import fail, finish, jobs_of, write_plan

PROMPTS, METHODS, SEEDS = ("a red apple", "a blue vase", "a green pear", "a yellow cup"), ("sds", "bridge", "csd"), (0, 1)


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory):
    """24 jobs: 21 finished with a recall of their own, one failed, one damaged, one not begun."""
    out = tmp_path_factory.mktemp("batch")
    entries = jobs_of(PROMPTS, METHODS, SEEDS)
    write_plan(out, entries)
    for i, entry in enumerate(entries):
        if i == 5:
            fail(out, entry, "The surface is empty.", "Draw it larger.")
        elif i != 20:
            folder = finish(out, entry, recall=round(0.5 + 0.02 * i, 4), growth=0.01 * (i % 3))
            if i == 9:
                (folder / "report.json").write_text("{")
    make(out, judge=False)
    return out


@pytest.fixture(scope="module")
def browser(page_folder) -> Iterator[Browser]:
    make_browser()
    with Browser(page_folder) as opened:
        yield opened


@pytest.fixture
def page(browser) -> Browser:
    """The page, freshly loaded."""
    browser.resize(1280, 800)
    browser.open("index.html")
    return browser
