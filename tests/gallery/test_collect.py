"""A batch's folder as rows: done, failed, unfinished and damaged jobs, with and without a plan."""

import json

import pytest
import torch
import trimesh

from backend.assets.mesh import TriangleMesh
from backend.errors import UserError
from backend.gallery.collect import collect
from backend.gallery.columns import COLUMNS
from backend.priors.card import PriorCard, write_card
from backend.priors.resolve import resolve_prior
from backend.refine.inputs import Inputs
from backend.refine.report import write_report
from backend.refine.run import refine
from protocol.job import Budget, RefineJob, Stage
from tests.gallery.folder import FACTS, fail, finish, job, jobs_of, write_plan
from tests.priors.tiny import WORDS, write_tiny_folder


@pytest.fixture
def entries():
    return jobs_of(["a red apple", "a blue vase"], ["sds", "bridge"], [0, 1])


def row_of(out, name):
    return next(row for row in collect(out).rows if row["id"] == name)


def test_a_finished_job_gives_what_was_asked_and_what_came(tmp_path, entries):
    write_plan(tmp_path, entries)
    finish(tmp_path, entries[1], recall=0.5)
    row = row_of(tmp_path, "a-red-apple-sds-1")
    assert (row["status"], row["prompt"], row["method"], row["seed"]) == ("done", "a red apple", "sds", 1)
    assert (row["sketch"], row["recall"], row["silhouette_iou"]) == ("apple.glb", 0.5, FACTS["silhouette_iou"])
    assert (row["total_s"], row["steps_s"], row["denoiser_rows"]) == (24.75, 20.5, 320)
    assert row["config_sha256"] == entries[1]["hash"] and row["trouble"] is None


def test_rows_stand_in_the_order_of_the_plan_and_have_every_column(tmp_path, entries):
    write_plan(tmp_path, entries[::-1])
    finish(tmp_path, entries[0])
    rows = collect(tmp_path).rows
    assert [row["id"] for row in rows] == [entry["id"] for entry in entries[::-1]]
    assert all(list(row) == [column.name for column in COLUMNS] for row in rows)


