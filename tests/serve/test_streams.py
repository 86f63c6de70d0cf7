"""What flows to a client: previews for credit, progress as fast as it reads, results in pieces; never more than is bounded."""

import hashlib
import time
from pathlib import Path

import numpy as np
import zmq

from backend.serve.clients import SILENT_S, Clients
from backend.serve.sockets import bound_address, open_router, receive
from protocol.messages import Cancel, Grant, JobState, Ping, Pong, Preview, Pull
from tests.serve.peer import Peer


def _previews(messages):
    return [message for message in messages if isinstance(message.body, Preview)]


def _is_preview(message):
    return isinstance(message.body, Preview)


def test_previews_are_sent_for_credit_only_and_the_newest_waits(shared, connect):
    peer = connect(shared)
    job = peer.submit(steps=100_000)
    peer.wait_step(job, 20)
    assert not _previews(peer.heard), "nobody asked for any"
    peer.say(Grant(previews=2, max_vertices=200), job)
    first = peer.wait(_is_preview)
    assert first.header.job == job and first.header.seq == 0
    assert first.arrays["vertices"].shape == (200, 3) and first.arrays["faces"].shape == (2, 3)
    assert (first.arrays["vertices"] == first.body.step).all()
    second = peer.wait(_is_preview)
    assert set(second.arrays) == {"vertices", "colours"}, "the same topology was sent before on this connection"
    assert second.body.step > first.body.step
    far = second.body.step + 40
    peer.wait_step(job, far)
    assert len(_previews(peer.heard)) == 2, "the credit is spent"
    peer.say(Grant(previews=1, max_vertices=200), job)
    assert peer.wait(_is_preview).body.step >= far, "what waits is the newest"
    peer.say(Grant(previews=16, max_vertices=100), job)
    smaller = peer.wait(lambda m: _is_preview(m) and len(m.arrays["vertices"]) == 100)
    assert "faces" in smaller.arrays, "another topology comes with its faces"
    again = connect(shared, token=peer.token)
    again.say(Grant(previews=1, max_vertices=100), job)
    assert "faces" in again.wait(_is_preview).arrays, "a new connection has no faces yet"


def test_progress_comes_at_most_four_times_a_second(shared, connect):
    peer = connect(shared)
    job = peer.submit(steps=100_000)
    peer.wait_step(job, 1)
    began, until = time.monotonic(), time.monotonic() + 1.5
    told = 0
    while time.monotonic() < until:
        if peer.socket.poll(50):
            peer.wait(lambda m: True)
            told += 1
    assert 3 <= told <= 4 * (time.monotonic() - began) + 2


def test_a_result_is_pulled_in_pieces_of_any_size(shared, connect):
    peer = connect(shared)
    job = peer.submit()
    done = peer.wait_state(job, "done")
    artefact = next(each for each in done.results if each.name == "vertices")
    data = peer.pull(job, "vertices", piece=999_999)
    assert len(data) == artefact.bytes and hashlib.sha256(data).hexdigest() == artefact.digest
    assert np.frombuffer(data, "<f4").reshape(artefact.shape)[7, 1] == 22.0
    later = connect(shared, token=peer.token)
    middle = later.ask(Pull(name="vertices", offset=500_000, count=10), job)
    assert middle.raw == data[500_000:500_010] and middle.body.total == len(data)
    assert later.ask(Pull(name="vertices", offset=len(data)), job).raw == b""
    assert later.ask(Pull(name="vertices", offset=len(data) + 1), job).body.code == "malformed"
    for name in ("normal.png", "../checkpoint.pt", "/etc/passwd", ""):
        assert later.ask(Pull(name=name, offset=0), job).body.code == "state"


def test_results_are_not_there_before_the_end(shared, connect):
    peer = connect(shared)
    job = peer.submit(steps=100_000)
    peer.wait_step(job, 1)
    assert peer.ask(Pull(name="vertices", offset=0), job).body.code == "state"
    assert max(m.body.fraction for m in peer.heard if isinstance(m.body, JobState)) < 1.0


def _memory(server):
    """Resident bytes of the server process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


class SlowPeer(Peer):
    """Takes one message into its own buffers; the rest stays with the server."""

    def __init__(self, address):
        super().__init__(address)
        self.socket.close(0)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.RCVHWM, 1), (zmq.RCVBUF, 4096), (zmq.SNDHWM, 100_000)):
            self.socket.set(option, value)
        self.socket.connect(address)


def test_a_slow_reader_costs_bounded_memory_and_sees_the_newest(start, connect):
    from protocol.messages import Hello
    from protocol.version import VERSION

    server = start()
    slow, quick = SlowPeer(server.address), connect(server)
    slow.ask(Hello(low=VERSION, high=VERSION, client="slow", token=slow.token))
    job = slow.submit(steps=100_000)
    slow.wait_step(job, 1)
    before = _memory(server)
    for _ in range(150):
        slow.say(Grant(previews=16, max_vertices=25_000), job)
        quick.ask(Ping())
        time.sleep(0.01)
    assert _memory(server) - before < 120 * 2**20
    seen = _previews(slow.drain(0.5, most_s=1.5))
    last = seen[-1].body.step
    slow.say(Grant(previews=16, max_vertices=25_000), job)
    slow.wait(lambda m: _is_preview(m) and m.body.step > last)
    assert [each.body.step for each in seen] == sorted({each.body.step for each in seen}), "never an older one"
    slow.say(Cancel(), job, 1)
    slow.wait_state(job, "cancelled")
    slow.close()


def test_a_client_that_asks_and_never_reads_is_dropped(start, connect):
    from protocol.messages import Hello
    from protocol.version import VERSION

    server = start()
    greedy, other = SlowPeer(server.address), connect(server)
    greedy.ask(Hello(low=VERSION, high=VERSION, client="greedy", token=greedy.token))
    job = greedy.submit()
    greedy.wait_state(job, "done")
    before = _memory(server)
    for _ in range(10):
        for _ in range(60):
            greedy.say(Pull(name="vertices", offset=0), job)
        asked = time.monotonic()
        assert isinstance(other.ask(Ping()).body, Pong)
        assert time.monotonic() - asked < 10, "the greedy one held it up"
    assert _memory(server) - before < 400 * 2**20
    greedy.drain(0.2)
    assert greedy.ask(Ping()).body.code == "hello", "it may come back"
    again = connect(server, token=greedy.token)
    assert len(again.pull(job, "vertices")) == 1_200_000
    greedy.close()


def test_a_client_that_is_silent_for_long_is_forgotten():
    context = zmq.Context()
    with open_router(context, "tcp://127.0.0.1:*") as front, context.socket(zmq.DEALER) as client:
        client.connect(bound_address(front))
        client.send_multipart([b"hello"])
        assert front.poll(5000)
        peer, _ = receive(front)
        clients = Clients(front, lambda job: JobState(job=job, state="running"))
        clients.greet(peer, "0" * 32, "test", (1, 0))
        now = time.monotonic()
        clients.flush(now + SILENT_S - 1)
        assert clients.get(peer)
        clients.flush(now + SILENT_S + 1)
        assert clients.get(peer) is None
        client.set(zmq.LINGER, 0)
    context.term()
