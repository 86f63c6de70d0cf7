"""Who is at the other end: each kind of absence, stranger and misfit is told apart; what is lost is tried again."""

import socket
import subprocess
import sys
import time

import msgspec
import pytest
import zmq

from protocol.client import Client
from protocol.events import Faulted, Link, LinkChanged, StatusChanged
from protocol.liveness import LOST_S, Retry, Silence
from protocol.messages import Bye, Fault, Hello, Ping
from protocol.version import PING_S
from tests.protocol.scripted_server import TOKEN, WELCOME, ScriptedServer, drive, has, last_link, links, only, reached, settle


@pytest.fixture
def listener():
    """A plain TCP socket that listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)
        yield listening


def connected_to(port, name="a test"):
    client = Client(f"tcp://127.0.0.1:{port}", TOKEN, name)
    client.connect()
    return client


def test_nothing_listens(listener):
    port = listener.getsockname()[1]
    listener.close()
    client = connected_to(port)
    events = drive(client, until=reached(Link.LOST))
    assert last_link(events).kind == "nothing_listening"
    assert str(port) in last_link(events).sentence and last_link(events).hint
    assert 0.5 <= last_link(events).retry_in_s <= 0.625
    drive(client, until=reached(Link.LOST))
    client.close()


def test_it_is_tried_again_until_somebody_listens(listener):
    port = listener.getsockname()[1]
    listener.close()
    client = connected_to(port)
    drive(client, until=reached(Link.LOST))
    server = ScriptedServer(port)
    events = drive(client, server, until=reached(Link.READY))
    assert links(events) == [Link.CONNECTING, Link.HANDSHAKING, Link.READY]
    client.close()
    server.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_a_program_that_does_not_speak_zeromq(listener, answer):
    """It answers in its own words and closes, or keeps the connection and says nothing more."""
    client = connected_to(listener.getsockname()[1])
    talks = []

    def serve():
        try:
            talk, _ = listener.accept()
        except BlockingIOError:
            return
        talks.append(talk)
        talk.sendall(answer)
        if answer.startswith(b"HTTP"):
            talk.close()

    events = []
    end = time.monotonic() + 12
    while not reached(Link.REFUSED)(events) and time.monotonic() < end:
        serve()
        events += client.pump(0.008)
        time.sleep(0.002)
    assert last_link(events).link is Link.REFUSED
    assert last_link(events).kind == "not_our_server"
    assert "not a SketchBridge server" in last_link(events).sentence
    client.close()
    for talk in talks:
        talk.close()


@pytest.mark.parametrize("kind", [zmq.PUB, zmq.REQ, zmq.PULL])
def test_a_zeromq_socket_that_does_not_fit(kind):
    context = zmq.Context()
    other = context.socket(kind)
    client = connected_to(other.bind_to_random_port("tcp://127.0.0.1"))
    events = drive(client, until=reached(Link.REFUSED))
    assert last_link(events).kind == "not_our_server"
    client.close()
    other.close(0)
    context.term()


def test_silence_after_hello(server):
    server.rules[Hello] = lambda message: None
    client = connected_to(server.port)
    events = drive(client, server, until=reached(Link.LOST))
    assert last_link(events).kind == "silent"
    events = drive(client, server, until=reached(Link.REFUSED))
    assert last_link(events).kind == "not_our_server"
    assert len(server.of(Hello)) == 2
    client.close()


def test_garbage_after_hello(server):
    server.rules[Hello] = lambda message: server.say_frames([b"+OK", b"ready"])
    client = connected_to(server.port)
    events = drive(client, server, until=reached(Link.REFUSED))
    assert last_link(events).kind == "not_our_server" and "frames" in last_link(events).sentence
    settle(client, server, seconds=0.8)
    assert len(server.of(Hello)) == 1  # not tried again
    client.close()


def test_another_version_is_told_by_the_server(server):
    sentence, hint = "This server speaks protocol 2.0 to 2.3, the client 1.0.", "Update the extension."
    server.rules[Hello] = lambda message: server.say(Fault(code="version", sentence=sentence, hint=hint), message.header.id)
    client = connected_to(server.port)
    change = last_link(drive(client, server, until=reached(Link.REFUSED)))
    assert (change.kind, change.sentence, change.hint) == ("version", sentence, hint)
    client.close()


@pytest.mark.parametrize(("version", "old"), [((2, 0), "client"), ((0, 9), "server"), ((1, 99), "client")])
def test_a_version_that_was_not_offered(server, version, old):
    server.rules[Hello] = lambda message: server.say(msgspec.structs.replace(WELCOME, version=version), message.header.id)
    client = connected_to(server.port)
    change = last_link(drive(client, server, until=reached(Link.REFUSED)))
    assert change.kind == "version" and change.hint == f"Update the {old}."
    client.close()


def test_a_refused_hello_is_told_in_the_servers_words(server):
    server.rules[Hello] = lambda message: server.refuse(message, "hello")
    client = connected_to(server.port)
    assert last_link(drive(client, server, until=reached(Link.REFUSED))).sentence == "Refused: hello."
    server.rules[Hello] = lambda message: server.refuse(message, "busy", retryable=True)
    client.connect()
    assert last_link(drive(client, server, until=reached(Link.LOST))).sentence == "Refused: busy."
    client.close()


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "http://127.0.0.1:80", "tcp://*:5577", "tcp://a b:1"]
)
def test_no_address(address):
    client = Client(address, TOKEN, "a test")
    client.connect()
    change = last_link(client.pump(0.008))
    assert (change.link, change.kind) == (Link.REFUSED, "address")
    assert address in change.sentence and "tcp://" in change.hint
    client.close()


def test_a_server_that_says_bye(client, server):
    server.say(Bye(reason="The server is going down."))
    change = last_link(drive(client, server, until=reached(Link.LOST)))
    assert (change.kind, change.sentence) == ("server_left", "The server is going down.")
    drive(client, server, until=reached(Link.READY))


def test_a_server_that_is_killed_and_comes_back(client, server):
    server.close()
    change = last_link(drive(client, until=reached(Link.LOST)))
    assert change.kind == "server_left"
    again = ScriptedServer(server.port)
    drive(client, again, until=reached(Link.READY))
    again.close()


def test_a_silent_server_is_lost_after_three_intervals(server):
    now = [100.0]
    client = Client(server.address, TOKEN, "a test", clock=lambda: now[0])
    client.connect()
    drive(client, server, until=reached(Link.READY))
    events = []
    while now[0] < 100 + LOST_S + 2 * PING_S and not reached(Link.LOST)(events):
        now[0] += PING_S / 8
        events += client.pump(0.008)
    assert last_link(events).kind == "silent" and LOST_S <= now[0] - 100 <= LOST_S + PING_S / 4
    now[0] += 1
    drive(client, server, until=reached(Link.READY))
    assert len(server.of(Hello)) == 2 and server.of(Ping)
    client.close()


def test_a_caller_that_was_away_does_not_blame_the_server(server):
    now = [100.0]
    client = Client(server.address, TOKEN, "a test", clock=lambda: now[0])
    client.connect()
    drive(client, server, until=reached(Link.READY))
    now[0] += 600
    assert not links(client.pump(0.008))
    drive(client, server, until=has(StatusChanged))
    client.close()


def test_a_server_that_forgot_the_connection_is_greeted_again(client, server):
    server.rules[Ping] = lambda message: server.refuse(message, "hello")
    drive(client, server, until=reached(Link.READY))
    assert len(server.of(Hello)) == 2


def test_bad_frames_leave_the_link_standing(client, server):
    for _ in range(8):
        server.say_frames([b"\x43", b"\xc1", b""])
    server.say_frames([bytes([65]), b"\x80", b"\x80"])
    server.answer(server.heard[0])  # something valid: the row of bad ones is over
    for _ in range(9):
        server.say_frames([b"\x43"])
    events = drive(client, server, until=has(Faulted, 18))
    assert {fault.fault.code for fault in only(events, Faulted)} == {"malformed"} and not links(events)
    server.say_frames([b""])
    change = last_link(drive(client, server, until=reached(Link.REFUSED)))
    assert change.kind == "not_our_server"


def test_connecting_again_after_a_refusal(server):
    server.rules[Hello] = lambda message: server.refuse(message, "version")
    client = connected_to(server.port)
    drive(client, server, until=reached(Link.REFUSED))
    del server.rules[Hello]
    client.connect()
    drive(client, server, until=reached(Link.READY))
    client.connect()  # nothing to do
    assert not only(settle(client, server, seconds=0.05), LinkChanged)
    client.close()
    client.close()
    client.connect()
    drive(client, server, until=reached(Link.READY))
    client.close()


def test_every_connection_has_an_identity_of_its_own(client, server):
    first = server.peer
    server.say(Bye())
    drive(client, server, until=reached(Link.READY))
    assert server.peer != first


def test_delays_double_up_to_half_a_minute():
    retry = Retry()
    delays = [retry.delay_s() for _ in range(9)]
    for delay, expected in zip(delays, [0.5, 1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert expected <= delay <= 1.25 * expected
    retry.reset()
    assert retry.delay_s() < 1


def test_silence_counts_only_while_somebody_listens():
    silence = Silence()
    for now in (0.0, 0.4, 0.8, 100.0):
        silence.look(now)
    assert silence.seconds == pytest.approx(1.8)
    silence.broken()
    assert silence.seconds == 0


def test_a_client_that_nobody_closes_does_not_keep_the_process():
    code = f"""
import gc
from protocol.client import Client
client = Client("tcp://127.0.0.1:5", "{TOKEN}", "a test")
client.connect()
client.pump(0.01)
client.itself = client
del client
gc.collect()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0
