# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions and the real server, over real sockets; its worker only pretends to compute."""

import time
from dataclasses import replace

import pytest

from blender_addon.core import jobs
from blender_addon.core.adopt import adopt, match, others
from blender_addon.core.build_job import Settings
from blender_addon.core.run_until import run_until_done
from blender_addon.core.submit import submit
from blender_addon.link.runtime import close_session, dial, open_session
from protocol.events import Link
from tests.serve.peer import Server

from .fakes import SKETCH, FakeClock, FakeScene

PATIENCE_S = 120.0
SETTINGS = Settings(prompt="a red flower", steps=60)


class Blender:
    """A session on the machine's clock, with a scene of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.scene = FakeScene(FakeClock())
        self.scene.apply_s = 0.0
        self.session = open_session(folder, None, self.scene, self.scene)
        self.slowest = 0.0

    def tick(self):
        begun = time.thread_time()
        self.session.tick()
        self.slowest = max(self.slowest, time.thread_time() - begun)
        time.sleep(0.005)

    def until(self, happened):
        end = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < end, (self.session.link, self.session.rows)
            self.tick()

    def dial(self, server):
        dial(self.session, server.address, "a test")
        self.until(lambda: self.session.ready)

    def submit(self, settings=SETTINGS):
        return submit(self.session, SKETCH, settings, "flower.blend")

    def state(self, job):
        row = self.session.rows.get(job)
        return row.phase if row else "no row"

    def close(self):
        close_session(self.session)


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def blender(tmp_path):
    opened = []

    def open_one(name="blender"):
        opened.append(Blender(tmp_path / name))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_submit_watch_pause_steer_and_fetch(server, blender):
    one = blender()
    one.dial(server)
    job = one.submit()
    one.until(lambda: one.scene.shown[job]["step"] is not None)
    jobs.pause(one.session, job)
    one.until(lambda: one.state(job) == "paused")
    jobs.steer(one.session, job, "a blue flower")
    jobs.resume(one.session, job)
    row = run_until_done(one.session, job, PATIENCE_S, time.sleep)
    assert row.state.prompt == "a blue flower" and row.state.step == 60
    assert row.asset.arrays["vertices"].shape == (100_000, 3)
    assert not row.faults and not one.session.ports.notes and not one.session.log.lines
    jobs.remove(one.session, job)
    for _ in range(20):
        one.tick()
    assert not one.session.rows and not one.session.ports.records.all() and not one.session.ports.notes
    assert one.slowest < 0.1


def test_several_jobs_one_stopped(server, blender):
    one = blender()
    one.dial(server)
    first, second, third = (one.submit(replace(SETTINGS, steps=100_000 if k == 0 else 20)) for k in range(3))
    one.until(lambda: one.state(first) == "running" and one.state(third) == "queued" and one.session.rows[third].state.place == 1)
    jobs.stop(one.session, second, "discard")
    one.until(lambda: one.state(second) == "cancelled")
    jobs.stop(one.session, first, "finish")
    one.until(lambda: one.state(first) == one.state(third) == "done")
    assert one.session.rows[first].state.step < 100_000


def test_the_server_is_killed_and_started_again(tmp_path, blender):
    one = blender()
    with Server(tmp_path / "data") as server:
        one.dial(server)
        job = one.submit(replace(SETTINGS, steps=400))
        one.until(lambda: one.state(job) == "running")
        port = int(server.address.rpartition(":")[2])
        server.stop()
    one.until(lambda: one.session.link.link is Link.LOST)
    assert one.state(job) not in ("failed", "cancelled", "done")
    with Server(tmp_path / "data", port=port):
        one.until(lambda: one.session.ready)
        row = run_until_done(one.session, job, PATIENCE_S, time.sleep)
        assert row.phase == "done" and row.asset is not None and row.state.step == 400


def test_blender_is_closed_and_another_one_finds_the_job(server, blender):
    first = blender()
    first.dial(server)
    job = first.submit(replace(SETTINGS, steps=200))
    first.until(lambda: first.state(job) == "running")
    first.close()
    second = blender()
    assert match(second.session, "flower.blend") == (job,)
    second.dial(server)
    row = run_until_done(second.session, job, PATIENCE_S, time.sleep)
    assert row.phase == "done" and row.asset is not None
    assert second.session.ports.records.all()[0].token == second.session.ports.token
    third = blender()
    third.scene.objects = {}
    third.dial(server)
    assert [record.job for record in others(third.session)] == [job] and not third.session.rows
    adopt(third.session, job)
    assert run_until_done(third.session, job, PATIENCE_S, time.sleep).asset is not None


def test_two_blenders_do_not_see_each_others_jobs(server, blender):
    one, two = blender("one"), blender("two")
    one.dial(server)
    two.dial(server)
    mine, theirs = one.submit(), two.submit()
    one.until(lambda: one.state(mine) == "done")
    two.until(lambda: two.state(theirs) == "done")
    assert set(one.session.rows) == {mine} and set(two.session.rows) == {theirs}


def test_a_server_without_the_job_says_so_once(tmp_path, blender):
    with Server(tmp_path / "data") as server:
        one = blender()
        one.dial(server)
        job = one.submit()
        one.until(lambda: one.state(job) == "queued" or one.session.rows[job].state)
        one.close()
        port = int(server.address.rpartition(":")[2])
    with Server(tmp_path / "fresh", port=port) as server:
        two = blender()
        match(two.session, "flower.blend")
        two.dial(server)
        two.until(lambda: not two.session.rows)
        assert not two.session.ports.records.all()
        assert len(two.session.ports.notes) == 1 and "no longer on the server" in two.session.ports.notes[0]


def test_a_job_whose_input_the_server_refuses_can_be_dismissed(server, blender):
    one = blender()
    one.dial(server)
    job = submit(one.session, replace(SKETCH, arrays=SKETCH.arrays | {"faces": SKETCH.arrays["faces"] + 90}), SETTINGS, "")
    one.until(lambda: one.session.rows[job].faults or one.state(job) == "failed")
    assert not jobs.why_not(one.session, job, "remove")
    jobs.remove(one.session, job)
    for _ in range(40):
        one.tick()
    assert not one.session.rows and not one.session.ports.notes
