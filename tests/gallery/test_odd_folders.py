"""Names and values that no table, page or disk can hold as they are: the report of such a folder is made all the same."""

import csv
import io
import json
import os

import pyarrow.parquet as pq
import pytest

from backend.gallery import make
from backend.gallery.collect import collect
from backend.gallery.scores import JUDGED_FILE, Scorer, score_all
from tests.gallery.folder import fail, finish, job, jobs_of, write_plan

HALF = "\ud800"


@pytest.fixture
def entries():
    return jobs_of(["a red apple", "a blue vase"], ["sds"], [0])


def change(folder, **values):
    path = folder / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def table_of(out):
    """The report of the batch, made, and the rows of its table."""
    files = make(out, judge=False).files
    assert HALF not in files[2].read_text()
    rows = pq.read_table(io.BytesIO(files[1].read_bytes())).to_pylist()
    assert [row["id"] for row in csv.DictReader(io.StringIO(files[0].read_text()))] == [row["id"] for row in rows]
    return rows


def test_half_characters_become_question_marks(tmp_path, entries):
    write_plan(tmp_path, entries)
    asked = json.loads((tmp_path / "plan.json").read_text())["jobs"][0]["job"]
    change(finish(tmp_path, entries[0]), resolved=asked | {"prompt": f"red {HALF}"}, notes=[HALF], versions={HALF: HALF}, device=HALF)
    fail(tmp_path, entries[1], f"It met {HALF}.", code=HALF)
    first, second = table_of(tmp_path)
    assert (first["prompt"], first["notes"], first["device"], first["versions"]) == ("red ?", "?", "?", '{"?": "?"}')
    assert (second["trouble"], second["error_code"]) == ("It met ?.", "?")


def test_a_number_beyond_all_kinds_is_left_out(tmp_path, entries):
    write_plan(tmp_path, entries)
    change(finish(tmp_path, entries[0]), steps=10**400, recall=10**400, seconds={"colour": 10**400})
    row = table_of(tmp_path)[0]
    assert (row["status"], row["steps"], row["recall"], row["total_s"]) == ("done", None, None, None)
    assert "steps" in row["trouble"] and "recall" in row["trouble"]


def test_names_that_no_disk_takes_are_no_jobs(tmp_path, entries):
    write_plan(tmp_path, [*entries, job("i" * 300, prompt="a cup"), job("é" * 128, prompt="a cup")])
    plan = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps({"jobs": [*plan["jobs"], {"id": HALF}]}))
    assert len(table_of(tmp_path)) == 2
    assert collect(tmp_path).notes == ["plan.json has 3 entries without a name for their folder."]


@pytest.mark.parametrize("most_bytes", [0, 10**8])
def test_the_longest_name_has_a_row(tmp_path, most_bytes):
    long = job("i" * 255, prompt="a red apple")
    write_plan(tmp_path, [long])
    finish(tmp_path, long)
    row = make(tmp_path, judge=False, most_bytes=most_bytes).batch.rows[0]
    assert row["status"] == "done" and row["trouble"] == "Its name is too long for the asset to be turned on the page."


def test_folders_whose_names_are_no_text(tmp_path, entries):
    out = tmp_path / os.fsdecode(b"night\xff")
    for name, recall in ((b"job\xff", 0.25), (b"job\xfe", 0.5), (b"job?", 0.75)):
        finish(out, entries[0] | {"id": "new"}, recall=recall)
        os.rename(out / "jobs" / "new", out / "jobs" / os.fsdecode(name))
    rows = table_of(out)
    assert {row["id"]: row["recall"] for row in rows} == {"job?": 0.75, "job??": 0.5, "job???": 0.25}
    assert all(row["trouble"] is None and row["status"] == "done" for row in rows)
    (out / "jobs" / os.fsdecode(b"job\xff") / "asset.glb").write_bytes(b"glTF")
    (out / "plan.json").write_bytes(b'{"jobs": [{"id": "job\\udcff"}]}')
    row = table_of(out)[0]
    assert row["id"] == "job?" and row["recall"] == 0.25 and "asset.glb" in row["trouble"]
    assert "<title>night?" in (out / "index.html").read_text()


def test_notes_of_a_folder_whose_name_is_no_text(tmp_path, entries):
    write_plan(tmp_path, entries[:1])
    finish(tmp_path, entries[0])
    made = make(tmp_path, clip=tmp_path / os.fsdecode(b"clip\xff"))
    assert any("clip" in note for note in made.batch.notes) and "clip?" in made.files[2].read_text()


def test_a_folder_that_may_not_be_read_is_a_row(tmp_path, entries, monkeypatch):
    write_plan(tmp_path, entries)
    shut, stat = str(finish(tmp_path, entries[0])) + "/", os.stat

    def refuse(path, *args, **options):
        if str(path).startswith(shut):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert [row["status"] for row in collect(tmp_path).rows] == ["unfinished", "unfinished"]


@pytest.mark.parametrize("score", ["high", 10**400, [1], True], ids=["text", "huge", "list", "flag"])
def test_scores_that_are_no_numbers_are_left_out(tmp_path, entries, score):
    write_plan(tmp_path, entries[:1])
    path = finish(tmp_path, entries[0]) / JUDGED_FILE
    batch, scorer = collect(tmp_path), Scorer(only_kept=True)
    key = scorer._key(batch.asset(batch.rows[0]), "a red apple", batch.front_deg[entries[0]["id"]])
    for name in ("judge_noun_share", "judge_iq_nats", "judge_iv_nats"):
        scores = {"judge_iq_nats": 0.25, "judge_iv_nats": 0.5, "judge_noun_share": 0.75} | {name: score}
        path.write_text(json.dumps({"key": key, "scores": scores}))
        batch = collect(tmp_path)
        score_all(batch, scorer, lambda job: None, lambda: False)
        assert batch.rows[0][name] is None and batch.rows[0]["trouble"] is None
        table_of(tmp_path)
