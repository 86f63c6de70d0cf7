"""`sketchbridge batch` from outside: exit codes, lines for machines, refusals before anything is made."""

import json
from functools import partial

import pytest
from typer.testing import CliRunner

from backend.batch.engines import LocalEngine
from backend.batch.pilot import Cost, estimates, make_pilots
from backend.batch.plan import plan_of
from backend.batch.run import Outcome
from backend.cli.main import app
from backend.errors import UserError
from tests.batch.conftest import IDLE, QUICK


@pytest.fixture
def batch(monkeypatch, tmp_path, out):
    monkeypatch.setattr("backend.cli.batch.engine_on", lambda devices, workers: LocalEngine(("cpu",), workers, IDLE, QUICK))

    def batch(*lines, options=()):
        (tmp_path / "jobs.txt").write_text("\n".join(lines) + "\n")
        return CliRunner().invoke(app, ["batch", str(tmp_path / "jobs.txt"), "--out", str(out), *options])

    return batch


def test_all_done_is_0_and_some_failed_is_5(batch, out):
    result = batch("a cup", "a vase", options=["--json", "--set", "steps=3", "--set", "budget.faces=500"])
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1] == {"event": "end", "done": 2, "failed": {}, "left": 0, "stopped": False, "out": str(out)}
    assert {event["state"] for event in events if event["event"] == "job"} >= {"preparing", "done"}
    plan = json.loads((out / "plan.json").read_text())
    assert [job["job"]["budget"]["faces"] for job in plan["jobs"]] == [500, 500]
    result = batch("a cup", "a vase", "broken", options=["--set", "steps=3"])
    assert result.exit_code == 5, result.output
    assert "It broke." in result.stderr and "done, 1 failed" in result.stderr
    assert (out / "table.csv").is_file() and (out / "index.html").is_file()


def test_a_bad_file_makes_nothing(batch, out):
    result = batch("a cup", options=["--set", "sede=3"])
    assert result.exit_code == 2 and not out.exists()
    assert result.stderr.splitlines()[0].startswith("sketchbridge: ") and len(result.stderr.splitlines()) == 1
    assert "The settings given for all jobs: The job has no setting 'sede'. Did you mean 'seed'?" in result.stderr
    assert batch("# nothing").exit_code == 2 and not out.exists()


def test_a_batch_that_was_stopped_ends_without_drawing_a_page(batch, out, monkeypatch):
    stopped = partial(Outcome, out, (), left=("a-cup-12345678",), stopped=True)
    monkeypatch.setattr("backend.batch.run.run_plan", lambda *_, **__: stopped())
    result = batch("a cup")
    assert result.exit_code == 130 and f"sketchbridge report {out}" in " ".join(result.stderr.split())
    assert not (out / "index.html").exists() and not (out / "table.csv").exists()


def test_a_job_that_cannot_be_measured_leaves_the_others_their_estimate(tmp_path, out):
    (tmp_path / "jobs.txt").write_text("a broken cup\na cup\na vase\n")
    cost = Cost(step_s=(0.5, 0.25), fixed_s=2.0, memory_mib=100.0, result_bytes=10, checkpoint_bytes=5)
    asked = []

    def measure(job):
        asked.append(job.prompt)
        if "broken" in job.prompt:
            raise UserError("The mesh is broken.")
        return cost

    jobs = plan_of(tmp_path / "jobs.txt", {"preset": "quick"}).plan.jobs
    costs, failed = make_pilots(jobs, "cpu", out, measure, lambda made, total: None)
    assert asked == ["a broken cup", "a cup"] and failed == {jobs[0].id: "The mesh is broken."}
    assert {round(each.seconds) for each in estimates(jobs, "cpu", costs).values()} == {2 + 100 + 15}
    costs, failed = make_pilots(jobs[:1], "cuda:0", out, measure, lambda made, total: None)
    assert list(failed) == [jobs[0].id] and estimates(jobs[:1], "cuda:0", costs) == {}
