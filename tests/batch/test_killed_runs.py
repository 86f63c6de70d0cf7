"""Real runs of a tiny prior, killed at random moments: only what was not finished goes on, and every bit is as if nothing had happened."""

import json
import os
import random
import signal
import time

import pytest
import trimesh

from backend.batch.plan import folder_of, plan_of, standings
from tests.batch.batch_process import Process
from tests.priors.tiny import write_tiny_folder

pytestmark = pytest.mark.long

PATIENCE_S = 600


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Without which no two runs are equal."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Four runs through all stages: colour, shape, finish, bridge."""
    folder = tmp_path_factory.mktemp("jobs")
    write_tiny_folder(folder / "tiny")
    trimesh.creation.icosphere(subdivisions=2).export(folder / "ball.ply")
    job = {
        "prompt": "a red mug",
        "sketch": "ball.ply",
        "prior": "tiny",
        "steps": 60,
        "grid": 24,
        "seed": [0, 1, 2, 3],
        "checkpoint_every": 5,
        "preview_every": 0,
        "budget": {"faces": 300, "texture_px": 64},
    }
    path = folder / "jobs.jsonl"
    path.write_text(json.dumps(job) + "\n")
    return path


@pytest.fixture(scope="module")
def calm(jobs, tmp_path_factory):
    """The folder of an undisturbed batch, and its seconds from the first job on."""
    out = tmp_path_factory.mktemp("calm")
    batch = start(jobs, out)
    batch.wait_for(is_running, PATIENCE_S)
    began = time.monotonic()
    assert batch.finish(PATIENCE_S) == 0
    return out, time.monotonic() - began


def start(jobs, out):
    return Process(jobs, out, workers=2, real=True)


def is_running(event):
    return event.get("state") == "running"


def done(jobs, out):
    return {job for job, standing in standings(plan_of(jobs).plan, out).items() if standing == "done"}


def result_of(out, job):
    """All that is not a time or a size of a process."""
    folder = folder_of(out, job)
    report = json.loads((folder / "report.json").read_text())
    del report["seconds"], report["peak_memory_mib"]
    return report, {name: (folder / name).read_bytes() for name in ("asset.glb", "sheet.png")}


def assert_equal(jobs, ours, theirs):
    for job in plan_of(jobs).plan.jobs:
        (report, files), (report_before, files_before) = result_of(ours, job.id), result_of(theirs, job.id)
        assert report == report_before
        assert files == files_before, job.id


@pytest.mark.parametrize("everything", [True, False], ids=["with its workers", "without its workers"])
def test_killed_at_random_moments_and_started_again(jobs, calm, out, everything):
    """Workers that survive their batch see it and go, while the next batch takes up the same folders."""
    undisturbed, seconds = calm
    survivors, kills = [], 0
    while kills < 3 and len(before := done(jobs, out)) < 4:
        batch = start(jobs, out)
        batch.wait_for(is_running, PATIENCE_S)
        moment = random.uniform(0.0, seconds / 4)
        print(f"killed after {moment:.2f} s with {len(before)} jobs done")
        if not batch.listen(moment):
            break
        kills += 1
        survivors += batch.workers()
        if everything:
            batch.kill_all()
        else:
            batch.process.kill()
            batch.finish()
        assert before.isdisjoint(batch.began())
    assert kills >= 2, "the batch was through before it could be disturbed"
    before = done(jobs, out)
    last = start(jobs, out)
    assert last.finish(PATIENCE_S) == 0
    began, left = set(last.began()), done(jobs, out) - before
    assert began == left if everything else began <= left  # a survivor that is already exporting brings its job to the end
    assert_equal(jobs, out, undisturbed)
    until = time.monotonic() + 60
    while any(map(is_alive, survivors)):
        assert time.monotonic() < until, "a worker stays behind"
        time.sleep(0.1)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_worker_killed_at_a_random_step(jobs, calm, out):
    batch = start(jobs, out)
    step = random.randrange(5, 50)
    print(f"killed at step {step}")
    batch.wait_all(step, patience_s=PATIENCE_S)
    os.kill(random.choice(batch.workers()), signal.SIGKILL)
    assert batch.finish(PATIENCE_S) == 0
    assert any("was lost at step" in event.get("text", "") for event in batch.events)
    assert len(done(jobs, out)) == 4
    assert_equal(jobs, out, calm[0])
