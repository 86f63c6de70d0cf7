"""Workers that die, freeze, lie or do not obey: the job goes on or fails in words, and the next job runs."""

import os
import signal
import time

from protocol.messages import Cancel, ListJobs, Pause, Ping, Resume


def _running(peer, **settings):
    job = peer.submit(**{"steps": 400, **settings})
    peer.wait_step(job, 25)
    return job


def test_a_killed_worker_is_replaced_and_the_job_goes_on(start, connect):
    server = start()
    peer = connect(server)
    job = _running(peer)
    os.kill(server.worker_ids()[0], signal.SIGKILL)
    lost = peer.wait_state(job, "queued")
    assert "worker was lost" in lost.reason
    done = peer.wait_state(job, "done")
    assert done.attempt == 2
    last = next(text for text in reversed(peer.remarks(job)) if text.startswith("attempt"))
    assert "attempt 2 resume True" in last and int(last.split(" from ")[1].split()[0]) >= 20


def test_a_frozen_worker_is_replaced(start, connect):
    server = start()
    peer = connect(server)
    job = _running(peer)
    frozen = server.worker_ids()[0]
    os.kill(frozen, signal.SIGSTOP)
    assert peer.wait_state(job, "done").attempt == 2
    assert frozen not in server.worker_ids()


def test_a_job_that_kills_every_worker_fails_and_can_be_tried_again(start, connect):
    peer = connect(start())
    job = peer.submit(prompt="crash")
    other = peer.submit()
    failed = peer.wait_state(job, "failed")
    assert failed.fault.code == "worker_lost" and failed.fault.retryable and failed.attempt == 3 and failed.fault.hint
    assert peer.wait_state(other, "done").attempt == 1
    assert peer.command(Resume(), job).state in ("queued", "preparing")
    assert peer.wait_state(job, "failed").attempt == 6


def test_progress_forgives_lost_attempts(start, connect):
    """Three attempts may be lost in a row; a newer checkpoint in between starts the count anew."""
    server = start()
    peer = connect(server)
    job = peer.submit(steps=600)
    for attempt in range(1, 5):
        peer.wait(lambda m, n=attempt: getattr(m.body, "attempt", 0) == n and m.body.state == "running")
        at = peer.wait(lambda m: getattr(m.body, "job", "") == job and m.body.state == "running").body.step
        peer.wait_step(job, at + 25)
        os.kill(server.worker_ids()[0], signal.SIGKILL)
    assert peer.wait_state(job, "done", "failed").state == "done"


def test_a_worker_that_does_not_cancel_is_ended(start, connect):
    server = start()
    peer = connect(server)
    job = _running(peer, prompt="a stubborn thing", steps=100_000)
    worker = server.worker_ids()[0]
    assert peer.command(Cancel(), job).state == "running", "acknowledged at once"
    assert "ended" in peer.wait_state(job, "cancelled").reason
    assert peer.wait_state(peer.submit(), "done")
    assert worker not in server.worker_ids()


def test_pausing_when_the_worker_dies_leaves_a_paused_job(start, connect):
    server = start()
    peer = connect(server)
    job = _running(peer, prompt="a stubborn thing", steps=100_000)
    peer.command(Pause(), job)
    os.kill(server.worker_ids()[0], signal.SIGKILL)
    assert peer.wait_state(job, "paused")


def test_a_steer_in_effect_survives_the_loss_of_its_worker(start, connect):
    """After its step, before the next checkpoint: the journal replays it."""
    import json

    from protocol.job import Steer
    from protocol.messages import SteerJob

    server = start()
    peer = connect(server)
    job = peer.submit(steps=300, checkpoint_every=100)
    peer.wait_step(job, 120)
    peer.command(SteerJob(command=Steer(prompt="a blue thing")), job)
    peer.wait(lambda m: "now towards" in getattr(m.body, "text", ""))
    os.kill(server.worker_ids()[0], signal.SIGKILL)
    assert peer.wait_state(job, "done").attempt == 2
    journal = json.loads(peer.pull(job, "report.json"))["journal"]
    assert [entry["command"]["prompt"] for entry in journal] == ["a blue thing"] and journal[0]["step"] >= 120
    assert sum("now towards" in text for text in peer.remarks(job)) == 1


def test_announced_results_that_are_not_there_are_a_failure(start, connect):
    peer = connect(start())
    failed = peer.wait_state(peer.submit(prompt="liar"), "failed", "done")
    assert failed.state == "failed" and "report.json" in failed.fault.sentence


def test_a_failed_run_says_why_and_is_not_tried_again(start, connect):
    peer = connect(start())
    job = peer.submit(prompt="broken")
    failed = peer.wait_state(job, "failed")
    assert (failed.fault.code, failed.fault.sentence, failed.fault.hint) == ("numerical", "It broke.", "Try another seed.")
    assert peer.command(Resume(), job).code == "state"
    assert peer.wait_state(peer.submit(), "done")


def test_two_devices_run_two_jobs_and_a_third_waits(start, connect):
    peer = connect(start(devices=["cpu", "cuda:0"]))
    anywhere, here = peer.submit(steps=100_000), peer.submit(steps=100_000, device="cpu")
    steps = {}

    def both(message):
        if getattr(message.body, "step", 0) and message.body.state == "running":
            steps[message.body.job] = message.body.device
        return len(steps) == 2

    if peer.wait(lambda m: getattr(m.body, "step", 0) > 0).body.job == anywhere:
        peer.command(Pause(), anywhere)
        peer.wait_step(here, 1)
        peer.wait_state(anywhere, "paused")
        peer.command(Resume(), anywhere)
    peer.wait(both)
    assert steps[here] == "cpu" and steps[anywhere] == "cuda:0"
    waits = peer.submit()
    assert peer.wait_state(waits, "queued").place == 0
    status = peer.ask(Ping()).body.status
    assert status.running == 2 and status.queued == 1 and {device.job for device in status.devices} == {here, anywhere}
    peer.command(Cancel(), here)
    assert peer.wait_state(waits, "done")


def test_a_worker_that_never_starts_leaves_jobs_waiting(start, connect):
    peer = connect(start(worker=["/bin/false"]))
    job = peer.submit()
    until = time.monotonic() + 10
    while peer.ask(Ping()).body.status.devices[0].state != "lost":
        assert time.monotonic() < until
    assert [state.state for state in peer.ask(ListJobs()).body.jobs if state.job == job] == ["queued"]
