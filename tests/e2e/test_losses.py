"""Workers, brokers, links and Blenders that go away while a job runs. The result is the same as without."""

import hashlib
import io
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh

from protocol.client import Client
from protocol.events import Faulted, JobChanged, Link, LinkChanged, ResultArrived
from protocol.job import Budget, RefineJob, Steer
from tests.e2e.processes import ROOT, Artist, Server, wait_for

ARRAYS = ("vertices", "faces")


class Watcher:
    """A client in this process, pumped while waiting."""

    def __init__(self, address: str, token: str = "a" * 32) -> None:
        self.client = Client(address, token, "losses")
        self.client.connect()
        self.states: list = []
        self.faults: list = []
        self.result: ResultArrived | None = None
        self.link = Link.CONNECTING

    def pump(self) -> None:
        for event in self.client.pump(0.005):
            if isinstance(event, JobChanged):
                self.states.append(event.state)
            elif isinstance(event, ResultArrived):
                self.result = event
            elif isinstance(event, LinkChanged):
                self.link = event.link
            elif isinstance(event, Faulted):
                self.faults.append(event.fault)

    def until(self, test, deadline_s: float, why: str):
        def asked():
            self.pump()
            return test(self.states[-1]) if self.states else False

        wait_for(asked, deadline_s, why)
        return self.states[-1]


def ball():
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
    return {"vertices": mesh.vertices.astype(np.float32), "faces": mesh.faces.astype(np.int32)}


def small_job():
    return RefineJob(prompt="a red apple", seed=1, steps=60, checkpoint_every=5, preview_every=5, budget=Budget(faces=3000, texture_px=128))


