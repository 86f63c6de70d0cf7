"""Plans: the same file and inputs, the same ids; what changes a result changes the id, and nothing else does."""

import json
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from backend.batch.plan import Plan, folder_of, in_words, left_over, plan_of, standings, write_plan


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cup.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    prior = tmp_path / "pictures"
    prior.mkdir()
    for name in ("a red cup", "a blue cup"):
        Image.new("RGB", (8, 8), name.split()[1]).save(prior / f"{name}.png")
        (prior / f"{name}.txt").write_text(name)
    return tmp_path


def _plan(folder, *jobs):
    (folder / "jobs.jsonl").write_text("".join(json.dumps({"sketch": "cup.obj", "prompt": "a cup", **job}) + "\n" for job in jobs))
    return plan_of(folder / "jobs.jsonl").plan


def _id(folder, **changes):
    (job,) = _plan(folder, changes).jobs
    return job.id


def test_an_id_is_a_readable_name_and_a_digest(folder):
    jobs = _plan(folder, {"seed": [0, 1], "method": ["sds", "csd"], "prompt": "A cup, red & round, of very fine china"}).jobs
    assert jobs[0].id == f"cup-a-cup-red-round-seed0-sds-{jobs[0].hash[:8]}"
    assert len({job.id for job in jobs}) == 4 and jobs[0].inputs[0].path == str(folder / "cup.obj")
    assert _id(folder, id="Mine.1").startswith("mine.1-")


def test_what_changes_the_result_changes_the_id(folder):
    ids = {
        _id(folder, **changes)
        for changes in ({}, {"seed": 1}, {"prompt": "a mug"}, {"budget": {"faces": 500}}, {"prior": "exemplar:pictures"})
    }
    (folder / "pictures" / "a red cup.txt").write_text("a dark red cup")
    ids.add(_id(folder, prior="exemplar:pictures"))
    (folder / "cup.obj").write_text("v 0 0 0\nv 2 0 0\nv 0 1 0\nf 1 2 3\n")
    ids.add(_id(folder))
    assert len(ids) == 7


def test_nothing_else_does(folder):
    before = _id(folder)
    assert _id(folder, seed=0, preset="default", preview_every=7, checkpoint_every=3, device="cpu") == before
    taught = _id(folder, prior="exemplar:pictures")
    (folder / "pictures" / "README.md").write_text("What these show.")
    assert _id(folder, prior="exemplar:pictures") == taught
    (folder / "elsewhere").mkdir()
    (folder / "cup.obj").rename(folder / "elsewhere" / "cup.obj")
    assert _id(folder, sketch="elsewhere/cup.obj") == before


def test_a_plan_is_read_as_it_was_written_and_is_the_same_twice(folder):
    plan = _plan(folder, {"seed": [0, 1]}, {"stages": [{"name": "colour", "clamp": [1.0, 0.1]}], "seed": 2})
    path = write_plan(plan, folder / "out")
    first = path.read_bytes()
    assert msgspec.json.decode(first, type=Plan) == plan
    write_plan(_plan(folder, {"seed": [0, 1]}, {"stages": [{"name": "colour", "clamp": [1.0, 0.1]}], "seed": 2}), folder / "out")
    assert path.read_bytes() == first


def test_what_is_left_to_do(folder):
    out = folder / "out"
    plan = _plan(folder, {"seed": [0, 1, 2, 3]}, {"id": "kept", "seed": 9})
    for index, name in enumerate(("report.json", "failed.json", "checkpoint.pt")):
        folder_of(out, plan.jobs[index].id).mkdir(parents=True)
        (folder_of(out, plan.jobs[index].id) / name).touch()
    folder_of(out, plan.jobs[4].id).mkdir()
    assert list(standings(plan, out).values()) == ["done", "failed", "unfinished", "new", "unfinished"]
    changed = _plan(folder, {"seed": [0, 1]}, {"id": "kept", "seed": 10})
    found = standings(changed, out)
    assert list(found.values()) == ["done", "failed", "changed"]
    assert in_words(found) == "3 jobs: 1 done, 1 failed, 1 changed"
    assert left_over(changed, out) == sorted([plan.jobs[2].id, plan.jobs[4].id])


def test_the_example_is_four_sketches_by_three_methods_by_two_seeds():
    jobs = [planned.job for planned in plan_of(Path(__file__).parents[2] / "examples" / "night.toml").plan.jobs]
    assert len({(job.sketch, job.method, job.seed) for job in jobs}) == len(jobs) == 24
    assert len({job.prompt for job in jobs}) == len({Path(job.sketch).name for job in jobs}) == 4
    assert {job.prior for job in jobs} == {"starter"}
