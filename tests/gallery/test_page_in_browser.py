"""The page of a batch in headless Chromium that has no network."""

import json
import statistics
import time

import numpy as np
import pytest

from backend.gallery import make
from backend.gallery.collect import collect

pytestmark = pytest.mark.browser

SHOWN = "[...document.querySelectorAll('main [data-job]')].map((one) => one.dataset.job)"


def choose(page, name, value):
    page.run(f"document.getElementById({json.dumps(name)}).value = {json.dumps(value)}")
    page.run(f"document.getElementById({json.dumps(name)}).dispatchEvent(new Event('change'))")


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def write(page, name, text):
    page.run(f"document.getElementById({json.dumps(name)}).focus()")
    page.type(text)


def open_first(page):
    click(page, "main [data-job]")
    page.until("Number(document.getElementById('stage').dataset.triangles) > 0")


def canvas_box(page):
    return page.run(
        "(() => { const b = document.getElementById('canvas').getBoundingClientRect(); return [b.x, b.y, b.width, b.height] })()"
    )


def coloured(picture):
    """Share of the pixels that are of no grey: the background is, the assets are not."""
    spread = picture.max(-1).astype(int) - picture.min(-1)
    return float((spread > 60).mean())


def test_it_loads_without_a_network_and_shows_every_job(page, page_folder):
    rows = collect(page_folder).rows
    assert page.run(SHOWN) == [row["id"] for row in rows] and len(rows) == 24
    assert page.run("document.getElementById('counts').textContent") == "24 jobs: 21 done, 2 failed, 1 unfinished"
    assert page.run("document.querySelectorAll('script[id^=asset-]').length") == 21
    open_first(page)
    assert page.errors == []
    assert {address.split(":")[0] for address in page.requests} <= {"file", "data", "blob"}
    assert [address for address in page.requests if address.startswith("file:")] == ["file:///tmp/index.html"]


def test_a_request_would_have_been_noticed_and_refused(page):
    said = page.run("fetch('http://192.0.2.1/x').then(() => 'reached', () => 'refused')")
    page.run("0")
    assert said == "refused" and any("Content Security Policy" in error for error in page.errors)


def test_sheets_are_decoded_when_they_come_near(page):
    drawn = "[...document.querySelectorAll('.picture[data-place]')].filter((one) => one.style.backgroundImage).length"
    page.until(f"{drawn} > 0")
    assert page.run(drawn) < 21
    page.run("document.querySelector('main [data-job]:last-child').scrollIntoView()")
    page.until(f"{drawn} > 15")
    page.run("window.scrollTo(0, 0)")
    picture = page.picture("main [data-job]:first-child .picture")
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
    assert middle[0] > 150 and middle[0] > 3 * middle[1]  # the red apple


def test_the_asset_is_drawn_and_turns(page):
    open_first(page)
    title = page.run("document.getElementById('detail-title').textContent")
    assert all(word in title for word in ("a red apple", "apple.glb", "sds", "seed 0"))
    triangles = page.run("document.getElementById('stage').dataset.triangles")
    assert triangles == "320"
    page.run("document.getElementById('canvas').focus()")
    first = page.picture("#canvas")
    assert 0.15 < coloured(first) < 0.8
    assert (np.ptp(first[6:9].reshape(-1, 3), axis=0) < 60).all()  # nothing but background along the upper edge
    x, y, width, height = canvas_box(page)
    page.drag((x + width / 2, y + height / 2), (x + width / 2, y + height / 2 + 150))
    turned = page.picture("#canvas")
    assert (np.abs(turned.astype(int) - first).max(-1) > 20).mean() > 0.05
    page.press("Home")
    assert np.abs(page.picture("#canvas").astype(int) - first).max() <= 2
    for _ in range(4):
        page.press("+")
    assert coloured(page.picture("#canvas")) > 1.3 * coloured(first)


