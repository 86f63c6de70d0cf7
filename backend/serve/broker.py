"""The server: one process, one thread, one loop over two sockets. No torch in here."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import zmq

from backend.serve import sockets
from backend.serve.address import endpoint
from backend.serve.blobs import Blobs
from backend.serve.capabilities import OfferedPrior, offer_priors
from backend.serve.clients import Clients
from backend.serve.commands import Commands
from backend.serve.devices import DeviceSearch
from backend.serve.dispatch import Dispatch
from backend.serve.faults import Refused, fault_of
from backend.serve.requests import Requests
from backend.serve.store import Recorded, Store
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from backend.serve.workers import Deadlines, Workers
from protocol.errors import SketchBridgeError
from protocol.framing import BadMessage, decode
from protocol.messages import COMMANDS, FROM_CLIENT, Bye, Fault, Hello, Limits
from protocol.version import DEFAULT_PORT

log = logging.getLogger(__name__)

WORKER_COMMAND = (sys.executable, "-m", "backend.serve.worker")
TURN_MS = 50
"""Longest time spent on clients' messages before workers, deadlines and answers have their turn."""
QUIET_MS = 250


@dataclass(frozen=True)
class Settings:
    """How a server is started. `devices` empty: those the driver names, else the CPU. `priors` besides the starter."""

    data: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    devices: tuple[str, ...] = ()
    priors: tuple[str, ...] = ()
    worker_command: Sequence[str] = WORKER_COMMAND
    deadlines: Deadlines = field(default_factory=Deadlines)
    limits: Limits = field(default_factory=Limits)


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address once clients can connect. A second signal ends the workers at once.

    Errors: UserError for an address that is not loopback or an unknown prior; ResourceError if the port or the data folder is taken,
    or the disk refuses.
    """
    address = endpoint(settings.host, settings.port)
    offered = offer_priors(settings.priors)
    store = Store(settings.data)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with sockets.open_router(context, address) as front, sockets.open_router(context, endpoint("127.0.0.1", 0)) as back:
            broker = _Broker(settings, store, front, back, offered)
            ready(sockets.bound_address(front))
            broker.run()
    finally:
        context.term()
        store.close()


class _Broker:
    def __init__(
        self, settings: Settings, store: Store, front: "zmq.Socket[bytes]", back: "zmq.Socket[bytes]", offered: dict[str, OfferedPrior]
    ) -> None:
        self._store, self._front, self._back = store, front, back
        self._deadlines = settings.deadlines
        self._devices = settings.devices
        self._search: DeviceSearch | None = None
        self._signals = 0
        blobs = Blobs(store.folder / "inputs")
        self._table = JobTable(store, self._announce)
        self._clients = Clients(front, lambda job: self._table.public(self._table.jobs[job]))
        self._workers = Workers(back, settings.worker_command, store.folder / "logs", settings.deadlines)
        self._dispatch = Dispatch(self._table, self._workers, self._clients, blobs, offered, settings.deadlines)
        self._commands = Commands(self._table, self._dispatch, self._clients, blobs, settings.limits)
        name = f"sketchbridge {version('sketchbridge')}"
        self._requests = Requests(self._table, blobs, self._clients, self._workers, offered, name, settings.limits)
        self._dispatch.recover()
        store.commit()

    def run(self) -> None:
        """The loop, until a signal; then the workers' last words."""
        before = [(each, signal.signal(each, self._on_signal)) for each in (signal.SIGINT, signal.SIGTERM)]
        poller = zmq.Poller()
        poller.register(self._front, zmq.POLLIN)
        poller.register(self._back, zmq.POLLIN)
        try:
            if self._devices:
                self._workers.start(self._devices)
            else:
                self._search = DeviceSearch()
            while not self._signals:
                self._turn(poller)
            self._close(poller)
        finally:
            self._workers.kill()
            if self._search is not None:
                self._search.close()
            for each, handler in before:
                signal.signal(each, handler)

    def _turn(self, poller: zmq.Poller) -> None:
        """Hear everybody, act, write it down, and only then speak."""
        poller.poll(TURN_MS if self._clients.busy() else QUIET_MS)
        self._hear_workers()
        self._hear_clients()
        now = time.monotonic()
        self._find_devices()
        self._dispatch.tick(now)
        self._dispatch.assign()
        if self._table.shifted():
            self._clients.touch_where(self._table.waits)
        self._store.commit()
        self._workers.flush()
        self._clients.flush(now)

    def _close(self, poller: zmq.Poller) -> None:
        """Say goodbye, and wait for the workers' checkpoints; a second signal or the deadline ends them."""
        log.info("stopping; every job can be resumed")
        self._dispatch.closing = True
        for connection in self._clients:
            connection.push(Bye(reason="The server was stopped; every job can be resumed."))
        self._clients.flush(time.monotonic())
        self._workers.dismiss()
        until = time.monotonic() + self._deadlines.leave
        while self._signals < 2 and time.monotonic() < until and self._workers.running():
            self._workers.flush()
            poller.poll(TURN_MS)
            self._hear_workers()
            self._store.commit()
        self._workers.kill()
        self._hear_workers()
        self._dispatch.recover()
        self._store.commit()

    def _hear_workers(self) -> None:
        for worker, message in self._workers.receive():
            self._dispatch.heard(worker, message)

    def _hear_clients(self) -> None:
        until = time.monotonic() + TURN_MS / 1000
        while time.monotonic() < until and (arrived := sockets.receive(self._front)) is not None:
            self._hear_client(*arrived)

    def _hear_client(self, peer: bytes, frames: list[bytes]) -> None:
        """One message of one client; whatever is wrong with it is told to that client alone."""
        connection = self._clients.get(peer)
        if connection is not None:
            connection.heard_at = time.monotonic()
        parent, job = 0, ""
        try:
            message = decode(frames, FROM_CLIENT)
            parent, job = message.header.id, message.header.job
            if isinstance(message.body, Hello):
                self._requests.hello(peer, message)
            elif connection is None:
                raise Refused("hello", "The server does not know this connection.", "Say hello first.", retryable=True)
            elif isinstance(message.body, COMMANDS):
                self._commands.take(connection, message)
            else:
                self._requests.answer(connection, message)
            return
        except BadMessage as error:
            if error.header is not None:
                parent, job = error.header.id, error.header.job
            fault = fault_of(error)
        except SketchBridgeError as error:
            fault = fault_of(error)
        except OSError as error:
            log.exception("a request could not be met")
            fault = Fault(code="resource", sentence=f"The server's disk refused: {error.strerror}.", hint="Free some space there.")
        except Exception:
            log.exception("a request failed")
            fault = Fault(code="internal", sentence="The server made a mistake with this request.", hint="Look into its log.")
        if connection is None:
            self._clients.refuse(peer, parent, fault)
        else:
            connection.push(fault, parent, job)

    def _find_devices(self) -> None:
        found = self._search.found() if self._search is not None else None
        if found is not None:
            self._search = None
            log.info("devices: %s", ", ".join(found))
            self._workers.start(found)

    def _announce(self, job: StoredJob, seq: int, body: Recorded) -> None:
        self._clients.announce(job.id, job.owner, body, seq)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
