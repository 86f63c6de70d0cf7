"""Jobs belong to the token that they were submitted with."""

import secrets

import pytest

from protocol.job import Steer
from protocol.messages import (
    Attach,
    Cancel,
    Fault,
    Forget,
    Grant,
    JobState,
    ListJobs,
    Pause,
    Ping,
    Pull,
    Resume,
    SteerJob,
)
from tests.serve.peer import submission


@pytest.mark.parametrize(
    "message",
    [
        SteerJob(command=Steer(prompt="mine now")),
        Pause(),
        Resume(),
        Cancel(),
        Forget(),
        Attach(),
        Attach(token="0" * 32),
        Grant(),
        Pull(name="vertices", offset=0),
        submission(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_another_clients_job_does_not_exist(shared, connect, message):
    owner, other = connect(shared), connect(shared)
    job = owner.submit(steps=100_000)
    running = owner.wait_step(job, 1)
    for unknown in (job, secrets.token_hex(16)):
        if unknown == job or not hasattr(message, "inputs"):
            fault = other.ask(message, unknown, 1).body
            assert isinstance(fault, Fault) and fault.code == "unknown_job" and running.prompt not in fault.sentence
    assert other.ask(ListJobs()).body.jobs == ()
    assert {device.job for device in other.ask(Ping()).body.status.devices} == {""}
    assert {device.job for device in owner.ask(Ping()).body.status.devices} == {job}
    assert not other.events(job) and not [m for m in other.heard if isinstance(m.body, JobState)]
    assert owner.wait_step(job, running.step + 1).prompt == "a red thing"


def test_the_old_token_moves_a_job_to_a_new_owner(shared, connect):
    old, new = connect(shared), connect(shared)
    job = old.submit(steps=100_000)
    old.wait_step(job, 1)
    present = new.ask(Attach(token=old.token), job).body
    assert present.state == "running" and new.events(job)[0][0] == 1
    assert [state.job for state in new.ask(ListJobs()).body.jobs] == [job]
    assert old.ask(Pause(), job, 1).body.code == "unknown_job"
    old.drain()
    heard = len(old.heard)
    new.wait_step(job, present.step + 100)
    assert not [m for m in old.drain() if m.header.job == job or getattr(m.body, "job", "") == job] and len(old.heard) >= heard
    new.say(Cancel(), job, 1)
    assert new.wait_state(job, "cancelled")


def test_the_new_owner_forgets_what_the_old_one_uploaded(start, connect):
    from tests.serve.peer import triangle

    server = start()
    old = connect(server)
    job = old.submit(arrays=triangle())
    old.wait_state(job, "done")
    new = connect(server)
    new.ask(Attach(token=old.token), job)
    assert new.command(Forget(), job).jobs == ()
    assert not list((server.data / "inputs").glob("*/*"))


def test_the_token_is_nowhere_on_disk(start, connect):
    server = start()
    peer = connect(server)
    peer.wait_state(peer.submit(), "done")
    server.stop()
    files = [path for path in server.data.rglob("*") if path.is_file()]
    assert files and not [path for path in files if peer.token.encode() in path.read_bytes()]
