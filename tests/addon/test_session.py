# SPDX-License-Identifier: GPL-3.0-or-later
"""Events into rows: in any order, twice, for jobs nobody knows, over lost links, and within the time of a tick."""

import itertools
import time

import pytest

from blender_addon.core import connect, jobs
from blender_addon.core.lines import job_lines, server_lines
from blender_addon.core.run_until import run_until_done
from protocol.errors import ResourceError
from protocol.events import Faulted, JobChanged, JobsListed, Link, Pulling, RemarkArrived, ResultArrived, StatusChanged, Uploading
from protocol.messages import Fault, JobState, Remark, Status

from .fakes import World, surface


def test_connecting_brings_the_offer(world):
    assert world.session.link.link is Link.READY
    assert world.session.welcome.server == "sketchbridge 0.1"
    assert world.session.status.devices[0].name == "cpu"


def test_a_lost_link_ends_nothing_and_comes_back(world):
    job = world.submit()
    world.server.run(job, 20)
    world.tick()
    world.server.lose()
    world.tick()
    assert world.session.link.link is Link.LOST and world.row(job).state.state == "running"
    world.server.jobs[job] = JobState(job=job, state="paused", last_seq=9)  # while nobody listened
    world.server.back()
    world.tick()
    assert world.row(job).state.state == "paused"


def test_a_job_that_the_list_leaves_out_is_asked_for_before_anything_is_said(world):
    """Lists are cut where they are long; only the answer to a question about the job says that it is gone."""
    job, gone = world.submit(), world.submit()
    world.server.run(job)
    world.server.run(gone)
    world.tick()
    del world.server.jobs[gone]
    world.server.events.append(JobsListed(()))
    world.tick()
    assert not world.row(job).unknown and world.row(job).state.state == "running"
    assert world.row(gone).unknown and world.row(gone).state.state == "running"  # its end is not made up
    assert jobs.why_not(world.session, gone, "pause") and not jobs.why_not(world.session, gone, "remove")


def test_the_result_of_a_finished_job_is_fetched_by_itself(world):
    job = world.finished()
    assert world.server.pulled[job] == ("vertices", "faces", "loop_uv", "base_colour.png", "normal.png")
    assert set(world.row(job).asset.arrays) == {"vertices", "faces", "loop_uv"}
    assert set(world.row(job).asset.files) == {"base_colour.png", "normal.png"}


def test_only_what_the_result_has_is_fetched(world):
    world.server.results = {"base_colour.png": 4, "asset.obj": 9}
    job = world.submit()
    world.server.done(job)
    world.tick()
    assert world.server.pulled[job] == ("base_colour.png",)


def test_progress_that_the_end_has_overtaken_changes_nothing(world):
    job = world.submit()
    world.server.run(job, 50)
    late = world.server.jobs[job]
    world.server.done(job)
    world.server.events.append(JobChanged(late))
    world.tick()
    assert world.row(job).state.state == "done"


def test_a_failed_job_that_runs_again_has_no_fault_left(world):
    job = world.submit()
    world.server.fail(job)
    world.tick()
    jobs.retry(world.session, job)
    world.tick()
    assert world.row(job).state.state == "queued" and not world.row(job).faults


def test_a_job_of_this_token_without_a_record_is_shown(world):
    world.server.jobs["f" * 32] = JobState(job="f" * 32, state="running", label="Pot", prompt="a green pot")
    world.server.owner["f" * 32] = world.server.token
    world.server.list_jobs()
    world.tick()
    line = job_lines(world.session, world.clock.now())[0]
    assert line.title == "Pot: a green pot" and any("earlier session" in detail for detail in line.detail)
    assert "f" * 32 in world.server.attached


def test_events_in_every_order_twice_and_for_strangers():
    """No order of events breaks a tick, and the last word on the job is what the row holds."""
    events = [
        JobChanged(JobState(job="1" * 32, state="running", last_seq=2, step=5)),
        surface("1" * 32, 5),
        ResultArrived("1" * 32),
        Faulted("1" * 32, Fault(code="state", sentence="It is not paused.")),
        Faulted("1" * 32, Fault(code="unknown_job", sentence="Unknown.")),
        JobsListed((JobState(job="2" * 32, state="queued"),)),
    ]
    for order in itertools.permutations(events):
        world = World()
        world.connect()
        mine = world.submit()
        for event in (*order, *reversed(order), Pulling("3" * 32, 1, 2), Uploading("3" * 32, 1, 2), StatusChanged(Status())):
            world.server.events.append(event)
            world.session.tick()
        assert world.session.link.link is Link.READY
        assert not world.session.log.lines
        assert world.row(mine).state.state == "queued"
        job_lines(world.session, world.clock.now())


