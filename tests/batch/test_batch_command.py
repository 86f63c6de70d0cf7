"""`sketchbridge batch` from outside: exit codes, lines for machines, refusals before anything is made."""

import json

import pytest
from typer.testing import CliRunner

from backend.batch.engines import LocalEngine
from backend.cli.main import app
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
    assert "jobs.txt, line 1: The job has no setting 'sede'. Did you mean 'seed'?" in result.stderr
    assert batch("# nothing").exit_code == 2 and not out.exists()
