"""The server goes away, gently and not: every job is there again, and goes on."""

import json
import secrets
import shutil
import signal

import pytest

from backend.serve.orders import CHECKPOINT_FILE
from protocol.job import Steer
from protocol.messages import Attach, Bye, Cancel, JobState, ListJobs, Pause, Resume, SteerJob
from tests.priors.tiny import write_tiny_folder
from tests.serve.peer import PATIENCE_S, submission, triangle


def _in_every_state(peer):
    """One job in each state, by state."""
    jobs = {"done": peer.submit(arrays=triangle()), "failed": peer.submit(prompt="broken"), "cancelled": peer.submit(steps=100_000)}
    peer.wait_state(jobs["done"], "done")
    peer.wait_state(jobs["failed"], "failed")
    peer.wait_step(jobs["cancelled"], 1)
    peer.command(Cancel(), jobs["cancelled"])
    jobs["paused"] = peer.submit(steps=200)
    peer.wait_step(jobs["paused"], 15)
    peer.command(Pause(), jobs["paused"])
    peer.wait_state(jobs["paused"], "paused")
    peer.command(SteerJob(command=Steer(prompt="a blue thing")), jobs["paused"])
    jobs["running"] = peer.submit(steps=400)
    peer.wait_step(jobs["running"], 25)
    jobs["queued"] = peer.submit(arrays=triangle(), seed=5)
    jobs["uploading"] = secrets.token_hex(16)
    peer.ask(submission(triangle(), seed=77, mode="sketch", inputs=_other_inputs()), jobs["uploading"])
    return jobs


def _other_inputs():
    import numpy as np

    return submission(triangle(vertices=np.eye(3, dtype=np.float32))).inputs


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_with_jobs_in_every_state(start, connect, number):
    server = start()
    peer = connect(server)
    jobs = _in_every_state(peer)
    at = peer.wait_step(jobs["running"], 30).step
    told = {job: [each for each in peer.events(job)] for job in jobs.values()}
    code = server.stop(number)
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    if number == signal.SIGTERM:
        peer.wait(lambda m: isinstance(m.body, Bye))

    again = connect(start(), token=peer.token)
    states = {state.job: state for state in again.ask(ListJobs()).body.jobs}
    for state in ("done", "failed", "cancelled", "paused", "uploading"):
        assert states[jobs[state]].state == state
    assert [states[jobs[state]].state in ("queued", "preparing", "running") for state in ("running", "queued")] == [True, True]
    assert len(again.pull(jobs["done"], "vertices")) == 1_200_000
    assert states[jobs["failed"]].fault.sentence == "It broke."

    for job in jobs.values():
        again.ask(Attach(), job)
        assert again.events(job)[: len(told[job])] == told[job], "what was announced is still there"
    done = again.wait_state(jobs["running"], "done")
    assert done.attempt == 2
    resumed = next(text for text in again.remarks(jobs["running"]) if text.startswith("attempt 2"))
    assert "resume True" in resumed
    if number == signal.SIGTERM:
        assert int(resumed.split(" from ")[1].split()[0]) >= at, "its last checkpoint was written when it was told to leave"
    assert again.wait_state(jobs["queued"], "done").attempt == 1

    again.commands = {jobs["paused"]: 2}
    again.command(Resume(), jobs["paused"])
    assert again.wait_state(jobs["paused"], "done").prompt == "a blue thing"
    need = again.ask(submission(triangle(), seed=77, mode="sketch", inputs=_other_inputs()), jobs["uploading"]).body
    assert need.missing
    seqs = [seq for seq, _ in again.events(jobs["running"])]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_second_signal_does_not_wait_for_stubborn_workers(start, connect):
    server = start(deadlines={"leave": 1e6})
    peer = connect(server)
    job = peer.submit(prompt="a stubborn thing", steps=100_000)
    peer.wait_step(job, 25)
    # It leaves without a checkpoint when told; frozen, it does not leave at all.
    worker = server.worker_ids()[0]
    import os

    os.kill(worker, signal.SIGSTOP)
    server.process.send_signal(signal.SIGINT)
    peer.wait(lambda m: isinstance(m.body, Bye))
    assert server.process.poll() is None
    assert server.stop(signal.SIGINT) == 0
    again = connect(start(), token=peer.token)
    state = again.ask(Attach(), job).body
    assert state.state in ("queued", "preparing", "running")
    again.wait(lambda m: isinstance(m.body, JobState) and m.body.attempt == 2 and m.body.state == "running")


def test_cancels_and_pauses_under_way_are_not_forgotten(start, connect):
    server = start(devices=["cpu", "cuda:0"])
    peer = connect(server)
    cancelled, paused = (peer.submit(prompt="a stubborn thing", steps=100_000) for _ in range(2))
    peer.wait_step(cancelled, 15)
    peer.wait_step(paused, 15)
    peer.command(Pause(), paused)
    peer.command(Cancel(), cancelled)
    server.stop(signal.SIGKILL)
    again = connect(start(), token=peer.token)
    states = {state.job: state.state for state in again.ask(ListJobs()).body.jobs}
    assert states == {cancelled: "cancelled", paused: "paused"}


def test_a_checkpoint_that_the_server_never_heard_of_is_finished_not_thrown_away(start, connect):
    server = start()
    peer = connect(server)
    before = peer.submit(steps=100_000)
    job = peer.submit(steps=100_000)
    peer.command(Pause(), job)
    folder = server.data / "jobs" / job
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHECKPOINT_FILE).write_text('{"step": 70, "journal": []}')  # as a worker leaves it whose server was killed
    peer.command(Cancel(how="finish"), job)
    peer.command(Cancel(), before)
    assert peer.wait_state(job, "done", "cancelled").state == "done"
    assert json.loads(peer.pull(job, "report.json"))["steps"] >= 70


def test_a_prior_that_is_offered_no_longer(start, connect, tmp_path):
    write_tiny_folder(tmp_path / "mine")
    server = start(priors=[str(tmp_path / "mine")])
    peer = connect(server)
    assert [prior.name for prior in peer.welcome.priors] == ["starter", "mine"]
    job = peer.submit(prior="mine", steps=400)
    peer.wait_step(job, 15)
    assert f"prior {tmp_path / 'mine'}" in peer.remarks(job)[0], "the worker is told where it lies"
    server.stop()
    server = start()
    again = connect(server, token=peer.token)
    again.ask(Attach(), job)
    failed = again.wait_state(job, "failed")
    assert "'mine' no longer" in failed.fault.sentence and failed.fault.retryable
    assert again.wait_state(again.submit(), "done")
    server.stop()
    last = connect(start(priors=[str(tmp_path / "mine")]), token=peer.token)
    last.command(Resume(), job)
    assert last.wait_state(job, "done").attempt == 2


def test_a_data_folder_that_was_removed_ends_the_server_with_one_sentence(start, connect):
    """What it would go on announcing could not be found again by anybody."""
    server = start()
    peer = connect(server)
    shutil.rmtree(server.data)
    peer.say(submission(), secrets.token_hex(16))
    assert server.process.wait(PATIENCE_S) != 0
    assert "was removed while the server used it" in (server.data.parent / "data.log").read_text().splitlines()[-1]
