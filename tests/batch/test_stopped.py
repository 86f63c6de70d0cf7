"""Batches that are stopped, gently and not: only what was not finished goes on, from its checkpoints."""

import json
import os
import signal

import pytest

from backend.batch.plan import folder_of, plan_of, standings
from tests.batch.batch_process import Process

STEPS = 600


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "jobs.jsonl"
    job = {"mode": "prompt", "prompt": "a cup", "seed": [0, 1, 2, 3, 4, 5], "steps": STEPS, "checkpoint_every": 20, "preview_every": 0}
    path.write_text(json.dumps(job) + "\n")
    return path


def _reports(plan, out):
    return {job.id: json.loads((folder_of(out, job.id) / "report.json").read_text()) for job in plan.jobs}


def test_killed_as_a_whole_only_unfinished_jobs_go_on(jobs, out):
    plan = plan_of(jobs).plan
    first = Process(jobs, out)
    first.wait_for(lambda event: event.get("state") == "done")
    first.wait_step(60)
    first.kill_all()
    done = {job for job, standing in standings(plan, out).items() if standing == "done"}
    before = _reports_of(done, out)
    held = {path.parent.name: json.loads(path.read_text())["step"] for path in out.glob("jobs/*/checkpoint.pt")}
    assert done and len(done) < len(plan.jobs)
    second = Process(jobs, out)
    assert second.finish() == 0
    reports = _reports(plan, out)
    assert set(second.began()) == set(reports) - done
    assert {job: reports[job] for job in done} == before
    assert {job: reports[job]["first"] for job in reports if job not in done} == {
        job: held.get(job, 0) for job in reports if job not in done
    }
    assert any(held.values()) and all(report["steps"] == STEPS for report in reports.values())
    assert second.events[-1]["event"] == "end" and second.events[-1]["done"] == 6


def _reports_of(jobs, out):
    return {job: json.loads((folder_of(out, job) / "report.json").read_text()) for job in jobs}


def test_one_worker_killed_needs_no_restart(jobs, out):
    batch = Process(jobs, out)
    batch.wait_all(60)
    os.kill(batch.workers()[0], signal.SIGKILL)
    assert batch.finish() == 0
    reports = _reports(plan_of(jobs).plan, out)
    assert len(reports) == 6 and sum(report["attempt"] == 2 for report in reports.values()) == 1
    assert any("was lost at step" in event.get("text", "") for event in batch.events)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_told_to_stop_it_writes_checkpoints_first(jobs, out, number):
    plan = plan_of(jobs).plan
    batch = Process(jobs, out)
    at = max(each["step"] for each in batch.wait_step(30)["running"])
    batch.process.send_signal(number)
    assert batch.finish() == 130
    assert batch.events[-1]["stopped"]
    held = [json.loads(path.read_text())["step"] for path in out.glob("jobs/*/checkpoint.pt")]
    assert held and max(held) >= at
    assert set(standings(plan, out).values()) <= {"done", "unfinished", "new"}
    assert Process(jobs, out).finish() == 0
    reports = _reports(plan, out)
    assert sorted(report["first"] for report in reports.values() if report["attempt"] > 1) == sorted(held)
