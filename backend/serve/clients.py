"""The connected clients: what each is owed, and sending it as fast as it reads and no faster."""

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
import zmq

from backend.serve import sockets
from backend.serve.orders import Shown
from protocol.framing import encode
from protocol.messages import Fault, Header, JobState, Preview
from protocol.version import VERSION

log = logging.getLogger(__name__)

OWED_MESSAGES = 4096
OWED_BYTES = 64 * 2**20
"""Answers and recorded events that may wait for one client; one that lets more pile up is dropped and may attach again."""
PROGRESS_EVERY_S = 0.25
SILENT_S = 120.0
CONNECTIONS = 256


@dataclass
class Credit:
    """Previews of one job that a client still wants, and how large."""

    previews: int
    max_vertices: int


@dataclass
class Connection:
    """One client that has said hello. `owed`: encoded messages in order; all else is made when it can be sent, so it is the newest."""

    peer: bytes
    owner: str
    name: str
    heard_at: float
    version: tuple[int, int] = VERSION
    owed: deque[list[bytes | memoryview]] = field(default_factory=deque)
    owed_bytes: int = 0
    watching: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    told_at: dict[str, float] = field(default_factory=dict)
    credit: dict[str, Credit] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)  # number of the newest preview sent
    topology: dict[str, str] = field(default_factory=dict)
    last_id: int = 0

    def header(self, parent: int = 0, job: str = "", seq: int = 0) -> Header:
        self.last_id += 1
        return Header(v=self.version, id=self.last_id, parent=parent, job=job, seq=seq, sent_at=time.time())

    def push(self, body: msgspec.Struct, parent: int = 0, job: str = "", seq: int = 0, raw: bytes | None = None) -> None:
        """Owe the client this message."""
        frames = encode(self.header(parent, job, seq), body, raw=raw)
        self.owed.append(frames)
        self.owed_bytes += sum(len(frame) for frame in frames)

    def unwatch(self, job: str) -> None:
        self.watching.discard(job)
        self.moved.discard(job)
        for held in (self.told_at, self.credit, self.shown, self.topology):
            held.pop(job, None)


@dataclass(frozen=True)
class _Newest:
    number: int
    preview: Shown
    arrays: dict[str, np.ndarray]


class Clients:
    """All connections. Nothing is sent before `flush`, which the broker calls once the store has committed."""

    def __init__(self, socket: zmq.Socket[bytes], progress: Callable[[str], JobState]) -> None:
        """`progress`: the present state of a job, asked for when it can be sent."""
        self._socket = socket
        self._progress = progress
        self._connections: dict[bytes, Connection] = {}
        self._newest: dict[str, _Newest] = {}
        self._previews = 0

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections.values())

    def get(self, peer: bytes) -> Connection | None:
        return self._connections.get(peer)

    @property
    def full(self) -> bool:
        return len(self._connections) >= CONNECTIONS

    def greet(self, peer: bytes, token: str, name: str, version: tuple[int, int]) -> Connection:
        """A client said hello; what it said before on this connection is forgotten."""
        connection = Connection(peer, owner_of(token), name, time.monotonic(), version)
        self._connections[peer] = connection
        return connection

    def refuse(self, peer: bytes, parent: int, fault: Fault) -> None:
        """Answer somebody who has not said hello; nothing is kept of them, and the answer is lost if they do not read."""
        try:
            sockets.send(self._socket, peer, encode(Header(v=VERSION, id=1, parent=parent), fault))
        except ConnectionError:
            log.debug("a peer left before it was refused")

    def announce(self, job: str, owner: str, body: msgspec.Struct, seq: int) -> None:
        """A recorded event, to everyone who watches the job."""
        for connection in self._watching(job, owner):
            connection.push(body, job=job, seq=seq)
            connection.moved.discard(job)

    def touch(self, job: str, owner: str) -> None:
        """The job went on; its watchers hear of it when their turn comes."""
        for connection in self._watching(job, owner):
            connection.moved.add(job)

    def touch_where(self, concerned: Callable[[str], bool]) -> None:
        """The same for all watched jobs that are `concerned`."""
        for connection in self:
            connection.moved.update(filter(concerned, connection.watching))

    def show(self, job: str, preview: Shown, arrays: dict[str, np.ndarray]) -> None:
        """The newest preview of a job; the one before is forgotten."""
        self._previews += 1
        self._newest[job] = _Newest(self._previews, preview, arrays)

    def hide(self, job: str) -> None:
        """The job is on no worker; what was to be seen of it is old."""
        self._newest.pop(job, None)

    def wanted_vertices(self, job: str) -> int:
        """Size of the previews that all viewers of the job can take; 0 if there are none."""
        return min((each.credit[job].max_vertices for each in self if job in each.credit), default=0)

    def disown(self, job: str, owner: str) -> None:
        """The job belongs to `owner` now; the connections of others hear no more of it."""
        for connection in self:
            if connection.owner != owner:
                connection.unwatch(job)

    def forget(self, job: str) -> None:
        for connection in self:
            connection.unwatch(job)
        self.hide(job)

    def busy(self) -> bool:
        """Is anything waiting to be sent?"""
        return any(each.owed or each.moved for each in self)

    def flush(self, now: float) -> None:
        """Send what can be sent, and drop clients that are gone, silent for long, or let too much pile up."""
        for connection in tuple(self):
            try:
                self._flush(connection, now)
            except ConnectionError:
                self._drop(connection, "is gone")
                continue
            if len(connection.owed) > OWED_MESSAGES or connection.owed_bytes > OWED_BYTES:
                self._drop(connection, "does not read what it asks for")
            elif now - connection.heard_at > SILENT_S:
                self._drop(connection, "has been silent")

    def _flush(self, connection: Connection, now: float) -> None:
        while connection.owed:
            if not sockets.send(self._socket, connection.peer, connection.owed[0]):
                return
            connection.owed_bytes -= sum(len(frame) for frame in connection.owed.popleft())
        for job in tuple(connection.moved):
            if now - connection.told_at.get(job, 0.0) < PROGRESS_EVERY_S:
                continue
            if not sockets.send(self._socket, connection.peer, encode(connection.header(job=job), self._progress(job))):
                return
            connection.told_at[job] = now
            connection.moved.discard(job)
        for job, credit in connection.credit.items():
            newest = self._newest.get(job)
            if newest is None or not credit.previews or connection.shown.get(job) == newest.number:
                continue
            if not sockets.send(self._socket, connection.peer, self._preview(connection, job, newest)):
                return
            credit.previews -= 1
            connection.shown[job] = newest.number
            connection.topology[job] = newest.preview.topology

    def _preview(self, connection: Connection, job: str, newest: _Newest) -> sockets.Frames:
        preview = newest.preview
        known = connection.topology.get(job) == preview.topology
        arrays = tuple(spec for spec in preview.arrays if not (known and spec.name == "faces"))
        return encode(connection.header(job=job), Preview(step=preview.step, topology=preview.topology, arrays=arrays), newest.arrays)

    def _watching(self, job: str, owner: str) -> Iterator[Connection]:
        return (each for each in self if job in each.watching and each.owner == owner)

    def _drop(self, connection: Connection, why: str) -> None:
        log.info("client '%s' %s; its jobs go on", connection.name, why)
        del self._connections[connection.peer]


def owner_of(token: str) -> str:
    """Who owns the jobs submitted with this token. The token itself is never kept."""
    return hashlib.sha256(token.encode()).hexdigest()
