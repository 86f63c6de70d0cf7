"""The same from Python: many jobs into a folder, one job to a server."""

import json
import warnings

import pytest

from backend.api import batch, submit
from backend.batch.engines import LocalEngine
from backend.errors import NumericalError, ResourceError, UserError
from protocol.job import RefineJob
from tests.batch.conftest import IDLE, QUICK, Recorder
from tests.gallery.folder import write_ball
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


@pytest.mark.parametrize("job", [{"prompt": "a cup", "mode": "prompt"}, RefineJob(prompt="a cup", mode="prompt")])
def test_one_job_needs_no_list(out, job):
    assert len(batch(job, out, engine=LocalEngine(("cpu",), 1, IDLE, QUICK), report=False).done) == 1


@pytest.mark.parametrize(
    ("jobs", "sentence"),
    [
        (["a mug"], "jobs, job 1: 'a mug' is no job"),
        ([{"prompt": "a cup", "mode": "prompt"}, None], "jobs, job 2: None is no job"),
        (5, "5 is no list of jobs"),
    ],
)
def test_what_is_no_job_is_refused(out, jobs, sentence):
    with pytest.raises(UserError, match=f"{sentence}. Give settings such as"):
        batch(jobs, out)
    assert not out.exists()


def test_paths_are_taken_wherever_their_text_is(tmp_path, out):
    balls = [write_ball(tmp_path / f"{red}.glb", (red, 40, 40), subdivisions=1) for red in (100, 200)]
    engine = LocalEngine(("cpu",), 1, IDLE, QUICK)
    swept = batch([{"sketch": balls, "prompt": "a ball"}], out, engine=engine, report=False)
    assert len(swept.done) == 2
    given = batch([{"prompt": "a ball"}], tmp_path / "other", engine=engine, report=False, sketch=balls[0])
    assert given.done == swept.done[:1]


@pytest.mark.parametrize("error", [ResourceError("The disk is full.", "Free some space."), RuntimeError("the disk is full")])
def test_a_report_that_fails_does_not_lose_the_outcome(out, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("backend.gallery.make", fail)
    job, engine, watch = {"prompt": "a cup", "mode": "prompt"}, LocalEngine(("cpu",), 1, IDLE, QUICK), Recorder()
    assert len(batch(job, out, engine=engine, watch=watch).done) == 1
    said = watch.notes[-1]
    assert said.startswith("The report could not be made: ") and "disk is full." in said and "sketchbridge report" in said
    with pytest.warns(UserWarning, match="The report could not be made"):
        assert len(batch(job, out, engine=engine).done) == 1


def test_a_report_that_is_made_warns_of_nothing(out):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        batch({"prompt": "broken", "mode": "prompt"}, out, engine=LocalEngine(("cpu",), 1, IDLE, QUICK))
    assert (out / "index.html").is_file()


def test_a_job_on_a_server(tmp_path):
    with Server(tmp_path / "data") as server:
        seen = []
        sent = submit(prompt="a cup", mode="prompt", steps=100, checkpoint_every=10, preview_every=5, address=server.address)
        state = sent.wait(tmp_path / "got", lambda state: seen.append(state.state))
        assert state.state == "done" and seen[-1] == "done" and len(seen) > 2
        assert json.loads((tmp_path / "got" / "report.json").read_text())["steps"] == 100
        sent.close()
        broken = submit(prompt="broken", mode="prompt", address=server.address)
        with pytest.raises(NumericalError, match="It broke"):
            broken.wait()
        broken.close()
        with pytest.raises(UserError, match="Did you mean 'quick'"):
            submit(prompt="a", mode="prompt", preset="quik", address=server.address)
