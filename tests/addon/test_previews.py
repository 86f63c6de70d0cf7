# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews by credit: the newest wins, nothing is asked for that cannot be shown, undo closes the stream."""

import pytest

from blender_addon.core import jobs
from blender_addon.core.adopt import after_undo
from protocol.errors import UserError

from .fakes import surface


def start(world, **settings):
    job = world.submit(**settings)
    world.server.run(job)
    world.tick()
    return job


def test_the_first_preview_is_asked_for_when_the_job_starts(world):
    job = world.submit()
    assert not world.server.credit.get(job)
    world.server.run(job)
    world.tick()
    assert world.server.credit[job] == 1
    assert world.server.preview(job, 1)
    world.tick()
    assert world.scene.shown[job]["step"] == 1


def test_a_quick_apply_is_followed_at_the_wanted_pace(world):
    job = start(world)
    assert count_in(world, job, 2.0) == pytest.approx(10, abs=2)


def test_a_slow_apply_takes_a_tenth_of_the_time(world):
    world.scene.apply_s = 0.1
    job = start(world)
    assert count_in(world, job, 5.5) == pytest.approx(5, abs=1)


def count_in(world, job, seconds):
    until = world.clock.now() + seconds
    shown = 0
    while world.clock.now() < until:
        world.tick(1, 0.01)
        shown += world.server.preview(job, shown + 1)
    return shown


def test_only_the_newest_is_applied(world):
    job = start(world)
    world.server.events += [surface(job, step) for step in (1, 2, 3)]
    world.tick()
    assert world.scene.shown[job] == {"step": 3, "rebuilt": 1, "moved": 0}


def test_the_topology_is_compared_with_what_was_applied(world):
    job = start(world)
    for step, topology in ((1, "a"), (2, "a"), (3, "b"), (4, "b")):
        world.server.events.append(surface(job, step, topology))
        world.tick()
    assert world.scene.shown[job] == {"step": 4, "rebuilt": 2, "moved": 2}
    world.server.events += [surface(job, 5, "c"), surface(job, 6, "c")]  # 5 is never shown
    world.tick()
    assert world.scene.shown[job]["rebuilt"] == 3
    world.server.events.append(surface(job, 7, "c", vertices=9))  # a peer that gives the same name to another surface
    world.tick()
    assert world.scene.shown[job]["rebuilt"] == 4


def test_nothing_is_applied_or_asked_for_while_blender_is_busy(world):
    job = start(world)
    world.scene.busy = "A render is running"
    world.server.preview(job, 1)
    world.tick(20)
    assert world.scene.shown[job]["step"] is None and world.server.credit[job] == 0
    world.scene.busy = ""
    world.tick(6)
    assert world.scene.shown[job]["step"] == 1 and world.server.credit[job] == 1


def test_undo_of_the_preview_closes_the_stream(world):
    job = start(world)
    world.server.preview(job, 1)
    del world.scene.shown[job]
    world.tick(10)
    assert not world.row(job).preview and world.server.credit[job] == 0
    assert job not in world.scene.shown
    world.server.run(job, 50)
    world.tick(10)
    assert world.server.credit[job] == 0
    assert world.row(job).state.step == 50  # the job itself goes on


def test_redo_opens_it_again(world):
    job = start(world)
    taken = world.scene.shown.pop(job)
    after_undo(world.session)
    assert not world.row(job).preview
    world.scene.shown[job] = taken
    after_undo(world.session)
    world.tick(10)
    assert world.server.preview(job, 8)
    world.tick()
    assert world.scene.shown[job]["step"] == 8


def test_undo_of_remove_leaves_no_preview_that_nobody_feeds(world):
    job = start(world)
    world.server.fail(job)
    world.tick()
    jobs.remove(world.session, job)
    world.scene.shown[job] = {"step": 3, "rebuilt": 1, "moved": 0}  # undo brought the object back
    after_undo(world.session)
    assert job not in world.scene.shown


def test_after_undo_the_mesh_is_written_whole(world):
    """Undo may have put an older surface into the preview object."""
    job = start(world)
    world.server.events.append(surface(job, 1))
    world.tick()
    after_undo(world.session)
    world.server.events.append(surface(job, 2))
    world.tick()
    assert world.scene.shown[job]["rebuilt"] == 2


def test_hide_and_show(world):
    job = start(world)
    with pytest.raises(UserError):
        jobs.show_preview(world.session, job)
    jobs.hide_preview(world.session, job)
    world.tick(10)
    assert job not in world.scene.shown and not jobs.why_not(world.session, job, "preview")
    jobs.show_preview(world.session, job)
    world.tick(10)
    assert world.server.preview(job, 4)
    world.tick()
    assert world.scene.shown[job]["step"] == 4


def test_credit_is_given_anew_after_a_lost_link_and_after_a_pause(world):
    job = start(world)
    world.server.lose()
    world.tick()
    assert not world.server.credit
    world.server.back()
    world.tick()
    assert world.server.credit[job] == 1
    jobs.pause(world.session, job)
    world.tick()
    world.server.credit.clear()
    world.tick(10)
    assert not world.server.credit
    world.server.run(job, 30)
    world.tick()
    assert world.server.credit[job] == 1


def test_several_jobs_share_the_tick(world):
    ours = [start(world, seed=seed) for seed in range(4)]
    world.scene.apply_s = 0.02  # more than a tick each
    for job in ours:
        world.server.preview(job, 5)
    before = world.clock.now()
    world.session.tick()
    assert world.clock.now() - before == pytest.approx(0.02)  # one apply, the rest waits
    world.tick(4)
    assert [world.scene.shown[job]["step"] for job in ours] == [5] * 4


def test_a_preview_that_cannot_be_written_closes_its_stream_only(world):
    job, other = start(world), start(world)
    write = world.scene.update

    def update(which, *arrays):
        if which == job:
            raise RuntimeError("the host stumbled")
        return write(which, *arrays)

    world.scene.update = update
    for which in (job, other):
        world.server.preview(which, 2)
    world.tick(4)
    assert not world.row(job).preview and world.row(other).preview
    assert world.scene.shown[other]["step"] == 2
