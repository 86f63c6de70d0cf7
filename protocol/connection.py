"""The link of a client: from connecting over the handshake to ready, lost and back; who is at the other end, and is it alive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import zmq

from protocol.errors import UserError
from protocol.events import Link, LinkChanged
from protocol.framing import BadMessage, Message, encode
from protocol.liveness import LOST_S, Retry, Silence
from protocol.messages import Bye, Fault, Header, Hello, Ping, Welcome
from protocol.sockets import Happening, Wire
from protocol.version import PING_S, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_S = 5.0
REFUSAL_S = 1.0
"""A port that nobody listens on answers at once; what takes longer to fail is out of reach."""
GREETING_S = 2.0
STRANGER_TRIES = 2
GARBAGE_LIMIT = 10

WORDS = {
    "nothing_listening": ("No server listens at {address}.", "Start the server, or correct the address."),
    "unreachable": ("{address} cannot be reached.", "Check the network and the address."),
    "not_our_server": (
        "The program at {address} is not a SketchBridge server.",
        "Correct the address, or stop that program and start the server.",
    ),
    "silent": ("The server at {address} does not answer.", "Wait a moment, or restart the server."),
    "server_left": ("The server at {address} has stopped.", "Start it again; its jobs go on where they were."),
}

_unclosed: set[Connection] = set()
"""Kept until they are closed: a context that is left to the garbage collector may wait for its sockets for ever."""


class Connection:
    """At most one socket at a time. `changes` collects what the owner is to be told, in order."""

    def __init__(self, address: str, token: str, name: str, clock: Callable[[], float]) -> None:
        self.address = address
        self.link = Link.OFF
        self.welcome: Welcome | None = None
        self.changes: list[LinkChanged] = []
        self._hello = Hello(low=(VERSION[0], 0), high=VERSION, client=name, token=token)
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._wire: Wire | None = None
        self._silence = Silence()
        self._retry = Retry()
        self._retry_at = 0.0
        self._opened_at = 0.0
        self._reached = False  # the port took the connection
        self._closed = False  # the other side ended it
        self._sent_at = 0.0
        self._last_id = 0
        self._garbage = 0
        self._strange = 0  # tries in a row that met no server of ours
        self._known = False  # a server of ours has answered here before

    @property
    def ready(self) -> bool:
        return self.link is Link.READY

    def open(self) -> None:
        """Begins to connect, unless that is under way."""
        if self.link in (Link.CONNECTING, Link.HANDSHAKING, Link.READY):
            return
        self._retry.reset()
        self._strange = 0
        self._begin()

    def close(self) -> None:
        """Ends the connection and frees everything it holds."""
        self._drop_wire()
        if self._context is not None:
            self._context.term()
            self._context = None
        _unclosed.discard(self)
        if self.link is not Link.OFF:
            self._change(LinkChanged(Link.OFF))

    def send(self, body: msgspec.Struct, job: str = "", seq: int = 0, raw: memoryview | None = None) -> int:
        """Sends one message and returns its id. To be called while there is a wire."""
        assert self._wire is not None
        self._last_id += 1
        self._sent_at = self._clock()
        version = self.welcome.version if self.welcome else VERSION
        header = Header(v=version, id=self._last_id, job=job, seq=seq, sent_at=time.time())
        self._wire.send(encode(header, body, raw=raw))
        return self._last_id

    def receive(self) -> list[bytes] | None:
        return self._wire.receive() if self._wire is not None else None

    def watch(self) -> None:
        """Follows what the monitor saw, says hello, and tries again when it is time."""
        now = self._clock()
        if self.link is Link.LOST and now >= self._retry_at:
            self._begin()
        if self._wire is None:
            return
        self._silence.look(now)
        for happening in self._wire.happenings():
            self._silence.broken()
            if happening is Happening.CONNECTED:
                self._reached = True
            elif happening is Happening.SPEAKS_ZEROMQ:
                self._change(LinkChanged(Link.HANDSHAKING))
                self.send(self._hello)
            else:
                self._closed = True
        self._wire.flush()

    def check(self, drained: bool) -> None:
        """Pings, and finds out whether the other side is lost. `drained`: nothing that it sent is left unread."""
        if self._wire is None:
            return
        if self._closed and drained:
            self._ended()
        elif self.link is Link.CONNECTING:
            if self._silence.seconds >= (GREETING_S if self._reached else CONNECT_S):
                self._ended()
        elif drained and self._silence.seconds >= LOST_S:
            self._stranger("silent") if self.link is Link.HANDSHAKING else self._lose("silent")
        elif self.ready and self._clock() - self._sent_at >= PING_S:
            self.send(Ping())

    def heard(self, message: Message) -> bool:
        """Counts the message as life. True where it was about the link itself and is dealt with."""
        self._silence.broken()
        self._garbage = 0
        body = message.body
        if isinstance(body, Bye):
            self._lose("server_left", body.reason)
        elif isinstance(body, Fault) and body.code == "version":
            self._refuse("version", body.sentence, body.hint)
        elif self.link is Link.HANDSHAKING:
            if isinstance(body, Welcome):
                self._welcomed(body)
            elif isinstance(body, Fault) and body.retryable:
                self._lose("unreachable", body.sentence, body.hint)
            elif isinstance(body, Fault):
                self._refuse("internal", body.sentence, body.hint)
        elif isinstance(body, Fault) and body.code == "hello":  # it has forgotten this connection
            self._lose("silent", body.sentence, body.hint)
        else:
            return isinstance(body, Welcome)
        return True

    def garbled(self, error: BadMessage) -> bool:
        """Counts frames that are no message. True where the link stands and the owner is to be told."""
        self._silence.broken()
        self._garbage += 1
        if self.link is Link.HANDSHAKING or self._garbage >= GARBAGE_LIMIT:
            self._refuse("not_our_server", f"{WORDS['not_our_server'][0].format(address=self.address)} {error.sentence}")
            return False
        return True

    def _begin(self) -> None:
        self._drop_wire()
        _unclosed.add(self)
        self._context = self._context or zmq.Context()
        self._silence = Silence()
        self._opened_at = self._clock()
        self._reached = self._closed = False
        self._last_id = self._garbage = 0
        try:
            self._wire = Wire(self._context, self.address)
        except UserError as error:
            self._refuse("address", error.sentence, error.hint)
        else:
            self._change(LinkChanged(Link.CONNECTING))

    def _welcomed(self, welcome: Welcome) -> None:
        if not self._hello.low <= welcome.version <= self._hello.high:
            theirs, ours = (".".join(map(str, version)) for version in (welcome.version, VERSION))
            older = "server" if welcome.version < self._hello.low else "client"
            self._refuse("version", f"The server speaks protocol {theirs}, this side {ours}.", f"Update the {older}.")
            return
        self.welcome = welcome
        self._known = True
        self._strange = 0
        self._retry.reset()
        self._change(LinkChanged(Link.READY, welcome=welcome))

    def _ended(self) -> None:
        """The connection is closed, or did not get as far as hello in time."""
        if self.link is not Link.CONNECTING:
            self._lose("server_left") if self.ready else self._stranger("server_left")
        elif self._reached:
            self._stranger("not_our_server")
        else:
            slow = not self._closed or self._clock() - self._opened_at >= REFUSAL_S
            self._lose("unreachable" if slow else "nothing_listening")

    def _stranger(self, kind: str) -> None:
        """No sign of a server of ours. It may be one that is just going down, or is stopped: only the second time in a row tells."""
        self._strange += 1
        if self._known:
            self._lose("silent")
        elif self._strange >= STRANGER_TRIES:
            self._refuse("not_our_server")
        else:
            self._lose(kind)

    def _lose(self, kind: str, sentence: str = "", hint: str = "") -> None:
        delay = self._retry.delay_s()
        self._retry_at = self._clock() + delay
        self._end(Link.LOST, kind, sentence, hint, delay)

    def _refuse(self, kind: str, sentence: str = "", hint: str = "") -> None:
        self._end(Link.REFUSED, kind, sentence, hint)

    def _end(self, link: Link, kind: str, sentence: str, hint: str, retry_in_s: float = 0.0) -> None:
        words = WORDS.get(kind, ("", ""))
        self._drop_wire()
        self._change(LinkChanged(link, kind, sentence or words[0].format(address=self.address), hint or words[1], retry_in_s))

    def _drop_wire(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self.welcome = None

    def _change(self, change: LinkChanged) -> None:
        self.link = change.link
        self.changes.append(change)
