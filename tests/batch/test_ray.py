"""Batches on a real Ray of two actors that see nothing of the batch's folder: the same files as on this machine, whatever dies."""

import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import trimesh
from typer.testing import CliRunner

from backend.batch.attempts import read_attempts
from backend.batch.engines import WORKER, LocalEngine, on_ray
from backend.batch.node_engine import check_prior_here
from backend.batch.plan import folder_of, plan_of
from backend.batch.run import run_plan
from backend.cli.main import app
from backend.errors import ResourceError, UserError
from backend.gallery.collect import collect
from backend.serve.workers import Deadlines
from tests.batch.conftest import IDLE, Recorder
from tests.batch.idle_engine import FAR, idle_far_away, real_far_away, unusable

REPOSITORY = Path(__file__).parents[2]
PATIENT = Deadlines(start=300.0, silence=60.0, retry=(0.05, 0.5))


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """Where the batches lie, which no actor may touch."""
    return tmp_path_factory.mktemp("batches")


@pytest.fixture
def out(far):
    return far / secrets.token_hex(4)


@pytest.fixture(scope="module")
def cluster(far):
    """A Ray of this machine, of two processors."""
    with pytest.raises(UserError):
        on_ray("nonsense")  # Ray is imported as the command does it
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv(FAR, str(far))
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
        yield ray
        ray.shutdown()


@pytest.fixture
def run(cluster, out):
    """Runs a plan on the cluster, in `out`. `act`: called with every board and the crew."""
    from backend.batch.ray_engine import RayEngine

    class Watched(RayEngine):
        @contextmanager
        def open(self, out):
            with super().open(out) as crew:
                self.crew = crew
                yield crew

    def run(plan, act=None, workers=2, load=idle_far_away, **options):
        engine, watch = Watched("auto", ("cpu",), workers, load, PATIENT), Recorder()
        if act is not None:
            watch.show = lambda board: act(board, engine.crew)
        return run_plan(plan, out, engine, watch, **options), watch

    return run


def _left(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.glob("jobs/**/*")) if path.is_file()}


def _reports(plan, out):
    return {job.id: json.loads((folder_of(out, job.id) / "report.json").read_text()) for job in plan.jobs}


def _timeless(folder):
    """The report without what the clock and the memory of a process have in it."""
    report = json.loads((folder / "report.json").read_text())
    return {key: value for key, value in report.items() if key not in ("seconds", "peak_memory_mib")}


def _on_this_machine(plan, out, command=IDLE):
    return run_plan(plan, out, LocalEngine(("cpu",), 2, command, PATIENT))


# What is said before anything runs; no cluster is up yet.


def _command(tmp_path, *options):
    (tmp_path / "jobs.txt").write_text("a cup\n")
    result = CliRunner().invoke(app, ["batch", str(tmp_path / "jobs.txt"), "--out", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.exit_code, result.stderr.removeprefix("sketchbridge: ").strip()


def test_ray_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, said = _command(tmp_path, "--engine", "ray")
    assert (code, said) == (3, "Ray is not installed. Install it with `python -m pip install -c constraints.txt -e '.[ray]'`.")


@pytest.mark.parametrize("address", ["nonsense", "ray://10.0.0.1:10001", "10.0.0.1:", "10.0.0.1:http"])
def test_addresses_that_are_none(tmp_path, address):
    code, said = _command(tmp_path, "--engine", "ray", "--ray-address", address)
    assert code == 2 and said.startswith(f"'{address}' is no address of a Ray cluster. Give HOST:PORT")


def test_an_address_where_nobody_answers(tmp_path):
    code, said = _command(tmp_path, "--engine", "ray", "--ray-address", "127.0.0.1:9")
    assert code == 3 and said.startswith("No Ray cluster answers at '127.0.0.1:9': Connection refused.")


def test_options_that_do_not_fit(tmp_path):
    code, said = _command(tmp_path, "--ray-address", "127.0.0.1:9")
    assert code == 2 and "--ray-address was given without --engine ray" in said
    code, said = _command(tmp_path, "--engine", "ray", "--devices", "cuda:1")
    assert code == 2 and "no device 'cuda:1'" in said


def test_ray_is_imported_only_when_asked_for():
    code = "import sys, backend.api, backend.batch.run, backend.cli.main; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=REPOSITORY).returncode == 0


@pytest.mark.parametrize(
    ("machines", "kind", "workers", "placed"),
    [
        ([{"CPU": 16, "GPU": 4}, {"CPU": 8}], "", 0, (("cuda",) * 4, 1)),
        ([{"CPU": 16, "GPU": 4}], "cuda", 3, (("cuda",) * 3, 1)),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 8}], "cpu", 0, (("cpu",) * 2, 8)),
        ([{"CPU": 2}], "", 2, (("cpu",) * 2, 1)),
        ([{"CPU": 12}, {"CPU": 4}], "", 4, (("cpu",) * 4, 4)),
        ([{"CPU": 12}, {"CPU": 4}], "", 5, (("cpu",) * 5, 3)),
    ],
)
def test_actors_find_room(machines, kind, workers, placed):
    from backend.batch.ray_engine import _placed

    assert _placed(machines, kind, workers) == placed


