"""Commands in every state: numbered, taken once, recorded, and obeyed by the worker."""

import json
import secrets

import pytest

from protocol.job import Steer
from protocol.messages import ENDED, Cancel, Fault, Forget, Jobs, JobState, ListJobs, Pause, Ping, ReleaseMemory, Resume, SteerJob
from tests.serve.peer import submission, triangle


def _long(peer, **settings):
    """A job under way that ends only when told to."""
    job = peer.submit(**{"steps": 100_000, **settings})
    peer.wait_step(job, 1)
    return job


def _end(peer, job):
    peer.command(Cancel(), job)
    return peer.wait_state(job, "cancelled")


def test_a_paused_job_yields_its_worker_and_goes_on_where_it_was(shared, connect):
    peer = connect(shared)
    first, second = _long(peer), peer.submit()
    state = peer.wait_state(second, "queued")
    assert state.place == 0
    answer = peer.command(Pause(), first)
    assert isinstance(answer, JobState) and answer.last_command == 1
    paused = peer.wait_state(first, "paused")
    assert peer.wait_state(second, "done").attempt == 1
    peer.command(Resume(), first)
    peer.wait_step(first, paused.step + 1)
    assert f"attempt 2 resume True from {paused.step} " in peer.remarks(first)[-1]
    peer.command(Cancel(how="finish"), first)
    done = peer.wait_state(first, "done")
    assert done.reason.startswith("Finished early") and {each.name for each in done.results} == {"vertices", "report.json"}


def test_a_job_paused_in_the_queue_does_not_run(shared, connect):
    peer = connect(shared)
    first, second = _long(peer), peer.submit()
    peer.command(Pause(), second)
    assert peer.wait_state(second, "paused").reason == "Paused before it ran."
    _end(peer, first)
    third = peer.submit()
    assert peer.wait_state(third, "done")
    assert {state.job: state.state for state in peer.ask(ListJobs()).body.jobs}[second] == "paused"
    peer.command(Resume(), second)
    assert peer.wait_state(second, "done")


def test_resuming_before_the_pause_is_through(shared, connect):
    peer = connect(shared)
    job = _long(peer)
    peer.say(Pause(), job, 1)
    peer.say(Resume(), job, 2)
    peer.commands[job] = 2
    peer.wait(lambda m: isinstance(m.body, JobState) and m.body.job == job and m.body.last_command == 2)
    at = peer.wait(lambda m: isinstance(m.body, JobState) and m.body.job == job and m.body.state == "running").body.step
    peer.wait_step(job, at + 5)
    _end(peer, job)


def test_steering_is_pending_until_it_takes_effect_and_then_in_the_journal(shared, connect):
    peer = connect(shared)
    job = _long(peer)
    peer.command(Pause(), job)
    step = peer.wait_state(job, "paused").step
    answer = peer.command(SteerJob(command=Steer(prompt="a blue thing")), job)
    assert answer.state == "paused" and answer.prompt == "a red thing", "not in effect yet"
    peer.command(Resume(), job)
    blue = peer.wait(lambda m: isinstance(m.body, JobState) and m.body.prompt == "a blue thing").body
    assert blue.job == job and f"From step {step} on: now towards 'a blue thing'." in peer.remarks(job)
    peer.command(SteerJob(command=Steer(slack=0.5)), job)
    peer.wait(lambda m: m.header.job == job and "freedom" in getattr(m.body, "text", ""))
    peer.command(Cancel(how="finish"), job)
    peer.wait_state(job, "done")
    journal = json.loads(peer.pull(job, "report.json"))["journal"]
    assert [entry["command"].get("prompt") or entry["command"]["slack"] for entry in journal] == ["a blue thing", 0.5]
    assert journal[0]["step"] == step


def test_unusable_steering(shared, connect):
    peer = connect(shared)
    job = _long(peer)
    for command, told in ((Steer(), "changes nothing"), (Steer(prompt="  "), "empty"), (Steer(prompt="x" * 2001), "2001")):
        fault = peer.command(SteerJob(command=command), job)
        assert fault.code == "input" and told in fault.sentence
    assert peer.command(Pause(), job).last_command == 4, "refused commands count"
    peer.wait_state(job, "paused")
    _end(peer, job)


