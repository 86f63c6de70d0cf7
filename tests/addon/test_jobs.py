# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a job, when, and in which words it is refused."""

import pytest

from blender_addon.core import jobs
from blender_addon.core.lines import job_lines
from protocol.errors import UserError
from protocol.events import Faulted
from protocol.messages import Fault

POSSIBLE = {
    "queued": {"pause", "stop", "steer", "preview", "report"},
    "preparing": {"pause", "stop", "steer", "preview", "report"},
    "running": {"pause", "stop", "finish", "steer", "preview", "report"},
    "paused": {"resume", "stop", "finish", "steer", "preview", "report"},
    "finishing": {"stop", "preview", "report"},
    "done": {"preview", "remove", "report", "accept"},
    "failed": {"preview", "remove", "report", "retry"},
    "cancelled": {"preview", "remove", "report"},
}


@pytest.mark.parametrize("state", POSSIBLE)
def test_the_buttons_of_each_state(world, state):
    job = world.submit()
    world.server.move(job, step=5, steps=10)
    if state == "failed":
        world.server.fail(job)
    elif state == "done":
        world.server.done(job)
        world.tick()
        world.server.deliver(job)
    else:
        world.server.move(job, state=state)
    world.tick()
    assert job_lines(world.session, world.clock.now())[0].buttons == POSSIBLE[state]
    for verb in set(jobs.VERBS) - POSSIBLE[state]:
        reason = jobs.why_not(world.session, job, verb)
        assert reason.endswith(".") and reason[0].isupper(), verb


def test_each_verb_reaches_the_server(world):
    job = world.submit()
    world.server.run(job, 5)
    world.tick()
    jobs.pause(world.session, job)
    world.tick()
    assert world.server.jobs[job].state == "paused"
    jobs.steer(world.session, job, "  a blue flower ")
    world.tick()
    assert world.server.steered[job] == "a blue flower" and world.row(job).state.prompt == "a blue flower"
    jobs.resume(world.session, job)
    world.tick()
    assert world.server.jobs[job].state == "queued"
    world.server.run(job, 6)
    world.tick()
    jobs.stop(world.session, job, "finish")
    world.tick()
    assert world.server.jobs[job].state == "finishing"
    jobs.stop(world.session, job, "discard")
    world.tick()
    assert world.server.jobs[job].state == "cancelled"
    jobs.remove(world.session, job)
    assert job not in world.server.jobs


def test_a_wish_is_shown_until_the_server_has_carried_it_out(world):
    job = world.submit()
    world.server.run(job, 5)
    world.tick()
    world.server.pause = lambda job: world.server.move(job, last_command=1)  # taken, not yet done
    jobs.pause(world.session, job)
    world.tick()
    line = job_lines(world.session, world.clock.now())[0]
    assert line.text == "Pausing" and "pause" not in line.buttons
    world.server.move(job, state="paused")
    world.tick()
    assert job_lines(world.session, world.clock.now())[0].text == "Paused"


def test_a_refused_wish_is_over_and_told(world):
    job = world.submit()
    world.server.run(job, 5)
    world.tick()
    fault = Fault(code="state", sentence="The job is finishing.", hint="Wait for it.")
    world.server.pause = lambda job: world.server.events.append(Faulted(job, fault))
    jobs.pause(world.session, job)
    world.tick()
    line = job_lines(world.session, world.clock.now())[0]
    assert (line.error, line.hint) == ("The job is finishing.", "Wait for it.")
    assert line.text.startswith("Painting") and "pause" in line.buttons


def test_without_a_connection_only_what_needs_none(world):
    job = world.finished()
    world.server.lose()
    world.tick()
    assert job_lines(world.session, world.clock.now())[0].buttons == {"accept", "preview", "remove", "report"}
    for ask in (jobs.pause, jobs.resume, jobs.retry):
        with pytest.raises(UserError, match="Press Connect"):
            ask(world.session, job)
    with pytest.raises(UserError, match="no connection"):
        jobs.release_memory(world.session)


def test_a_preview_stays_after_a_failure_until_it_is_dismissed(world):
    job = world.submit()
    world.server.run(job, 5)
    world.server.fail(job, retryable=False)
    world.tick(5)
    line = job_lines(world.session, world.clock.now())[0]
    assert job in world.scene.shown and "Remove" in " ".join(line.detail)
    assert (line.error, line.hint) == ("The colours ran away.", "Lower the guidance.")
    assert "anew" in jobs.why_not(world.session, job, "retry")
    jobs.remove(world.session, job)
    assert job not in world.scene.shown and not world.records.files


def test_a_submission_that_the_server_refuses_can_be_removed(world):
    fault = Fault(code="input", sentence="The sketch has no faces.", hint="Add some.")
    world.server.submit = lambda job, *_: world.server.events.append(Faulted(job, fault))
    job = world.submit()
    line = job_lines(world.session, world.clock.now())[0]
    assert line.error == "The sketch has no faces." and line.text == "Not taken by the server"
    assert line.buttons == {"remove", "report", "preview"}
    jobs.remove(world.session, job)
    assert not world.session.rows and not world.scene.shown and not world.records.files


def test_a_result_that_did_not_arrive_is_fetched_again(world):
    job = world.submit()
    world.server.done(job)
    world.tick()
    world.server.events.append(Faulted(job, Fault(code="digest", sentence="The result was damaged on its way.", hint="Fetch it again.")))
    world.tick()
    assert jobs.why_not(world.session, job, "accept") == "The job left no result."
    del world.server.pulled[job]
    jobs.retry(world.session, job)
    world.server.deliver(job)
    world.tick()
    assert not jobs.why_not(world.session, job, "accept") and not world.row(job).faults


def test_steering_needs_words(world):
    job = world.submit()
    with pytest.raises(UserError, match="prompt is empty"):
        jobs.steer(world.session, job, " ")


def test_memory_is_released(world):
    jobs.release_memory(world.session)
    assert world.server.released == 1


def test_jobs_do_not_mix(world):
    one, two = world.submit(), world.submit("a blue mug")
    world.server.run(one, 10)
    world.server.run(two, 20)
    world.tick()
    jobs.pause(world.session, one)
    world.tick()
    assert world.row(one).state.state == "paused" and world.row(two).state.state == "running"
    titles = [line.title for line in job_lines(world.session, world.clock.now())]
    assert titles == ["Stem: a blue mug", "Stem: a red flower"]


def test_a_prompt_that_waits_for_the_run_is_told(world):
    job = world.submit()
    jobs.steer(world.session, job, " a blue flower ")
    assert "It goes on as 'a blue flower'." in job_lines(world.session, 0.0)[0].detail
    world.tick()
    assert world.row(job).state.prompt == "a blue flower"
    assert not world.row(job).asked_prompt and "goes on" not in " ".join(job_lines(world.session, 0.0)[0].detail)
