"""The one place where sockets are made and set."""

from collections.abc import Sequence

import zmq

from protocol.errors import ResourceError
from protocol.version import FRAME_BYTES

Frames = Sequence[bytes | memoryview]
QUEUED_MESSAGES = 64
"""Messages that wait for one peer inside ZeroMQ; more than twice the largest credit for previews."""
UNREAD_MESSAGES = 16
"""Messages of one peer that wait for us; with frames at their largest, 64 MiB."""
GOODBYE_MS = 500


def open_router(context: zmq.Context[zmq.Socket[bytes]], address: str) -> zmq.Socket[bytes]:
    """A ROUTER bound to `address`. Errors: ResourceError where the address is taken."""
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.LINGER, GOODBYE_MS)
    # Without this a message to a peer that is gone or too slow is thrown away and nobody hears of it.
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.set(zmq.SNDHWM, QUEUED_MESSAGES)
    socket.set(zmq.RCVHWM, UNREAD_MESSAGES)
    socket.set(zmq.MAXMSGSIZE, FRAME_BYTES)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.HANDSHAKE_IVL, 5000)
    socket.set(zmq.IPV6, int("[" in address))
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        socket.close(0)
        raise ResourceError(
            f"The server cannot listen on {address.removeprefix('tcp://')}: {error.strerror}.",
            "Stop the program that listens there, or choose another --port (0 takes a free one).",
        ) from None
    return socket


def bound_address(socket: zmq.Socket[bytes]) -> str:
    """Where the socket listens, with the port that the system chose."""
    address = socket.get(zmq.LAST_ENDPOINT)
    return address.decode().rstrip("\0") if isinstance(address, bytes) else str(address)


def receive(socket: zmq.Socket[bytes]) -> tuple[bytes, list[bytes]] | None:
    """The next message that has arrived, as (peer, frames); None if there is none."""
    try:
        peer, *frames = socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
    return peer, frames


def send(socket: zmq.Socket[bytes], peer: bytes, frames: Frames) -> bool:
    """Hand the frames to ZeroMQ, copied; False while too much waits for that peer. Errors: ConnectionError if the peer is gone."""
    try:
        socket.send_multipart([peer, *frames], zmq.NOBLOCK)
    except zmq.Again:
        return False
    except zmq.ZMQError as error:
        raise ConnectionError(f"the peer is gone: {error.strerror}") from None
    return True
