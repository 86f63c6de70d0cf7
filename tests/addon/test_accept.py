# SPDX-License-Identifier: GPL-3.0-or-later
"""A result into the scene, and the walks around it: undo, redo, other files, a Blender that was closed."""

import pytest

from blender_addon.core import jobs
from blender_addon.core.accept import accept, revert, why_not_accept
from blender_addon.core.adopt import adopt, after_undo, let_go, match, others
from blender_addon.core.connect import connect
from blender_addon.core.lines import job_lines
from blender_addon.ports import Version
from protocol.errors import UserError
from protocol.messages import JobState

from .fakes import FROM_PROMPT, TOKEN, FakeServer


def text(world, job):
    return next(line.text for line in job_lines(world.session, world.clock.now()) if line.job == job)


def test_accept(world):
    job = world.finished()
    assert text(world, job) == "Finished, ready to accept"
    accepted = accept(world.session, job)
    assert accepted.uid == "uid-1" and world.scene.objects["uid-1"][-1].job == job
    assert job not in world.scene.shown
    assert job in world.records.files  # a file closed without saving still finds its result
    assert text(world, job) == "Accepted into 'Stem'"


def test_accept_waits_for_the_result_and_for_blender(world):
    job = world.submit()
    assert why_not_accept(world.session, job) == "The job has not finished yet."
    world.server.done(job)
    world.tick()
    assert why_not_accept(world.session, job) == "The result is still being fetched."
    with pytest.raises(UserError, match="fetched"):
        accept(world.session, job)
    world.server.deliver(job)
    world.tick()
    world.scene.busy = "Leave the editing mode first"
    with pytest.raises(UserError, match="editing mode"):
        accept(world.session, job)
    assert len(world.scene.objects["uid-1"]) == 1


def test_half_a_result_is_not_accepted(world):
    world.server.results = {"faces": 12, "base_colour.png": 4}
    job = world.finished()
    assert "not complete" in why_not_accept(world.session, job)


def test_a_texture_alone_is_a_whole_result_of_its_mode(world):
    world.server.results = {"base_colour.png": 4}
    job = world.finished(mode="texture")
    assert not why_not_accept(world.session, job)


def test_undo_and_redo_of_accept(world):
    job = world.finished()
    before, shown = dict(world.scene.objects), dict(world.scene.shown)
    accept(world.session, job)
    after = dict(world.scene.objects)
    world.scene.objects, world.scene.shown = before, shown  # undo
    after_undo(world.session)
    assert text(world, job) == "Finished, ready to accept" and world.row(job).preview
    world.scene.objects, world.scene.shown = after, {}  # redo
    after_undo(world.session)
    assert text(world, job).startswith("Accepted") and not world.row(job).preview


def test_a_result_that_comes_after_undo_of_the_submission_waits_in_the_list(world):
    job = world.submit()
    world.server.run(job)
    world.tick()
    world.scene.shown.clear()  # undo took the preview
    after_undo(world.session)
    world.server.done(job)
    world.tick()
    world.server.deliver(job)
    world.tick()
    accept(world.session, job)
    assert world.scene.objects["uid-1"][-1].job == job


def test_a_job_without_a_record_becomes_a_new_object(world):
    stranger = "f" * 32
    world.server.jobs[stranger] = JobState(job=stranger, state="running", label="Pot", prompt="a green pot", mode="sketch")
    world.server.owner[stranger] = TOKEN
    world.server.list_jobs()
    world.server.done(stranger)
    world.tick()
    world.server.deliver(stranger)
    world.tick()
    accepted = accept(world.session, stranger)
    assert accepted.object_name == "Pot" and world.scene.records[accepted.uid].target == ""


def test_revert(world):
    world.scene.objects["uid-1"].append(Version("Red", current=True))
    revert(world.session, "uid-1", 0)
    assert world.scene.objects["uid-1"][0].current
    for uid, index in (("uid-1", 2), ("uid-1", -1), ("gone", 0)):
        with pytest.raises(UserError) as error:
            revert(world.session, uid, index)
        assert error.value.hint


def test_another_file_is_opened_and_the_first_again(world):
    job = world.submit()
    world.server.run(job, 5)
    world.tick()
    first, shown = world.scene.objects, world.scene.shown
    let_go(world.session)
    world.scene.objects, world.scene.shown = {"uid-9": []}, {}
    match(world.session, "/home/anna/other.blend")
    world.tick()
    line = job_lines(world.session, world.clock.now())[0]
    assert line.text.startswith("Painting") and any("another file" in detail for detail in line.detail)
    let_go(world.session)
    world.scene.objects, world.scene.shown = first, shown
    assert match(world.session, "/home/anna/flower.blend") == (job,)
    world.tick(10)
    assert world.server.preview(job, 7)
    world.tick()
    assert world.scene.shown[job]["step"] == 7


