"""A real ROUTER that plays a server by the rules, and breaks them where a test says so."""

import hashlib
import time
from collections.abc import Callable

import msgspec
import numpy as np
import zmq

from protocol.client import Client
from protocol.events import Event, Link, LinkChanged
from protocol.framing import Message, array_spec, decode, encode
from protocol.messages import (
    COMMANDS,
    FROM_CLIENT,
    Artefact,
    Attach,
    Chunk,
    Fault,
    Forget,
    Got,
    Grant,
    Header,
    Hello,
    Jobs,
    JobState,
    ListJobs,
    Missing,
    Need,
    Piece,
    Ping,
    Pong,
    Preview,
    Pull,
    ReleaseMemory,
    Submit,
    Welcome,
)
from protocol.version import VERSION

TOKEN = "t" * 32
JOB = "0123456789abcdef" * 2
OTHER = "f" * 32
WELCOME = Welcome(version=VERSION, server="scripted", modes=(), presets=(), methods=(), priors=())


class ScriptedServer:
    """`heard`: every message, in order. `rules`: what is done instead of the regular answer, by kind."""

    def __init__(self, port: int = 0) -> None:
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.SNDHWM, 0)  # a ROUTER throws away what a full queue has no room for
        if port:
            self._router.bind(f"tcp://127.0.0.1:{port}")
        else:
            port = self._router.bind_to_random_port("tcp://127.0.0.1")
        self.port = port
        self.address = f"tcp://127.0.0.1:{port}"
        self.peer = b""
        self.heard: list[Message] = []
        self.rules: dict[type, Callable[[Message], None]] = {}
        self.states: dict[str, JobState] = {}
        self.uploads: dict[str, bytearray] = {}
        self.artefacts: dict[str, bytes] = {}
        self._wanted: dict[str, dict[str, int]] = {}
        self._id = 0

    def close(self) -> None:
        self._router.close(0)
        self._context.term()

    def pump(self) -> None:
        while self._router.poll(0):
            self.peer, *frames = self._router.recv_multipart()
            message = decode(frames, FROM_CLIENT)
            self.heard.append(message)
            rule = self.rules.get(type(message.body))
            if rule is not None:
                rule(message)
            else:
                self.answer(message)

    def say(self, body: msgspec.Struct, parent: int = 0, job: str = "", seq: int = 0, arrays=None, raw=None) -> None:
        self._id += 1
        header = Header(v=VERSION, id=self._id, parent=parent, job=job, seq=seq)
        self.say_frames(encode(header, body, arrays, raw))

    def say_frames(self, frames) -> None:
        self._router.send_multipart([self.peer, *frames])

    def preview(self, vertices, faces, colours, job: str = JOB, topology: str = "a", step: int = 1) -> None:
        arrays = {"vertices": vertices, "colours": colours} | ({} if faces is None else {"faces": faces})
        specs = tuple(array_spec(name, array) for name, array in arrays.items())
        self.say(Preview(step=step, topology=topology, arrays=specs), job=job, arrays=arrays)

    def record(self, job: str = JOB, **changes) -> None:
        """A recorded change of a job's state."""
        state = self.states.setdefault(job, JobState(job=job, state="queued"))
        state = msgspec.structs.replace(state, last_seq=state.last_seq + 1, **changes)
        self.states[job] = state
        self.say(state, job=job, seq=state.last_seq)

    def finished(self, artefacts: dict[str, np.ndarray | bytes], job: str = JOB, **changes) -> None:
        """The job is done and has these results."""
        listed = []
        for name, what in artefacts.items():
            data = what if isinstance(what, bytes) else what.tobytes()
            shape = {} if isinstance(what, bytes) else {"dtype": str(what.dtype), "shape": what.shape}
            self.artefacts[name] = data
            listed.append(Artefact(name=name, bytes=len(data), digest=hashlib.sha256(data).hexdigest(), **shape))
        self.record(job, state="done", fraction=1.0, results=tuple(listed), **changes)

    def of(self, kind: type) -> list[Message]:
        return [message for message in self.heard if isinstance(message.body, kind)]

    def answer(self, message: Message) -> None:
        """By the rules."""
        header, body = message.header, message.body
        parent, job = header.id, header.job
        if isinstance(body, Hello):
            self.say(WELCOME, parent)
        elif isinstance(body, Ping | ReleaseMemory):
            self.say(Pong(), parent)
        elif isinstance(body, Submit):
            self._wanted[job] = {spec.digest: int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for spec in body.inputs}
            missing = [
                Missing(digest=digest, offset=len(self.uploads.setdefault(digest, bytearray())))
                for digest, total in self._wanted[job].items()
                if len(self.uploads.get(digest, b"")) < total
            ]
            if missing:
                self.states.setdefault(job, JobState(job=job, state="uploading"))
                self.say(Need(missing=tuple(missing)), parent, job)
            else:
                self.record(job, state="queued")
        elif isinstance(body, Chunk):
            if len(self.uploads[body.digest]) == body.offset:
                self.uploads[body.digest] += message.raw
            self.say(Got(digest=body.digest, offset=len(self.uploads[body.digest]), total=body.total), parent, job)
            if all(len(self.uploads[digest]) == total for digest, total in self._wanted[job].items()):
                self.record(job, state="queued")
        elif isinstance(body, Pull):
            data = self.artefacts[body.name]
            raw = data[body.offset : body.offset + body.count]
            self.say(Piece(name=body.name, offset=body.offset, total=len(data)), parent, job, raw=raw)
        elif isinstance(body, Attach):
            self.say(self.states[job], parent, job) if job in self.states else self.refuse(message, "unknown_job")
        elif isinstance(body, ListJobs | Forget):
            self.say(Jobs(jobs=tuple(self.states.values())), parent, job)
        elif isinstance(body, COMMANDS):
            state = self.states[job]
            if header.seq == state.last_command + 1:
                self.record(job, last_command=header.seq)
            self.say(self.states[job], parent, job)
        else:
            assert isinstance(body, Grant)

    def refuse(self, message: Message, code: str, **more) -> None:
        self.say(Fault(code=code, sentence=f"Refused: {code}.", **more), message.header.id, message.header.job)


def drive(client: Client, *servers: ScriptedServer, until: Callable[[list[Event]], bool], within_s: float = 60.0) -> list[Event]:
    """Pumps both sides until the condition holds of all events so far."""
    events: list[Event] = []
    end = time.monotonic() + within_s
    while not until(events):
        assert time.monotonic() < end, f"not in {within_s} s; so far {[event for event in events][-12:]}"
        events += client.pump(0.008)
        for server in servers:
            server.pump()
        time.sleep(0.0005)
    return events


def settle(client: Client, *servers: ScriptedServer, seconds: float = 0.15) -> list[Event]:
    """Pumps for a while, for what should not happen."""
    end = time.monotonic() + seconds
    return drive(client, *servers, until=lambda _: time.monotonic() > end)


def links(events: list[Event]) -> list[Link]:
    return [event.link for event in events if isinstance(event, LinkChanged)]


def last_link(events: list[Event]) -> LinkChanged | None:
    return next((event for event in reversed(events) if isinstance(event, LinkChanged)), None)


def reached(link: Link) -> Callable[[list[Event]], bool]:
    return lambda events: link in links(events)


def has(kind: type, count: int = 1) -> Callable[[list[Event]], bool]:
    return lambda events: sum(isinstance(event, kind) for event in events) >= count


def only(events: list[Event], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]
