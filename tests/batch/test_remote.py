"""A job on a server: it is there when `submit` returns, a short loss makes no difference, and a server that is gone ends the wait."""

import signal
import threading
import time

import numpy as np
import pytest

from backend.api import submit
from backend.batch import remote
from backend.errors import ResourceError
from protocol import connection
from protocol.messages import ENDED, Chunk, ListJobs, Pull, Submit
from tests.protocol.scripted_server import ScriptedServer
from tests.serve.peer import Peer, Server

PLAIN = {"prompt": "a cup", "mode": "prompt"}


@pytest.fixture
def scripted():
    """A scripted server that answers by itself until `stopped` is set."""
    server, stopped = ScriptedServer(), threading.Event()
    server.stopped = stopped

    def answer():
        while not stopped.is_set():
            server.pump()
            time.sleep(0.005)

    thread = threading.Thread(target=answer)
    thread.start()
    yield server
    stopped.set()
    thread.join()
    server.close()


def test_jobs_are_on_the_server_when_submit_returns(tmp_path):
    with Server(tmp_path / "data") as server:
        token = "t" * 32
        jobs = []
        for _ in range(2):
            sent = submit(**PLAIN, address=server.address, token=token)
            jobs.append(sent.job)
            sent.close()
        peer = Peer(server.address, token)
        assert {state.job for state in peer.ask(ListJobs()).body.jobs} == set(jobs)
        peer.close()


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setattr(remote, "CONNECT_S", 0.3)
    before = len(connection._unclosed)
    with pytest.raises(ResourceError, match="does not answer"):
        submit(**PLAIN, address="tcp://127.0.0.1:9")
    assert len(connection._unclosed) == before


def test_a_server_that_lives_and_does_not_take_the_job(monkeypatch, scripted):
    monkeypatch.setattr(remote, "CONNECT_S", 1.5)
    scripted.rules[Submit] = lambda message: None
    with pytest.raises(ResourceError, match="does not answer"):
        submit(**PLAIN, address=scripted.address)


def test_an_upload_may_take_as_long_as_it_moves(monkeypatch, scripted):
    def slowly(message):
        time.sleep(0.3)
        scripted.answer(message)

    monkeypatch.setattr(remote, "CONNECT_S", 1.0)
    monkeypatch.setattr(remote, "_arrays", lambda job, inputs: {"picture": np.arange(6 * 2**18, dtype=np.float32)})
    scripted.rules[Chunk] = slowly
    began = time.monotonic()
    sent = submit(**PLAIN, address=scripted.address)
    assert sent.state.state == "queued" and time.monotonic() - began > remote.CONNECT_S
    sent.close()


def test_a_server_that_vanishes_ends_the_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "GONE_S", 2.0)
    with Server(tmp_path / "data") as server:
        sent = submit(**PLAIN, steps=100_000, address=server.address)
        server.stop(signal.SIGKILL)
        with pytest.raises(ResourceError, match="not been heard for 2 seconds"):
            sent.wait()
        sent.close()


def test_a_server_that_vanishes_ends_the_fetching(tmp_path, monkeypatch, scripted):
    monkeypatch.setattr(remote, "GONE_S", 2.0)
    sent = submit(**PLAIN, address=scripted.address)
    scripted.rules[Pull] = lambda message: scripted.stopped.set()
    scripted.finished({"report.json": b"{}"}, sent.job)
    with pytest.raises(ResourceError, match="not been heard for 2 seconds"):
        sent.wait(tmp_path / "got")
    assert sent.state.state in ENDED
    sent.close()


def test_a_server_that_comes_back_is_waited_for(tmp_path):
    first = Server(tmp_path / "data")
    again = []

    def restart(state):
        if state.state == "running" and not again:
            first.stop(signal.SIGKILL)
            again.append(Server(tmp_path / "data", port=int(first.address.rpartition(":")[2])))

    sent = submit(**PLAIN, steps=200, checkpoint_every=10, address=first.address)
    try:
        assert sent.wait(tmp_path / "got", restart).state == "done" and again
        assert (tmp_path / "got" / "report.json").is_file()
    finally:
        sent.close()
        for server in (first, *again):
            server.__exit__()