@pytest.mark.parametrize("state", ["uploading", "queued", "running", "paused", "done"])
@pytest.mark.parametrize("how", ["discard", "finish"])
def test_cancel_in_each_state(shared, connect, state, how):
    peer = connect(shared)
    blocker = _long(peer) if state == "queued" else None
    if state == "uploading":
        job = secrets.token_hex(16)
        peer.ask(submission(triangle(), seed=int(job[:6], 16), mode="sketch"), job)
    elif state == "done":
        job = peer.submit()
        peer.wait_state(job, "done")
    else:
        job = peer.submit(steps=100_000, checkpoint_every=100_000)  # on a busy machine the command may come hundreds of steps later
        peer.wait_state(job, "queued") if state == "queued" else peer.wait_step(job, 1)
    if state == "paused":
        peer.command(Pause(), job)
        peer.wait_state(job, "paused")
    found = peer.command(Cancel(how=how), job)
    assert found.state == state or (state == "uploading" and found.state in ("queued", "preparing")), "the answer is the state it found"
    if state != "done":
        kept = how == "finish" and state in ("running", "paused")
        assert peer.wait_state(job, *ENDED).state == ("done" if kept else "cancelled")
        assert (shared.data / "jobs" / job / "checkpoint.pt").exists() == (kept and state == "paused")
    assert peer.command(Cancel(how=how), job).state in ("done", "cancelled"), "an ended job stays what it is"
    if blocker:
        _end(peer, blocker)
    assert peer.wait_state(peer.submit(), "done"), "the worker takes the next job"


def test_commands_are_counted(shared, connect):
    peer = connect(shared)
    job = _long(peer)
    gap = peer.ask(Pause(), job, 2).body
    assert isinstance(gap, Fault) and gap.code == "gap" and "1" in gap.sentence
    assert peer.ask(Pause(), job, 0).body.code == "gap"
    peer.ask(Pause(), job, 1)
    peer.wait_state(job, "paused")
    recorded = len(peer.events(job))
    again = peer.ask(Pause(), job, 1).body
    assert again.state == "paused" and again.last_command == 1
    assert peer.ask(Resume(), job, 1).body.state == "paused", "another command under a number that was taken is not applied"
    peer.drain()
    assert len(peer.events(job)) == recorded, "a repeated command is recorded once"
    peer.commands[job] = 1
    _end(peer, job)


def test_commands_that_the_state_forbids(shared, connect):
    peer = connect(shared)
    job = _long(peer)
    assert peer.command(Forget(), job).code == "state"
    _end(peer, job)
    for command in (Pause(), Resume(), SteerJob(command=Steer(prompt="x"))):
        fault = peer.command(command, job)
        assert fault.code == "state" and "cancelled" in fault.sentence and fault.hint


def test_forget_leaves_nothing(start, connect):
    server = start()
    peer = connect(server)
    kept = peer.submit(arrays=triangle())
    gone = peer.submit(arrays=triangle(), seed=1)
    assert peer.wait_state(gone, "done")
    listed = peer.command(Forget(), gone)
    assert isinstance(listed, Jobs) and [state.job for state in listed.jobs] == [kept]
    assert not (server.data / "jobs" / gone).exists()
    inputs = list((server.data / "inputs").glob("*/*"))
    assert len(inputs) == 2, "the other job still has the arrays"
    assert peer.ask(Ping()).body
    assert peer.ask(Pause(), gone, 1).body.code == "unknown_job"
    peer.command(Forget(), kept)
    assert not list((server.data / "inputs").glob("*/*"))


def test_events_are_numbered_without_gaps_and_told_again_on_attach(shared, connect):
    from protocol.messages import Attach

    peer = connect(shared)
    job = peer.submit(arrays=triangle())
    peer.command(SteerJob(command=Steer(prompt="a green thing")), job)
    peer.wait_state(job, "done")
    told = peer.events(job)
    assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
    states = [body.state for _, body in told if isinstance(body, JobState)]
    assert [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state] == [
        "uploading", "queued", "preparing", "running", "finishing", "done",
    ]  # fmt: skip
    later = connect(shared, token=peer.token)
    present = later.ask(Attach(last_seq=2), job).body
    assert present.state == "done" and present.fraction == 1.0
    assert later.events(job) == told[2:]


def test_a_steer_that_comes_too_late_is_said(shared, connect):
    peer = connect(shared)
    job = _long(peer, prompt="a stubborn thing", steps=60)
    peer.command(SteerJob(command=Steer(prompt="too late")), job)
    peer.wait_state(job, "done")
    assert "no effect" in peer.remarks(job)[-1]


def test_idle_workers_give_their_memory_back(shared, connect):
    peer = connect(shared)
    assert peer.wait_state(peer.submit(), "done")
    before = peer.ask(Ping()).body.status.devices[0].title
    peer.ask(ReleaseMemory())
    for _ in range(200):
        if peer.ask(Ping()).body.status.devices[0].title != before:
            return
        peer.drain(0.02)
    raise AssertionError("the worker was not told")
