"""`sketchbridge report` as it is called."""

import json
from pathlib import Path

from typer.testing import CliRunner

from backend.cli.main import app
from tests.gallery.folder import fail, finish, jobs_of, write_plan


def test_it_makes_table_and_page_and_says_what_failed(tmp_path):
    entries = jobs_of(["a red apple"], ["sds"], [0, 1])
    write_plan(tmp_path, entries)
    finish(tmp_path, entries[0])
    fail(tmp_path, entries[1], "The surface is empty.")
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--no-judge", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["jobs"], told["failed"], told["judged"]) == (2, 1, 0)
    assert all((tmp_path / name).is_file() for name in ("table.csv", "table.parquet", "index.html"))
    assert told["files"] == [str(tmp_path / name) for name in ("table.csv", "table.parquet", "index.html")]


def test_folders_that_hold_no_batch_are_one_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = CliRunner().invoke(app, ["report", str(folder)])
        assert done.exit_code == 2 and done.stderr.startswith("sketchbridge: There is no ") and "Traceback" not in done.output


def test_names_are_said_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("night[v2]") / "[" / "x]"  # together "[/x]", which closes what was never opened
    entries = jobs_of(["a red apple"], ["sds"], [0])
    write_plan(out, entries)
    finish(out, entries[0])
    done = CliRunner().invoke(app, ["report", str(out), "--clip", "[/x]"])
    assert done.exit_code == 0, done.output
    assert all(f"  night[v2]/[/x]/{name}" in done.stderr for name in ("table.csv", "table.parquet", "index.html"))
    assert "in '[/x]'" in done.stderr.replace("\n", " ")
