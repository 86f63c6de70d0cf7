"""Batches with workers that compute nothing: run once, run twice, changed, failed, quarantined."""

import json
import shutil

import pytest
from PIL import Image

from backend.batch.check_job import card_of
from backend.batch.plan import folder_of, standings
from backend.errors import ResourceError, UserError
from backend.serve.store import Store


def _report(out, job):
    return json.loads((folder_of(out, job.id) / "report.json").read_text())


def _failed(out, job):
    return json.loads((folder_of(out, job.id) / "failed.json").read_text())


def _pictures(folder):
    folder.mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
        (folder / f"{colour}.txt").write_text(f"a {colour} cup")
    return folder


def _files(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.glob("jobs/**/*")) if path.is_file()}


def test_all_jobs_run_and_running_again_changes_nothing(planned, run, out):
    plan = planned({"prompt": "a cup", "seed": list(range(8))})
    outcome, watch = run(plan, workers=2)
    assert len(outcome.done) == 8 and not outcome.failed and not outcome.left and not outcome.stopped
    assert set(standings(plan, out).values()) == {"done"}
    assert watch.boards[-1].done == 8 and watch.boards[-1].per_hour > 0 and not watch.boards[-1].running
    before, page = _files(out), (out / "plan.json").read_bytes()
    again, watch = run(plan, workers=2)
    assert again.done == outcome.done and not watch.states and _files(out) == before and (out / "plan.json").read_bytes() == page


def test_changed_jobs_alone_are_done_again(planned, run, out):
    first = planned({"prompt": "a cup", "seed": [0, 1, 2]})
    run(first)
    before = _files(out)
    second = planned({"prompt": "a cup", "seed": [0, 1]}, {"prompt": "a cup", "seed": 2, "slack": 0.5})
    outcome, watch = run(second)
    assert len(outcome.done) == 3 and watch.began() == [second.jobs[2].id]
    assert {path: data for path, data in _files(out).items() if path in before} == before
    (folder_of(out, second.jobs[0].id) / "report.json").unlink()
    assert run(second)[1].began() == [second.jobs[0].id], "what was taken away is made again"


def test_a_sweep_that_grows_leaves_alone_what_is_done(planned, run, out):
    (first,) = planned({"prompt": "a cup", "seed": 0}).jobs
    run(planned({"prompt": "a cup", "seed": 0}))
    grown = planned({"prompt": "a cup", "seed": [0, 1]})
    assert grown.jobs[0].hash == first.hash and grown.jobs[0].id != first.id
    outcome, watch = run(grown)
    assert outcome.done == (first.id, grown.jobs[1].id) and watch.began() == [grown.jobs[1].id]
    assert run(planned({"prompt": "a cup", "seed": 0}))[1].began() == []


def test_a_prior_that_has_moved_matters_to_its_own_jobs_alone(planned, run, tmp_path):
    prior = _pictures(tmp_path / "pictures")
    first = planned({"prompt": "a cup", "prior": f"exemplar:{prior}"})
    assert run(first)[0].done
    moved = prior.rename(tmp_path / "elsewhere")
    card_of.cache_clear()  # as in a process of its own
    outcome, watch = run(planned({"prompt": "a cup", "prior": f"exemplar:{moved}"}, {"prompt": "a vase"}))
    assert len(outcome.done) == 2 and len(watch.began()) == 1


def test_what_fails_stays_failed_and_the_rest_goes_on(planned, run, out):
    plan = planned({"prompt": "broken"}, {"prompt": "a cup"}, {"prompt": "a slippery vase"}, {"prompt": "a fish"})
    broken, _, twice, _ = plan.jobs
    outcome, watch = run(plan)
    assert len(outcome.done) == 2 and list(outcome.failed) == [broken.id, twice.id]
    assert watch.began().count(broken.id) == 1, "what trying again does not cure is not tried again"
    assert watch.began().count(twice.id) == 2
    assert _failed(out, broken) == {
        "sentence": "It broke.",
        "hint": "Try another seed.",
        "code": "numerical",
        "attempts": [{"sentence": "It broke.", "worker": "cpu", "step": 0, "code": "numerical"}],
    }
    assert [attempt["step"] for attempt in _failed(out, twice)["attempts"]] == [5, 5]
    again, watch = run(plan)
    assert again.failed == outcome.failed and not watch.states
    again, watch = run(plan, retry_failed=True)
    assert again.failed == outcome.failed and set(watch.began()) == {broken.id, twice.id}
    assert len(_failed(out, twice)["attempts"]) == 2, "earlier ones count no more"


def test_a_slip_is_forgiven_once(planned, run, out):
    plan = planned({"prompt": "a flaky cup"})
    outcome, watch = run(plan)
    assert len(outcome.done) == 1 and _report(out, plan.jobs[0])["attempt"] == 2
    assert not (folder_of(out, plan.jobs[0].id) / "failed.json").exists() and any("once more" in note for note in watch.notes)


