"""Batches that are stopped, gently and not: only what was not finished goes on, from its checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from backend.batch.plan import folder_of, plan_of, standings

PATIENCE_S = 30.0


class Process:
    """A batch under way; `events` as they come."""

    def __init__(self, jobs, out, workers=2, real=False, rerun=""):
        options = json.dumps([str(jobs), str(out), workers, real, str(rerun)])
        command = [sys.executable, "-m", "tests.batch.start_batch", options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.events = []

    def wait_for(self, wanted, patience_s=PATIENCE_S):
        until = time.monotonic() + patience_s
        while time.monotonic() < until and (line := self.process.stdout.readline()):
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        raise AssertionError(f"not heard; the last were {self.events[-3:]}")

    def wait_step(self, step, patience_s=PATIENCE_S):
        return self.wait_for(lambda event: any(each["step"] >= step for each in event.get("running", ())), patience_s)

    def workers(self):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in listed.stdout.split()]

    def kill_all(self):
        """Everything at once, as a machine that goes off."""
        workers = self.workers()
        os.killpg(self.process.pid, signal.SIGKILL)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.finish()

    def finish(self, patience_s=PATIENCE_S):
        rest, _ = self.process.communicate(timeout=patience_s)
        self.events += [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
        return self.process.returncode

    def began(self):
        return [event["id"] for event in self.events if event["event"] == "job" and event["state"] == "preparing"]


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "jobs.jsonl"
    job = {"mode": "prompt", "prompt": "a cup", "seed": [0, 1, 2, 3, 4, 5], "steps": 400, "checkpoint_every": 20, "preview_every": 0}
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
    assert any(held.values()) and all(report["steps"] == 400 for report in reports.values())
    assert second.events[-1]["event"] == "end" and second.events[-1]["done"] == 6


def _reports_of(jobs, out):
    return {job: json.loads((folder_of(out, job) / "report.json").read_text()) for job in jobs}


def test_one_worker_killed_needs_no_restart(jobs, out):
    batch = Process(jobs, out)
    batch.wait_step(60)
    os.kill(batch.workers()[0], signal.SIGKILL)
    assert batch.finish() == 0
    reports = _reports(plan_of(jobs).plan, out)
    assert len(reports) == 6 and sum(report["attempt"] == 2 for report in reports.values()) == 1
    assert any("was lost at step" in event.get("text", "") for event in batch.events)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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


@pytest.mark.long
def test_a_real_run_killed_is_equal_to_an_undisturbed_one(tmp_path, monkeypatch):
    """Bit for bit, on one thread: the assets of three small runs, one of them killed in between with all its processes."""
    import trimesh

    from tests.priors.tiny import write_tiny_folder

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_tiny_folder(tmp_path / "tiny")
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    job = {
        "prompt": "a red mug",
        "sketch": "ball.ply",
        "prior": "tiny",
        "preset": "quick",
        "steps": 60,
        "grid": 24,
        "seed": [0, 1, 2],
        "checkpoint_every": 5,
        "preview_every": 0,
        "budget": {"faces": 300, "texture_px": 64},
    }
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text(json.dumps(job) + "\n")
    plan = plan_of(jobs).plan
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    assert Process(jobs, calm, 1, real=True).finish(600) == 0
    batch = Process(jobs, stormy, 1, real=True)
    batch.wait_for(lambda event: event.get("state") == "done", 600)
    batch.wait_step(10, 600)
    batch.kill_all()
    again = Process(jobs, stormy, 1, real=True)
    assert again.finish(600) == 0
    assert 1 <= len(again.began()) < 3
    for job in plan.jobs:
        ours, theirs = folder_of(calm, job.id), folder_of(stormy, job.id)
        assert (ours / "asset.glb").read_bytes() == (theirs / "asset.glb").read_bytes()
        assert (ours / "sheet.png").read_bytes() == (theirs / "sheet.png").read_bytes()