def drawn_colours(page, patience_s=20.0):
    """[N,3]: the coloured pixels of the canvas, as soon as there are any; it is drawn a frame after its asset has been read."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        picture = page.picture("#canvas")
        found = picture[picture.max(-1).astype(int) - picture.min(-1) > 60]
        if len(found):
            return found
    raise AssertionError("nothing coloured was drawn")


def test_the_colours_are_those_of_the_asset(page):
    means = {}
    for word, channel in (("red", 0), ("blue", 2)):
        page.run(f"[...document.querySelectorAll('main [data-job]')].find((one) => one.dataset.job.includes('{word}')).click()")
        page.until(f"document.getElementById('detail-title').textContent.includes('{word}')")
        page.until("Number(document.getElementById('stage').dataset.triangles) > 0")
        inside = drawn_colours(page).mean(0)
        means[word] = inside
        assert inside.argmax() == channel
        click(page, "#close")
    # Display values of the texture, times a light between one third and a little over one.
    assert 60 < means["red"][0] < 230


def test_a_job_opened_as_soon_as_another_was_closed_is_drawn(page):
    open_first(page)
    page.run("detail.close(); [...document.querySelectorAll('main [data-job]')].find((one) => one.dataset.job.includes('blue')).click()")
    page.until("document.getElementById('stage').dataset.triangles === '320'", 10)
    assert drawn_colours(page).mean(0).argmax() == 2


def test_filters_choose_the_jobs_and_can_be_cleared(page, page_folder):
    rows = collect(page_folder).rows

    def wanted(condition):
        return [row["id"] for row in rows if condition(row)]

    write(page, "text", "APPLE bridge")
    assert page.run(SHOWN) == wanted(lambda row: "apple" in row["prompt"] and row["method"] == "bridge")
    click(page, "#reset")
    assert len(page.run(SHOWN)) == 24 and page.run("document.getElementById('text').value") == ""
    choose(page, "choice-method", "=csd")
    choose(page, "choice-seed", "=1")
    assert page.run(SHOWN) == wanted(lambda row: row["method"] == "csd" and row["seed"] == 1)
    assert page.run("document.getElementById('count').textContent") == "4 of 24 jobs"
    choose(page, "choice-seed", "")
    choose(page, "choice-status", "=failed")
    click(page, "#reset")
    choose(page, "choice-status", "=failed")
    assert page.run(SHOWN) == wanted(lambda row: row["status"] == "failed")
    text = page.run("document.querySelector('main').textContent")
    assert "The surface is empty. Draw it larger." in text and "report.json is damaged" in text


def test_bounds_on_numbers_add_up(page, page_folder):
    rows = collect(page_folder).rows
    for column, side, value in (("recall", "ge", "0.7"), ("growth", "le", "0.01")):
        choose(page, "bound-column", column)
        choose(page, "bound-side", side)
        write(page, "bound-value", value)
        page.press("Enter")
    expected = [row["id"] for row in rows if row["recall"] is not None and row["recall"] >= 0.7 and row["growth"] <= 0.01]
    assert page.run(SHOWN) == expected and 0 < len(expected) < 12
    click(page, "#bounds button")
    assert page.run(SHOWN) == [row["id"] for row in rows if row["growth"] is not None and row["growth"] <= 0.01]


def test_no_job_is_a_sentence(page):
    write(page, "text", "zebra")
    assert page.run("document.querySelector('main').textContent") == "No job passes these filters."


def test_the_table_sorts_both_ways_with_missing_values_last(page, page_folder):
    rows = collect(page_folder).rows
    click(page, "[data-view=table]")
    head = "[...document.querySelectorAll('thead th')].find((one) => one.textContent.startsWith('Recall'))"
    for descending in (True, False):
        page.run(f"{head}.querySelector('button').click()")
        known = sorted((row["recall"] for row in rows if row["recall"] is not None), reverse=descending)
        shown = page.run(SHOWN)
        by_id = {row["id"]: row["recall"] for row in rows}
        assert [by_id[name] for name in shown] == known + [None] * 3
        assert page.run(f"{head}.ariaSort") == ("descending" if descending else "ascending")


def test_methods_stand_side_by_side(page):
    click(page, "[data-view=compare]")
    heads = page.run("[...document.querySelectorAll('thead th')].map((one) => one.textContent)")
    assert heads == ["Prompt, Sketch, Seed", "bridge", "csd", "sds"]
    jobs = "(cell) => [...cell.querySelectorAll('[data-job]')].map((one) => one.dataset.job)"
    lines = page.run(f"[...document.querySelectorAll('tbody tr')].map((line) => [...line.querySelectorAll('td')].map({jobs}))")
    assert len(lines) == 8
    assert lines[0] == [["a-red-apple-bridge-0"], ["a-red-apple-csd-0"], ["a-red-apple-sds-0"]]
    choose(page, "by", "seed")
    assert page.run("[...document.querySelectorAll('thead th')].map((one) => one.textContent)") == ["Prompt, Sketch", "seed 0", "seed 1"]
    assert sorted(page.run("[...document.querySelectorAll('tbody tr:first-child [data-job]')].map((one) => one.dataset.job)")) == sorted(
        f"a-red-apple-{method}-{seed}" for method in ("sds", "bridge", "csd") for seed in (0, 1)
    )


def test_figures_are_means_and_standard_deviations(page, page_folder):
    rows = collect(page_folder).rows
    click(page, "[data-view=summary]")
    for place, method in enumerate(("bridge", "csd", "sds")):
        values = [row["recall"] for row in rows if row["method"] == method and row["recall"] is not None]
        cell = f"document.querySelectorAll('[data-figure=recall] td')[{place}]"
        assert abs(page.run(f"Number({cell}.dataset.mean)") - statistics.mean(values)) < 1e-12
        assert page.run(f"{cell}.textContent") == f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def test_everything_can_be_reached_by_keyboard(page):
    page.run("document.querySelector('[data-view=sheets]').focus()")
    page.press("ArrowRight")
    assert page.run("document.activeElement.dataset.view") == "compare"
    page.press("ArrowLeft")
    page.run("document.querySelector('main [data-job]').focus()")
    page.press("Enter")
    assert page.run("document.getElementById('detail').open")
    title = "document.querySelector('#facts').textContent"
    first = page.run(title)
    page.press("ArrowRight")
    assert page.run(title) != first
    page.press("Escape")
    page.until("!document.getElementById('detail').open")
    names = page.run(
        "[...document.querySelectorAll('button, select, input')].filter((one) => one.checkVisibility() "
        "&& !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.id)"
    )
    assert names == []


def test_a_view_can_be_passed_on_by_its_address(page):
    click(page, "[data-view=table]")
    choose(page, "choice-method", "=sds")
    address = page.run("location.hash")
    page.open(f"index.html{address}")
    assert page.run("document.querySelector('[aria-selected=true]').dataset.view") == "table"
    assert len(page.run(SHOWN)) == 8
    page.open("index.html#%7Bbroken")
    assert len(page.run(SHOWN)) == 24 and page.errors == []


def test_light_and_dark_both_have_contrast(page):
    script = """(() => { const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const linear = (v) => (v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
      const light = (c) => { const [r, g, b] = c.map(linear); return .2126 * r + .7152 * g + .0722 * b };
      const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05) };
      const of = (s) => document.querySelector(s);
      const card = of('main .card'), ground = rgb(getComputedStyle(card).backgroundColor);
      return ['.card .line', '.card strong', '.card dt'].map((s) => ratio(rgb(getComputedStyle(of(s)).color), ground)) })()"""
    for _ in range(2):
        assert min(page.run(script)) > 4.5
        click(page, "#theme")


def test_a_narrow_window_needs_no_sideways_scrolling(page):
    page.resize(390, 800)
    assert page.run("document.documentElement.scrollWidth") <= 390


def test_assets_beside_the_page_are_fetched_when_they_are_opened(browser, page_folder):
    make(page_folder, judge=False, most_bytes=0)
    try:
        browser.open("index.html")
        assert "index_files" in browser.run("document.getElementById('notes').textContent")
        assert not any("index_files" in address for address in browser.requests)
        open_first(browser)
        assert coloured(browser.picture("#canvas")) > 0.15
        browser.run("0")
        assert [a for a in browser.requests if "index_files" in a] == ["file:///tmp/index_files/a-red-apple-sds-0.js"]
        assert browser.errors == []
        (page_folder / "index_files" / "a-red-apple-sds-1.js").unlink()
        click(browser, "#next")
        said = "document.getElementById('stage-told').textContent"
        assert "a-red-apple-sds-1.js is not beside this page" in browser.until(f"{said}.includes('beside') && {said}")
    finally:
        make(page_folder, judge=False)