def test_want_of_memory_is_met_with_fewer_views_once(planned, run, out):
    plan = planned({"prompt": "a hungry cup"}, {"prompt": "a starving cup"})
    hungry, starving = plan.jobs
    outcome, watch = run(plan)
    assert outcome.done == (hungry.id,) and list(outcome.failed) == [starving.id]
    report = _report(out, hungry)
    assert report["resolved"]["stages"][0]["views"] == 2 and report["first"] == 0
    assert _failed(out, starving)["code"] == "memory" and len(_failed(out, starving)["attempts"]) == 2
    assert any("fewer views" in note for note in watch.notes)


def test_a_job_that_is_made_anew_has_all_its_views_again(planned, run, out):
    plan = planned({"prompt": "a hungry cup"})
    (job,) = plan.jobs
    run(plan)
    shutil.rmtree(folder_of(out, job.id))
    _, watch = run(plan)
    assert any("fewer views" in note for note in watch.notes) and (folder_of(out, job.id) / "attempts.json").is_file()
    (folder_of(out, job.id) / "report.json").unlink()
    _, watch = run(plan)
    assert not watch.notes and _report(out, job)["resolved"]["stages"][0]["views"] == 2, "what it lacked is still noted"


def test_a_job_that_kills_its_workers_is_quarantined(planned, run, out):
    plan = planned({"prompt": "crash"}, {"prompt": "a cup", "seed": [0, 1]})
    outcome, _ = run(plan)
    assert len(outcome.done) == 2 and list(outcome.failed) == [plan.jobs[0].id]
    failed = _failed(out, plan.jobs[0])
    assert failed["code"] == "worker_lost" and "2 times" in failed["sentence"] and len(failed["attempts"]) == 2


@pytest.mark.long
def test_jobs_that_kill_their_workers_one_after_the_other_do_not_end_the_batch(planned, run):
    plan = planned(*({"prompt": "crash", "seed": seed} for seed in range(4)), {"prompt": "a cup"})
    outcome, _ = run(plan)
    assert outcome.done == (plan.jobs[4].id,) and len(outcome.failed) == 4


def test_a_lost_worker_costs_what_was_made_since_the_last_checkpoint(planned, run, out):
    plan = planned({"prompt": "trip", "steps": 60})
    outcome, _ = run(plan)
    assert outcome.done and (_report(out, plan.jobs[0])["attempt"], _report(out, plan.jobs[0])["first"]) == (2, 20)


def test_announced_results_that_are_not_there_are_a_failure(planned, run, out, monkeypatch):
    plan = planned({"prompt": "a cup"})
    run(plan)
    job = plan.jobs[0]
    (folder_of(out, job.id) / "report.json").unlink()
    monkeypatch.setattr("backend.batch.batch_dispatch.BatchDispatch.results", "elsewhere")
    outcome, _ = run(plan)
    assert list(outcome.failed) == [job.id] and len(_failed(out, job)["attempts"]) == 2


def test_jobs_that_left_the_plan_do_not_run(planned, run, out):
    store = Store(out)
    store.close()
    run(planned({"prompt": "broken"}, {"prompt": "a cup"}))
    plan = planned({"prompt": "a vase"})
    outcome, watch = run(plan)
    assert outcome.done == (plan.jobs[0].id,) and watch.began() == [plan.jobs[0].id]


def test_every_device_has_its_jobs(planned, run, out):
    plan = planned({"prompt": "a cup", "device": ["cuda", "cpu", "auto"], "seed": 0}, {"prompt": "a vase", "device": "cuda:1"})
    with pytest.raises(UserError, match="wants the device 'cuda', but the workers have cpu"):
        run(planned({"prompt": "a cup", "device": "cuda"}))
    outcome, _ = run(plan, devices=("cuda:1", "cpu"), workers=0)
    assert not outcome.left and not outcome.failed
    assert _report(out, plan.jobs[-1])["worker"] == "cuda:1"


def test_workers_that_do_not_start_end_the_batch_in_a_sentence(planned, out):
    from backend.batch.engines import LocalEngine
    from backend.batch.run import run_plan
    from tests.batch.conftest import QUICK

    plan = planned({"prompt": "a cup"})
    with pytest.raises(ResourceError, match=r"No worker starts\. Look into the logs"):
        run_plan(plan, out, LocalEngine(("cpu",), 1, ("/bin/false",), QUICK))


def test_one_batch_at_a_time_in_a_folder(planned, run, out):
    store = Store(out)
    try:
        with pytest.raises(ResourceError, match=r"Another batch runs in the folder .* with --out"):
            run(planned({"prompt": "a cup"}))
    finally:
        store.close()