def run(server, job, disturb=lambda watcher: None):
    """Submit, disturb while it runs, and wait for the arrays of the result."""
    watcher = Watcher(server.address)
    try:
        name = hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:32]
        watcher.client.submit(name, job, ball(), "ball")
        disturb(watcher)
        last = watcher.until(lambda state: state.state in ("done", "failed", "cancelled"), 300, "the end")
        assert last.state == "done", last
        watcher.client.pull(name, ARRAYS)
        wait_for(lambda: watcher.pump() or watcher.result, 30, "the result")
        return watcher.result.arrays, last
    finally:
        watcher.client.close()


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in ARRAYS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The arrays of a run that nobody disturbed."""
    with Server(tmp_path_factory.mktemp("undisturbed")) as server:
        return run(server, small_job())[0]


def killed_at(server, steps):
    """Disturb: end the worker without a word when each of these steps is reached."""

    def disturb(watcher):
        for attempt, step in enumerate(steps, start=1):
            watcher.until(lambda state, n=attempt, k=step: state.attempt == n and state.step >= k, 120, f"step {step}")
            server.workers()[0].kill()

    return disturb


@pytest.mark.long
def test_a_worker_killed_changes_nothing(server, undisturbed):
    disturbed, last = run(server, small_job(), killed_at(server, [7]))
    assert last.attempt == 2
    assert same(disturbed, undisturbed)


@pytest.mark.long
def test_a_worker_killed_at_three_random_moments_changes_nothing(server, undisturbed):
    steps = sorted(random.Random(20261121).sample(range(6, 55), 3))
    disturbed, last = run(server, small_job(), killed_at(server, steps))
    assert last.attempt == 4
    assert same(disturbed, undisturbed)


@pytest.mark.long
def test_a_broker_killed_and_started_again_changes_nothing(server, undisturbed):
    def disturb(watcher):
        watcher.until(lambda state: state.step >= 7, 120, "a checkpoint")
        server.kill()
        wait_for(lambda: watcher.pump() or watcher.link is Link.LOST, 20, "the loss to be seen")
        server.start()
        wait_for(lambda: watcher.pump() or watcher.link is Link.READY, 60, "the link")

    disturbed, _ = run(server, small_job(), disturb)
    assert same(disturbed, undisturbed)


@pytest.mark.long
def test_blender_closed_and_opened_again_brings_the_result_home(server, blender, tmp_path):
    path = str(tmp_path / "artist" / "apple.blend")
    with Artist(blender, tmp_path / "artist") as artist:
        artist.do("connect", address=server.address)
        wait_for(lambda: artist.do("rows")["link"] == "ready", 20, "the handshake")
        before = artist.do("draw_pot")
        artist.do("settings", prompt="a green apple", steps=60, faces=4000, texture_px="512")
        artist.press("sketchbridge.submit")
        (job,) = artist.do("rows")["rows"]
        artist.wait(job, "a step", lambda row: row["step"] > 0, 120)
        artist.do("save", path=path)
        stays = Artist(blender, tmp_path / "somebody else")
        with stays:
            stays.do("connect", address=server.address)
            wait_for(lambda: stays.do("rows")["link"] == "ready", 20, "the second handshake")
            assert stays.do("rows")["rows"] == {}, "one Blender sees the other's job"
    with Artist(blender, tmp_path / "artist") as artist:
        artist.do("reopen", path=path)
        artist.do("connect", address=server.address)
        done = artist.wait(job, "the result", lambda row: row["asset"] or row["state"] == "failed", 300)
        assert done["state"] == "done", done
        artist.press("sketchbridge.accept", job=job)
        after = artist.do("facts", name="Apple")
        assert after["mark"] != before["mark"] and after["matrix"] == before["matrix"]


@pytest.mark.long
def test_a_link_lost_and_found_loses_nothing(tmp_path, blender):
    with Server(tmp_path / "server") as server, Artist(blender, tmp_path / "artist") as artist:
        artist.do("connect", address=server.address)
        wait_for(lambda: artist.do("rows")["link"] == "ready", 20, "the handshake")
        artist.do("draw_pot")
        artist.do("settings", prompt="a green apple", steps=60, faces=4000, texture_px="512")
        artist.press("sketchbridge.submit")
        (job,) = artist.do("rows")["rows"]
        artist.wait(job, "a step", lambda row: row["step"] > 0, 120)
        server.kill()
        wait_for(lambda: artist.do("rows")["link"] == "lost", 20, "the loss to be seen")
        assert artist.row(job)["state"] not in ("failed", "cancelled", "done")
        server.start()
        done = artist.wait(job, "the end", lambda row: row["asset"] or row["state"] == "failed", 300)
        assert done["state"] == "done", done


@pytest.mark.long
def test_a_run_steered_paused_and_killed_equals_its_own_journal(server):
    """Red becomes blue, with a pause and two lost workers on the way; job and journal alone then give the same surface."""
    watcher = Watcher(server.address)
    name = "5" * 32
    watcher.client.submit(name, small_job(), ball(), "ball")
    watcher.until(lambda state: state.step >= 8, 120, "step 8")
    server.workers()[0].kill()
    watcher.until(lambda state: state.attempt == 2 and state.step >= 12, 120, "step 12")
    watcher.client.steer(name, Steer(prompt="a blue apple"))
    watcher.until(lambda state: state.prompt == "a blue apple" and state.step >= 20, 120, "the steering")
    watcher.client.pause(name)
    watcher.until(lambda state: state.state == "paused", 60, "the pause")
    watcher.client.resume(name)
    watcher.until(lambda state: state.state == "running" and state.step >= 60, 120, "step 60")
    server.workers()[0].kill()
    last = watcher.until(lambda state: state.state in ("done", "failed"), 400, "the end")
    assert last.state == "done", last
    watcher.client.pull(name, (*ARRAYS, "report.json"))
    wait_for(lambda: watcher.pump() or watcher.result, 30, "the result")
    watcher.client.close()
    server.stop()

    replay = subprocess.run(
        [sys.executable, "-c", REPLAY],
        input=watcher.result.files["report.json"],
        capture_output=True,
        env=server.environment,
        cwd=ROOT,
        check=True,
    )
    again = np.load(io.BytesIO(replay.stdout))
    assert same(watcher.result.arrays, again)


REPLAY = """
import io, sys
import msgspec, numpy as np, trimesh
from backend.assets.mesh import TriangleMesh
from backend.refine.control import Control
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from protocol.job import Repeat
told = msgspec.json.decode(sys.stdin.buffer.read(), type=Repeat)
mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
sketch = TriangleMesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int64))
made = refine(told.resolved, Inputs(sketch=sketch), control=Control(told.journal)).exported
answer = io.BytesIO()
np.savez(answer, vertices=made.welded_vertices, faces=made.welded.astype(np.int32))
sys.stdout.buffer.write(answer.getvalue())
"""
