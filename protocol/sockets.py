"""The socket of a client and its monitor. ZeroMQ's own threads are native: no Python thread, no call that waits."""

import re
import secrets
from collections import deque
from collections.abc import Sequence
from enum import Enum

import zmq
from zmq.utils.monitor import recv_monitor_message

from protocol.errors import UserError
from protocol.version import FRAME_BYTES

ADDRESS = re.compile(r"tcp://(?:[^\s/:*;\[\]]+|\[[0-9A-Fa-f:.%\w]+\]):([0-9]{1,5})")
HIGH_WATER = 256
"""Messages that may wait in either direction; far above the credit of previews and the window of chunks."""


class Happening(Enum):
    """What the monitor saw of the connection under way."""

    CONNECTED = "connected"  # the port accepts connections
    SPEAKS_ZEROMQ = "speaks ZeroMQ"  # its greeting was understood, and the socket types fit
    CLOSED = "closed"  # by the other side, or never opened


_HAPPENINGS = {
    zmq.EVENT_CONNECTED: Happening.CONNECTED,
    zmq.EVENT_HANDSHAKE_SUCCEEDED: Happening.SPEAKS_ZEROMQ,
    zmq.EVENT_CLOSED: Happening.CLOSED,
    zmq.EVENT_DISCONNECTED: Happening.CLOSED,
}


class Wire:
    """One DEALER, connected once: it never reconnects by itself, so that a new connection always begins with a new socket."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        """Begins to connect. Errors: UserError where this is no address."""
        match = ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match[1]) < 2**16:
            raise _no_address(address)
        self._socket = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, HIGH_WATER),
            (zmq.RCVHWM, HIGH_WATER),
            (zmq.MAXMSGSIZE, FRAME_BYTES),
            (zmq.IMMEDIATE, 1),
            (zmq.RECONNECT_IVL, -1),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.IPV6, int("[" in address)),
        ):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.ROUTING_ID, b"c" + secrets.token_bytes(16))
        self._monitor = self._socket.get_monitor_socket(sum(_HAPPENINGS))
        self._outbox: deque[Sequence[bytes | memoryview]] = deque()
        try:
            self._socket.connect(address)
        except zmq.ZMQError:
            self.close()
            raise _no_address(address) from None

    def happenings(self) -> list[Happening]:
        """What the monitor saw since the last call, oldest first."""
        seen = []
        while self._monitor.poll(0):
            seen.append(_HAPPENINGS[zmq.Event(recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"])])
        return seen

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Copies the frames and sends them now, or by a later `flush` where the socket takes none."""
        self._outbox.append(frames)
        self.flush()

    def flush(self) -> None:
        """Sends what waits, in order, as far as the socket takes it."""
        while self._outbox:
            try:
                self._socket.send_multipart(self._outbox[0], zmq.NOBLOCK, copy=True)
            except zmq.Again:
                return
            self._outbox.popleft()

    def receive(self) -> list[bytes] | None:
        """The frames of the next message, None where there is none."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return None

    def close(self) -> None:
        """Drops what waits, and the connection."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)


def _no_address(address: str) -> UserError:
    return UserError(f"'{address}' is no address of a server.", "Write it as tcp://host:port, for example tcp://127.0.0.1:5577.")