def test_replies_after_remove_are_passed_over(world):
    job = world.finished()
    jobs.remove(world.session, job)
    world.server.events += [
        JobChanged(JobState(job=job, state="running")),
        surface(job, 3),
        ResultArrived(job),
        RemarkArrived(job, Remark(text="late")),
        Faulted(job, Fault(code="state", sentence="late")),
    ]
    world.tick()
    assert job not in world.session.rows and job not in world.records.files and job not in world.scene.shown
    assert not world.session.ports.notes


def test_what_was_removed_while_away_is_forgotten_at_the_server_later(world):
    job = world.finished()
    world.server.lose()
    world.tick()
    jobs.remove(world.session, job)
    assert job in world.server.jobs
    world.server.back()
    world.tick()
    assert job not in world.server.jobs and job not in world.session.rows


def test_remarks_are_kept_once(world):
    job = world.submit()
    world.server.events += [RemarkArrived(job, Remark(text="The sketch has holes.", level="warning"))] * 3
    world.tick()
    assert len(world.row(job).remarks) == 1
    assert "Warning: The sketch has holes." in job_lines(world.session, world.clock.now())[0].detail


def test_three_errors_in_a_row_end_the_connection_and_connect_begins_anew(world):
    world.server.broken = RuntimeError("a fault of our own")
    for expected in (Link.READY, Link.READY, Link.REFUSED, Link.REFUSED):
        assert world.session.tick() in (True, False)
        assert world.session.link.link is expected
    assert world.session.link.kind == "internal"
    assert any("Copy Report" in line.text for line in server_lines(world.session, world.clock.now()))
    world.server.broken = None
    connect.connect(world.session)
    world.tick()
    assert world.session.link.link is Link.READY


def test_two_errors_are_forgiven(world):
    for _ in range(3):
        for broken in (RuntimeError("once"), RuntimeError("twice"), None):
            world.server.broken = broken
            world.session.tick()
    assert world.session.link.link is Link.READY


def test_one_bad_event_costs_itself_only(world):
    job = world.submit()
    world.server.events.append(object())
    world.server.run(job, 7)
    world.tick(3)
    assert world.row(job).state.step == 7


def test_a_flood_is_taken_in_several_ticks(world):
    job = world.submit()

    class Slow(FakeTime):
        cost = 0.001

    slow = Slow(world.clock.now())
    world.session.ports.clock = slow
    for step in range(100):
        world.server.run(job, step)
    started = slow.time
    world.session.tick(0.008)
    assert slow.time - started < 0.02
    assert world.row(job).state.step < 99
    for _ in range(60):
        world.session.tick(0.008)
    assert world.row(job).state.step == 99


class FakeTime:
    """A clock on which every look takes time."""

    cost = 0.0

    def __init__(self, start: float) -> None:
        self.time = start

    def now(self) -> float:
        self.time += self.cost
        return self.time

    def wall(self) -> float:
        return self.time


def test_an_idle_tick_costs_next_to_nothing(world):
    for _ in range(20):
        world.server.run(world.submit())
    world.tick()
    for job in world.server.jobs:
        world.server.credit[job] = 0
    taken = []
    for _ in range(10):
        began = time.thread_time()
        for _ in range(500):
            world.session.tick()
        taken.append((time.thread_time() - began) / 500)
    assert min(taken) < 0.0003  # of 8 ms that a tick may take


def test_run_until_done(world):
    job = world.submit()

    def wait(seconds):
        world.clock.wait(seconds)
        state = world.server.jobs[job].state
        if state == "queued":
            world.server.run(job)
        elif state == "running":
            world.server.done(job)
        elif job in world.server.pulled and world.row(job).asset is None:
            world.server.deliver(job)

    row = run_until_done(world.session, job, 60.0, wait)
    assert row.state.state == "done" and row.asset is not None


def test_run_until_done_gives_up_in_words(world):
    job = world.submit()
    with pytest.raises(ResourceError, match="within 5 s; it is 'queued'"):
        run_until_done(world.session, job, 5.0, world.clock.wait)
    world.server.fail(job)
    assert run_until_done(world.session, job, 5.0, world.clock.wait).state.fault.code == "numerical"
    with pytest.raises(ResourceError, match="holds no job"):
        run_until_done(world.session, "0" * 32, 5.0, world.clock.wait)