def test_jobs_that_failed_wait_or_were_never_begun_keep_their_settings(tmp_path, entries):
    write_plan(tmp_path, entries)
    fail(tmp_path, entries[0], "The surface is empty.", "Draw it larger.", code="numerical")
    (tmp_path / "jobs" / entries[1]["id"]).mkdir()
    rows = collect(tmp_path).rows
    assert [row["status"] for row in rows[:3]] == ["failed", "unfinished", "unfinished"]
    assert rows[0]["trouble"] == "The surface is empty. Draw it larger."
    assert (rows[0]["error_code"], rows[0]["attempts"]) == ("numerical", 2)
    assert rows[1]["trouble"] == "It has not finished." and rows[2]["trouble"] == "It has not begun."
    assert [row["method"] for row in rows[:3]] == ["sds", "sds", "bridge"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "damaged"),
        ('{"outcome": "done", "recall"', "damaged"),
        ("[1, 2]", "one JSON object"),
        ("\ufeff\x00", "damaged"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_a_damaged_report_is_a_failed_job_with_a_sentence(tmp_path, entries, text, part):
    write_plan(tmp_path, entries)
    folder = finish(tmp_path, entries[0])
    (folder / "report.json").write_text(text)
    row = row_of(tmp_path, entries[0]["id"])
    assert row["status"] == "failed" and row["trouble"].startswith("report.json") and part in row["trouble"]
    assert row["prompt"] == "a red apple"


def test_values_of_the_wrong_kind_are_left_out_and_named(tmp_path, entries):
    write_plan(tmp_path, entries)
    folder = finish(tmp_path, entries[0])
    report = json.loads((folder / "report.json").read_text())
    report |= {"recall": "high", "pieces": 1.5, "watertight": 1, "growth": float("nan"), "seconds": [1], "versions": None, "ran": 3}
    report["denoiser_rows"] = 10**30
    (folder / "report.json").write_text(json.dumps(report))
    row = row_of(tmp_path, entries[0]["id"])
    assert row["status"] == "done"
    wrong = ("growth", "recall", "pieces", "watertight", "denoiser_rows")
    assert all(row[name] is None and name in row["trouble"] for name in wrong)
    assert row["silhouette_iou"] == FACTS["silhouette_iou"] and row["total_s"] is None


def test_without_a_readable_plan_the_folders_are_the_jobs(tmp_path, entries):
    for entry in entries[:3]:
        finish(tmp_path, entry)
    for plan in (None, "{", "[]", '{"jobs": 3}'):
        if plan is not None:
            (tmp_path / "plan.json").write_text(plan)
        batch = collect(tmp_path)
        assert [row["id"] for row in batch.rows] == sorted(entry["id"] for entry in entries[:3])
        assert len(batch.notes) == 1 and "plan.json" in batch.notes[0]
        assert batch.rows[0]["prompt"] == "a red apple"


def test_folders_of_no_job_are_counted_and_left_alone(tmp_path, entries):
    write_plan(tmp_path, entries[:2])
    for entry in entries:
        finish(tmp_path, entry)
    batch = collect(tmp_path)
    assert len(batch.rows) == 2 and batch.notes == ["6 folders in jobs/ are no job of the plan."]


def test_a_plan_cannot_lead_out_of_the_batch(tmp_path, entries):
    plan = {"version": 1, "jobs": [{"id": "../../etc"}, {"id": ".."}, {"id": 7}, "x", {"id": "fine", "job": {"prompt": "a cat"}}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    batch = collect(tmp_path)
    assert [row["id"] for row in batch.rows] == ["fine"] and "4 entries" in batch.notes[0]


def test_a_folder_without_a_batch_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no batch in .*plan\.json"):
        collect(tmp_path)


def test_a_job_without_its_asset_says_so(tmp_path, entries):
    write_plan(tmp_path, entries)
    (finish(tmp_path, entries[0]) / "asset.glb").unlink()
    batch = collect(tmp_path)
    assert batch.rows[0]["trouble"] == "Its asset.glb is missing." and batch.asset(batch.rows[0]) is None


def test_where_the_preset_chose_the_methods_of_its_stages_are_named(tmp_path):
    entry = job("plain", prompt="a red apple")
    write_plan(tmp_path, [entry])
    assert collect(tmp_path).rows[0]["method"] == "preset default"
    folder = finish(tmp_path, entry)
    report = json.loads((folder / "report.json").read_text())
    report["ran"] = [["colour", "sds", 10], ["shape", "sds", 10], ["bridge", "bridge", 5]]
    (folder / "report.json").write_text(json.dumps(report))
    assert collect(tmp_path).rows[0]["method"] == "sds + bridge"


def test_a_real_run_fills_the_row(tmp_path):
    prior_folder = write_tiny_folder(tmp_path / "prior")
    write_card(prior_folder, PriorCard(name="tiny", vocabulary=("a", *WORDS)))
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
    sketch = TriangleMesh(ball.vertices.astype("float32"), ball.faces.astype("int64"))
    stages = (Stage(name="shape", optimise="both", steps=2, views=1),)
    asked = RefineJob(
        prompt="a red mug", stages=stages, grid=24, warm_start=False, preview_every=0, checkpoint_every=0,
        budget=Budget(faces=400, texture_px=64), sketch="ball.glb", seed=3,
    )  # fmt: skip
    folder = tmp_path / "batch" / "jobs" / "one"
    result = refine(asked, Inputs(sketch=sketch), prior=resolve_prior(str(prior_folder), torch.device("cpu")), out=folder)
    write_report(result, folder)
    row = collect(tmp_path / "batch").rows[0]
    empty = {name for name, value in row.items() if value is None}
    groups = {column.name: column.group for column in COLUMNS}
    # What only a batch, a judge or another run knows.
    assert {name for name in empty if groups[name] != "judge"} <= {
        "trouble", "error_code", "attempts", "notes", "config_sha256", "sketch_sha256", "parameters", "peak_memory_mib",
        "prior_weights_sha256",
    }  # fmt: skip
    assert (row["status"], row["method"], row["seed"], row["steps"]) == ("done", "sds", 3, 2)