@pytest.mark.parametrize(("machines", "kind", "workers"), [([{"CPU": 2}], "cpu", 3), ([{"CPU": 2, "GPU": 1}], "cuda", 2), ([], "", 0)])
def test_more_workers_than_there_is_room_for(machines, kind, workers):
    from backend.batch.ray_engine import _placed

    with pytest.raises(UserError, match="The cluster has"):
        _placed(machines, kind, workers)


def test_a_prior_that_the_machine_lacks(tmp_path):
    check_prior_here("starter")
    check_prior_here("owner/name")
    check_prior_here(str(tmp_path))
    for prior in (tmp_path / "none", f"exemplar:{tmp_path / 'none'}"):
        with pytest.raises(UserError, match=r"of the cluster has no prior '.*none'\. Put it at the same path"):
            check_prior_here(str(prior))


# On the cluster.


def test_jobs_leave_what_they_leave_on_this_machine(planned, run, out):
    plan = planned({"prompt": "a cup", "seed": list(range(6))})
    outcome, watch = run(plan)
    assert len(outcome.done) == 6 and not outcome.left
    _on_this_machine(plan, out.with_name("here"))
    assert _left(out) == _left(out.with_name("here"))
    again, watch = run(plan)
    assert again.done == outcome.done and not watch.states


@pytest.mark.long
def test_failures_are_treated_alike(planned, run, out):
    words = ("broken", "a slippery vase", "a hungry cup", "a starving cup", "crash", "a flaky fish", "a cup")
    plan = planned(*({"prompt": word} for word in words))
    outcome, _ = run(plan)
    there = _on_this_machine(plan, out.with_name("alike"))
    assert outcome.failed == there.failed and len(outcome.failed) == 4
    assert _left(out) == _left(out.with_name("alike"))


def test_an_actor_killed_costs_what_was_made_since_the_last_checkpoint(planned, run, out, capfd):
    plan = planned({"prompt": "a cup", "seed": list(range(6)), "steps": 400, "checkpoint_every": 20})
    killed, keys = [], {job.id: job.key for job in plan.jobs}

    def kill(board, crew):
        far = [keys[each.id] for each in board.running if each.step >= 60]
        busy = [worker for worker in crew if worker.state == "busy" and worker.job in far]
        if not killed and busy:
            killed.append(int(busy[0].title))
            os.kill(killed[0], signal.SIGKILL)

    outcome, watch = run(plan, kill)
    assert len(outcome.done) == 6 and killed
    reports = _reports(plan, out)
    assert [report["steps"] for report in reports.values()] == [400] * 6
    (hit,) = (report for report in reports.values() if report["attempt"] == 2)
    assert hit["first"] >= 20 and hit["first"] % 20 == 0
    assert any("was lost at step" in note for note in watch.notes)
    assert not list(out.glob("jobs/*/checkpoint.pt"))
    assert not capfd.readouterr().out, "Ray says nothing of its own, which would break --json"


