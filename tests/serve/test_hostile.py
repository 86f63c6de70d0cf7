"""Peers that send anything at all: they are told what is wrong, and nobody else notices."""

import os
import random
import secrets
import socket
import struct
import time

import msgspec
import pytest
import zmq

from protocol.framing import encode
from protocol.messages import FROM_CLIENT, Chunk, Fault, Header, Hello, JobState, ListJobs, Ping, Pong
from protocol.version import BODY_BYTES, FRAME_BYTES, VERSION
from tests.serve.peer import submission

HEADER = msgspec.msgpack.encode(Header(v=VERSION, id=7))
PING = [bytes([2]), HEADER, msgspec.msgpack.encode(Ping())]


def _fault(peer, frames):
    peer.socket.send_multipart(frames)
    return peer.wait(lambda message: isinstance(message.body, Fault))


@pytest.mark.parametrize("greeted", [True, False])
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], "malformed"),
        ([b"\x02"], "malformed"),
        ([b"\x02"] * 17, "malformed"),
        ([b"\x02", b"", b""], "malformed"),
        ([b"\x02", b"\xff" * 100, b"\x80"], "malformed"),
        ([b"\xc8", HEADER, b"\x80"], "unsupported"),
        ([b"\x40", HEADER, b"\x80"], "unsupported"),
        ([b"", HEADER, b"\x80"], "unsupported"),
        ([b"\x01", HEADER, b"\x80"], "malformed"),
        ([b"\x01", HEADER, msgspec.msgpack.encode({"low": [1, 0], "high": [1, 0], "client": "x", "token": "short"})], "malformed"),
        ([b"\x03", HEADER, b"\x91" * 100_000], "malformed"),
        ([b"\x04", HEADER, msgspec.msgpack.encode({"digest": "x", "offset": 0, "total": 3})], "malformed"),
        ([b"\x04", HEADER, msgspec.msgpack.encode({"digest": "0" * 64, "offset": 0, "total": 2**60})], "malformed"),
        ([b"\x02", msgspec.msgpack.encode({"v": [1, 0], "id": -1}), b"\x80"], "malformed"),
        ([b"\x02", msgspec.msgpack.encode({"v": [1, 0], "id": 1, "job": "../../etc"}), b"\x80"], "malformed"),
        ([b"\x02", b"x" * 5000, b"\x80"], "too_large"),
        ([b"\x02", HEADER, b"x" * (BODY_BYTES + 1)], "too_large"),
    ],
)
def test_frames_that_are_no_message(shared, connect, frames, code, greeted):
    peer = connect(shared, greet=greeted)
    assert _fault(peer, frames).body.code == code
    if greeted:
        assert isinstance(peer.ask(Ping()).body, Pong), "the connection stands"


@pytest.mark.parametrize("kind", [kind for kind in FROM_CLIENT.values() if kind is not Hello], ids=lambda kind: kind.__name__)
def test_nothing_is_answered_before_hello(shared, connect, kind):
    bodies = {"Submit": submission(), "Chunk": Chunk(digest="0" * 64, offset=0, total=1)}
    peer = connect(shared, greet=False)
    if kind.__name__ in bodies:
        body = bodies[kind.__name__]
    else:
        fields = {"command": {"type": "steer"}, "name": "vertices", "offset": 0}
        body = msgspec.convert({name: value for name, value in fields.items() if name in kind.__struct_fields__}, kind)
    fault = peer.ask(body, secrets.token_hex(16), 1, raw=b"x" if kind is Chunk else None).body
    assert fault.code == "hello" and fault.hint


def test_a_frame_beyond_the_limit_ends_that_connection_only(shared, connect):
    peer, other = connect(shared, greet=False), connect(shared)
    peer.socket.send_multipart([b"\x04", HEADER, b"\x80", bytes(FRAME_BYTES + 1)])
    assert isinstance(other.ask(Ping()).body, Pong)
    assert not peer.drain()


def test_programs_that_do_not_speak_zeromq(shared, connect):
    other = connect(shared)
    host, port = shared.address.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
    huge = b"\x06" + struct.pack(">Q", 2**62)  # a command frame of that length
    for said in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"", greeting[:20], greeting, greeting + huge, greeting + os.urandom(999)):
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(said)
            assert isinstance(other.ask(Ping()).body, Pong)


def test_random_and_damaged_messages(shared, connect):
    """A seeded storm: the server lives, and an honest client is answered all the time."""
    luck = random.Random(3)
    job = secrets.token_hex(16)
    honest, storm = connect(shared), connect(shared)
    valid = [
        [bytes(frame) for frame in encode(Header(v=VERSION, id=9, job=job, seq=1), body)]
        for body in (Ping(), ListJobs(), submission(), Chunk(digest="0" * 64, offset=0, total=1))
    ]
    for turn in range(1500):
        frames = [bytearray(frame) for frame in luck.choice(valid)]
        damage = luck.randrange(5)
        if damage == 0:
            frames = [bytearray(luck.randbytes(luck.randrange(60))) for _ in range(luck.randrange(1, 6))]
        elif damage == 1:
            victim = luck.choice(frames)
            for _ in range(luck.randrange(1, 4)):
                victim[luck.randrange(len(victim))] = luck.randrange(256)
        elif damage == 2:
            victim = luck.choice(frames)
            del victim[luck.randrange(len(victim)) :]
        elif damage == 3:
            luck.shuffle(frames)
        else:
            frames.insert(luck.randrange(len(frames) + 1), bytearray(luck.randbytes(9)))
        if frames[0] == b"\x01":
            continue
        storm.socket.send_multipart(frames)
        while storm.socket.poll(0):
            storm.socket.recv_multipart()
        if turn % 50 == 0:
            asked = time.monotonic()
            assert isinstance(honest.ask(Ping()).body, Pong)
            assert time.monotonic() - asked < 10, "strangers held it up"
    assert not [state for state in honest.ask(ListJobs()).body.jobs]


def test_a_stolen_routing_id_does_not_steal_the_connection(shared, connect):
    """ROUTER keeps the first holder of an id."""
    first, second = (zmq.Context.instance().socket(zmq.DEALER) for _ in range(2))
    for each in (first, second):
        each.set(zmq.ROUTING_ID, b"the same")
        each.set(zmq.LINGER, 0)
    first.connect(shared.address)
    token = secrets.token_hex(16)
    first.send_multipart(encode(Header(v=VERSION, id=1), Hello(low=VERSION, high=VERSION, client="first", token=token)))
    assert first.poll(5000) and first.recv_multipart()
    second.connect(shared.address)
    second.send_multipart(encode(Header(v=VERSION, id=1), ListJobs()))
    assert not second.poll(300)
    first.send_multipart(encode(Header(v=VERSION, id=2), Ping()))
    assert first.poll(5000)
    first.close()
    second.close()


def test_many_connections_are_bounded(start, connect):
    server = start()
    peers = [connect(server, greet=False) for _ in range(300)]
    faults = 0
    for peer in peers:
        answer = peer.ask(Hello(low=VERSION, high=VERSION, client="many", token=peer.token)).body
        faults += isinstance(answer, Fault) and answer.code == "busy" and answer.retryable
    assert faults == 300 - 256
    assert isinstance(peers[0].ask(Ping()).body, Pong)
    assert isinstance(peers[0].ask(submission(), secrets.token_hex(16)).body, JobState)
