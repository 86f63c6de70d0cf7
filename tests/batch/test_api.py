"""The same from Python: many jobs into a folder, one job to a server."""

import json

import pytest

from backend.api import batch, submit
from backend.batch.engines import LocalEngine
from backend.errors import NumericalError, ResourceError, UserError
from protocol.job import RefineJob
from tests.batch.conftest import IDLE, QUICK
from tests.serve.peer import Server


def test_jobs_as_settings_and_as_structs(out):
    jobs = [{"prompt": "a cup", "mode": "prompt", "seed": [0, 1]}, RefineJob(prompt="a vase", mode="prompt", seed=7)]
    engine = LocalEngine(("cpu",), 1, IDLE, QUICK)
    outcome = batch(jobs, out, engine=engine, report=False, steps=5)
    assert len(outcome.done) == 3
    reports = [json.loads((out / "jobs" / job / "report.json").read_text()) for job in outcome.done]
    assert [(report["job"]["seed"], report["steps"]) for report in reports] == [(0, 5), (1, 5), (7, 40)]
    with pytest.raises(UserError, match="jobs, job 2: The job has no setting 'promt'"):
        batch([jobs[0], {"promt": "a"}], out, engine=engine)
    with pytest.raises(UserError, match="no job to run"):
        batch([], out, engine=engine)


def test_a_job_on_a_server(tmp_path):
    with Server(tmp_path / "data") as server:
        seen = []
        sent = submit(prompt="a cup", mode="prompt", steps=20, checkpoint_every=10, preview_every=5, address=server.address)
        state = sent.wait(tmp_path / "got", lambda state: seen.append(state.state))
        assert state.state == "done" and seen[-1] == "done" and len(seen) > 2
        assert json.loads((tmp_path / "got" / "report.json").read_text())["steps"] == 20
        sent.close()
        broken = submit(prompt="broken", mode="prompt", address=server.address)
        with pytest.raises(NumericalError, match="It broke"):
            broken.wait()
        broken.close()
        refused = submit(prompt="a", mode="prompt", preset="quik", address=server.address)
        with pytest.raises(UserError, match="Did you mean 'quick'"):
            refused.wait()
        refused.close()


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setattr("backend.batch.remote.CONNECT_S", 0.3)
    sent = submit(prompt="a cup", mode="prompt", address="tcp://127.0.0.1:9")
    with pytest.raises(ResourceError, match="does not answer"):
        sent.wait()
    sent.close()