@pytest.mark.long
def test_told_to_stop_it_fetches_checkpoints_first(planned, run, out):
    plan = planned({"prompt": "a cup", "seed": list(range(4)), "steps": 400, "checkpoint_every": 1000})
    stopped_at = []

    def stop(board, crew):
        if not stopped_at and any(each.step >= 30 for each in board.running):
            stopped_at.append(max(each.step for each in board.running))
            os.kill(os.getpid(), signal.SIGTERM)

    outcome, _ = run(plan, stop)
    assert outcome.stopped and len(outcome.left) == 4
    held = [json.loads(path.read_text())["step"] for path in out.glob("jobs/*/checkpoint.pt")]
    assert held and max(held) >= stopped_at[0]
    outcome, _ = run(plan, workers=1)
    assert len(outcome.done) == 4
    firsts = [report["first"] for report in _reports(plan, out).values()]
    assert sorted(first for first in firsts if first) == sorted(held)


def test_actors_that_do_not_start_end_the_batch_in_a_sentence(planned, run, out, monkeypatch):
    monkeypatch.setattr("backend.batch.run.FAILED_STARTS", 2)
    with pytest.raises(ResourceError, match=r"No worker starts\. Look into .*ray\.log"):
        run(planned({"prompt": "a cup"}), load=unusable, workers=1)
    assert "There is no such device here." in (out / "logs" / "ray.log").read_text()


@pytest.mark.long
def test_real_runs_are_equal_to_those_of_this_machine(run, far, out, monkeypatch):
    """Bit for bit, on one thread: three small runs, the worker of one killed in between, and a mesh with a hole in its numbers."""
    from tests.priors.tiny import write_tiny_folder

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_tiny_folder(far / "node" / "tiny")
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.export(far / "ball.ply")
    ball.vertices[0] = float("nan")
    ball.export(far / "hole.ply")
    job = {
        "prompt": "a red mug",
        "prior": str(far / "node" / "tiny"),
        "preset": "quick",
        "steps": 60,
        "grid": 24,
        "checkpoint_every": 5,
        "preview_every": 0,
        "budget": {"faces": 300, "texture_px": 64},
    }
    lines = ({**job, "sketch": "ball.ply", "seed": [0, 1, 2]}, {**job, "sketch": "hole.ply"})
    (far / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = plan_of(far / "jobs.jsonl").plan
    killed = []

    def kill(board, crew):
        for worker in crew:
            if not killed and worker.underway and any(each.step >= 10 for each in board.running):
                killed.append(int(worker.title))
                os.kill(killed[0], signal.SIGKILL)

    outcome, _ = run(plan, kill, load=real_far_away)
    there = _on_this_machine(plan, far / "there", WORKER)
    assert killed and len(outcome.done) == 3 and outcome.failed == there.failed and len(there.failed) == 1
    (hit,) = (read_attempts(folder_of(out, job)) for job in outcome.done if read_attempts(folder_of(out, job)))
    assert [attempt.code for attempt in hit] == ["worker_lost"] and hit[0].step >= 5
    for job in outcome.done:
        ours, theirs = folder_of(out, job), folder_of(far / "there", job)
        assert (ours / "asset.glb").read_bytes() == (theirs / "asset.glb").read_bytes()
        assert (ours / "sheet.png").read_bytes() == (theirs / "sheet.png").read_bytes()
        assert _timeless(ours) == _timeless(theirs)


@pytest.mark.long
def test_a_night_on_actors_leaves_the_table_of_this_machine(run, far, out, monkeypatch):
    """Four sketches, three methods, two seeds with the shipped prior, a few steps each; one actor killed at step 6 of a job or later."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plan = plan_of(REPOSITORY / "examples" / "night.toml", {"steps": 12, "checkpoint_every": 3, "preview_every": 0}).plan
    killed = []

    def kill(board, crew):
        for worker in crew:
            if not killed and board.done >= 5 and worker.underway and any(each.step >= 6 for each in board.running):
                killed.append(int(worker.title))
                os.kill(killed[0], signal.SIGKILL)

    outcome, _ = run(plan, kill, load=real_far_away)
    there = _on_this_machine(plan, far / "night", WORKER)
    assert killed and len(outcome.done) == len(there.done) == 24
    ours, theirs = (collect(folder).rows for folder in (out, far / "night"))
    timed = {"total_s", "steps_s", "phases_s", "peak_memory_mib"}
    assert [{k: v for k, v in row.items() if k not in timed} for row in ours] == [
        {k: v for k, v in row.items() if k not in timed} for row in theirs
    ]
    assert [each.code for job in outcome.done for each in read_attempts(folder_of(out, job))] == ["worker_lost"]
