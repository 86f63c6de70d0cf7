"""The page's text: what stands in it, what cannot break it, and the files beside it."""

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image

from backend.gallery import make, write
from backend.gallery.page import BESIDE_FOLDER
from backend.gallery.pictures import pictures_of, result_strip
from backend.gallery.viewer import library_text
from backend.refine.export import SHEET_PX
from tests.gallery.folder import fail, finish, job, jobs_of, write_plan

HOSTILE = "</script><script>document.title='broken'</script><!-- \u2028 $data ${x} & <b>"


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def payloads(page, kind):
    return dict(re.findall(rf'<script type="text/plain" id="{kind}-(\d+)">([^<]*)</script>', page))


@pytest.fixture
def batch(tmp_path):
    entries = jobs_of(["a red apple", "a blue vase"], ["sds", "bridge"], [0])
    write_plan(tmp_path, entries)
    for entry in entries[:3]:
        finish(tmp_path, entry)
    fail(tmp_path, entries[3], HOSTILE)
    return tmp_path


def made(out, **options):
    return make(out, judge=False, **options)


def test_every_job_and_every_asset_is_inside_one_file(batch):
    files = made(batch).files
    assert [path.name for path in files] == ["table.csv", "table.parquet", "index.html"]
    page = files[2].read_text()
    data = data_of(page)
    assert len(data["rows"]) == 4 and data["beside"] is None
    assert set(payloads(page, "asset")) == set(payloads(page, "strip")) == {"0", "1", "2"}
    assert base64.b64decode(payloads(page, "asset")["1"])[:4] == b"glTF"


def test_no_text_breaks_the_page(batch):
    page = made(batch).files[2].read_text()
    assert HOSTILE not in page and "<!-- \u2028" not in page
    data = data_of(page)
    trouble = [column["name"] for column in data["columns"]].index("trouble")
    assert data["rows"][3][trouble] == HOSTILE


def test_the_page_refers_to_nothing_on_a_network(batch):
    page = made(batch).files[2].read_text()
    own = page.replace(library_text(), "")
    assert set(re.findall(r"https?://[^\s\"'`)]+", own)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page and not re.search(r"<(link|iframe|object|embed)\b", own)


def test_above_the_limit_the_assets_lie_beside_the_page(batch):
    result = made(batch, most_bytes=20_000)
    page = result.files[2].read_text()
    beside = {path.name for path in (batch / BESIDE_FOLDER).iterdir()}
    assert beside == {f"{row['id']}.js" for row in result.batch.rows[:3]} == {path.name for path in result.files[3:]}
    assert data_of(page)["beside"] == BESIDE_FOLDER and not payloads(page, "asset")
    assert any(BESIDE_FOLDER in note for note in result.batch.notes)
    text = (batch / BESIDE_FOLDER / f"{result.batch.rows[0]['id']}.js").read_text()
    glb = re.fullmatch(r'receiveAsset\("a-red-apple-sds-0", "([\w+/=]+)"\);\n', text).group(1)
    assert base64.b64decode(glb)[:4] == b"glTF"


def test_files_beside_an_older_page_go_when_they_are_no_longer_needed(batch):
    made(batch, most_bytes=0)
    made(batch)
    assert not (batch / BESIDE_FOLDER).exists()


def test_what_cannot_be_shown_says_so_and_the_rest_is_there(batch):
    broken = batch / "jobs" / "a-red-apple-sds-0"
    (broken / "asset.glb").write_bytes(b"glTF")
    (broken / "sheet.png").write_bytes(b"no picture")
    result = made(batch)
    page = result.files[2].read_text()
    assert set(payloads(page, "asset")) == {"1", "2"}
    assert "asset.glb" in result.batch.rows[0]["trouble"] and "sheet.png" in result.batch.rows[0]["trouble"]
    assert result.batch.rows[0]["trouble"] in (batch / "table.csv").read_text().replace('""', '"')


def test_the_strip_is_the_row_of_the_coloured_result(batch):
    sheet = Image.open(batch / "jobs" / "a-red-apple-sds-0" / "sheet.png").convert("RGB")
    strip = np.asarray(result_strip(sheet))
    assert strip.shape == (SHEET_PX, 8 * SHEET_PX, 3)
    middles = strip[SHEET_PX // 2, SHEET_PX // 2 :: SHEET_PX].astype(int)
    assert (middles[:, 0] > 3 * middles[:, 1]).all() and (np.diff(middles[:, 0]) < 0).all()


def test_a_sheet_of_another_layout_is_shown_whole(tmp_path):
    Image.new("RGB", (640, 480), (10, 200, 30)).save(tmp_path / "sheet.png")
    shown = pictures_of(tmp_path / "sheet.png")
    assert shown.frames == 1 and shown.sheet_size == (640, 480)


def test_the_library_carries_its_licence():
    text = library_text()
    assert "SPDX-License-Identifier: MIT" in text[:200] and text.endswith("THREE.GLTFLoader=GLTFLoader;})();")


def test_a_batch_that_has_not_begun_has_a_page(tmp_path):
    write_plan(tmp_path, [job("later", prompt="a cat")])
    page = write(tmp_path)[2].read_text()
    assert len(data_of(page)["rows"]) == 1 and "SPDX-License-Identifier" not in page