def test_blender_closed_and_the_file_opened_again_while_the_job_runs(world):
    job = world.submit()
    world.server.run(job, 5)
    world.restart()
    assert match(world.session, "/home/anna/flower.blend") == (job,)
    assert text(world, job) == "From an earlier session: press Connect to find it again"
    world.connect()
    assert world.row(job).state.step == 5 and world.server.owner[job] == "b" * 64
    assert world.records.files[job].token == "b" * 64  # for the Blender after this one
    assert any("is here again" in note for note in world.session.ports.notes)
    world.server.done(job)
    world.tick()
    world.server.deliver(job)
    world.tick()
    accept(world.session, job)
    assert world.scene.objects["uid-1"][-1].job == job


def test_accepted_then_closed_without_saving_offers_the_result_again(world):
    job = world.finished()
    before = {"uid-1": list(world.scene.objects["uid-1"])}
    accept(world.session, job)
    world.restart()
    world.scene.objects = before
    match(world.session, "/home/anna/flower.blend")
    world.connect()
    world.server.deliver(job)
    world.tick()
    assert text(world, job) == "Finished, ready to accept"


def test_accepted_and_saved_is_known_as_accepted(world):
    job = world.finished()
    accept(world.session, job)
    world.restart()
    match(world.session, "/home/anna/flower.blend")
    world.connect()
    assert text(world, job) == "Accepted"


def test_a_job_from_a_prompt_belongs_to_the_file_it_began_in(world):
    job = world.submit("a blue mug", FROM_PROMPT, mode="prompt")
    world.restart()
    assert match(world.session, "/home/anna/other.blend") == ()
    assert [record.job for record in others(world.session)] == [job]
    assert match(world.session, "/home/anna/flower.blend") == (job,)
    assert not others(world.session)


def test_a_job_of_another_file_is_taken_over(world):
    job = world.submit()
    world.restart()
    world.scene.objects = {}
    world.connect()
    assert job not in world.session.rows and [record.job for record in others(world.session)] == [job]
    adopt(world.session, job)
    world.tick()
    assert world.row(job).state.state == "queued" and not others(world.session)
    with pytest.raises(UserError, match="No record"):
        adopt(world.session, job)


def test_a_sketch_that_was_not_sent_whole_is_told_with_a_remedy(world):
    def begin(job, *_):
        world.server.jobs[job] = JobState(job=job, state="uploading", last_seq=1)
        world.server.owner[job] = TOKEN
        world.server.tell(job)

    world.server.submit = begin
    world.submit()
    assert not job_lines(world.session, 0.0)[0].error, "its arrays are still here"
    world.restart()
    match(world.session, "/home/anna/flower.blend")
    world.connect()
    line = job_lines(world.session, 0.0)[0]
    assert line.text == "Not taken by the server" and "not sent whole" in line.error and "Discard" in line.hint
    assert "stop" in line.buttons


def test_a_job_that_the_server_has_forgotten_is_let_go_with_one_line(world):
    job = world.submit()
    world.restart()
    del world.server.jobs[job]
    match(world.session, "/home/anna/flower.blend")
    world.connect()
    assert job not in world.session.rows and job not in world.records.files and job not in world.scene.shown
    assert [note for note in world.session.ports.notes if "no longer on the server" in note]


def test_another_server_that_does_not_know_a_job_costs_nothing(world):
    world.session.address = "tcp://10.0.0.1:5577"
    job = world.submit()
    right = world.server
    world.restart()
    match(world.session, "/home/anna/flower.blend")
    wrong = FakeServer()
    wrong.token = "b" * 64
    connect(world.session, wrong, "tcp://10.0.0.2:5577")
    world.tick()
    assert job in world.records.files and "does not know" in text(world, job)
    connect(world.session, right, "tcp://10.0.0.1:5577")
    world.tick()
    assert world.row(job).state.state == "queued"


def test_a_preview_object_of_nobody_is_taken_away_after_a_load(world):
    world.scene.shown["e" * 32] = {}
    match(world.session, "")
    assert not world.scene.shown


def test_a_record_that_cannot_be_renewed_is_told(world):
    world.submit()
    world.restart()
    match(world.session, "/home/anna/flower.blend")
    world.records.full = True
    world.connect()
    assert any("cannot be found again" in note for note in world.session.ports.notes)


def test_two_blenders_on_one_server_do_not_see_each_others_jobs(world):
    job = world.submit()
    world.restart()
    world.records.files.clear()  # another user's folder
    world.connect()
    assert job not in world.session.rows and not others(world.session)
    jobs_there = world.server.jobs
    assert job in jobs_there
    assert jobs.why_not(world.session, job, "stop") == "There is no such job."
