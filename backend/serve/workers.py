"""The worker processes, one per device: started, listened to, ended and replaced."""

import logging
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from backend.serve import sockets
from backend.serve.orders import FROM_WORKER, SECRET_VARIABLE, TO_WORKER, Beat, Quit
from protocol.errors import ResourceError
from protocol.framing import BadMessage, Message, decode, encode
from protocol.messages import Device, Header
from protocol.version import VERSION

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deadlines:
    """Seconds. A worker answers from a thread of its own, so long silence means that the process is stuck as a whole."""

    start: float = 180.0  # to the first word; libraries and drivers may come from a cold disk
    silence: float = 10.0
    cancel: float = 10.0
    leave: float = 35.0  # for the last checkpoint when the server stops; workers take 30 at most
    retry: tuple[float, float] = (0.5, 30.0)  # pause before a replacement: the first, doubled up to the last


@dataclass
class Worker:
    """One device and the process that has it now. `peer`: the secret that this process alone was given; `heard`: it has spoken.

    `failures`: losses since a job ended on it; `unready`: since it could take jobs.
    """

    device: str
    state: Literal["starting", "idle", "busy", "lost"] = "lost"
    process: "subprocess.Popen[bytes] | None" = None
    peer: bytes = b""
    heard: bool = False
    job: str = ""
    attempt: int = 0
    showing: int = 0
    title: str = ""
    memory_free: int = 0
    memory_total: int = 0
    heard_at: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    unready: int = 0
    orders: list[tuple[Header, msgspec.Struct]] = field(default_factory=list)

    def order(self, body: msgspec.Struct) -> None:
        """Owe the worker this order; it is sent once the store has committed."""
        self.orders.append((Header(v=VERSION, id=0, job=self.job, seq=self.attempt, sent_at=time.time()), body))

    def give(self, job: str, attempt: int, body: msgspec.Struct) -> None:
        """The job is on this worker from now on."""
        self.state, self.job, self.attempt, self.showing = "busy", job, attempt, 0
        self.order(body)

    def free(self) -> None:
        """The job is on it no longer."""
        self.job, self.attempt = "", 0
        if self.state == "busy":
            self.state = "idle"

    def lose(self, pause: tuple[float, float]) -> None:
        """It is gone; a replacement may come after a pause in seconds, the first one doubled with every failure up to the last."""
        first, most = pause
        self.retry_at = time.monotonic() + min(most, first * 2 ** min(self.failures, 16))
        self.failures += 1
        self.unready += 1
        self.state, self.peer, self.orders = "lost", b"", []

    def beats(self, beat: Beat) -> None:
        """A sign of life has come."""
        self.title, self.memory_free, self.memory_total = beat.title, beat.memory_free, beat.memory_total
        if self.state == "starting" and beat.idle and not beat.starting:
            self.state, self.unready = "idle", 0
            log.info("the worker on %s is ready", self.device)

    def public(self, job: str) -> Device:
        return Device(
            name=self.device,
            title=self.title,
            state=self.state,
            memory_free=self.memory_free,
            memory_total=self.memory_total,
            job=job,
        )


class Workers:
    """All workers. `command`: the program and its first arguments; address and device are added."""

    def __init__(self, socket: zmq.Socket[bytes], command: Sequence[str], logs: Path, deadlines: Deadlines) -> None:
        self._socket = socket
        self._address = sockets.bound_address(socket)
        self._command = tuple(command)
        self._logs = logs
        self._deadlines = deadlines
        self._workers: list[Worker] = []

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def start(self, devices: Sequence[str]) -> None:
        """One process for each device."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for device in devices:
            worker = Worker(device)
            self._workers.append(worker)
            self._spawn(worker)

    def receive(self) -> Iterator[tuple[Worker, Message]]:
        """What the workers have said. Words from anybody else are passed over."""
        while (arrived := sockets.receive(self._socket)) is not None:
            peer, frames = arrived
            worker = self._known(peer)
            if worker is None:
                continue
            try:
                message = decode(frames, FROM_WORKER)
            except BadMessage as error:
                log.warning("the worker on %s sent what cannot be read: %s", worker.device, error.sentence)
                continue
            worker.heard, worker.heard_at = True, time.monotonic()
            if isinstance(message.body, Beat):
                worker.beats(message.body)
            yield worker, message

    def lost(self, now: float) -> Iterator[Worker]:
        """Workers whose process ended or fell silent; it is ended, and a new one comes after a while."""
        for worker in self._workers:
            if worker.state == "lost":
                if now >= worker.retry_at and (worker.process is None or worker.process.poll() is not None):
                    self._spawn(worker)
                continue
            ended = worker.process is None or worker.process.poll() is not None
            patience = self._deadlines.silence if worker.heard else self._deadlines.start
            if ended or now - worker.heard_at > patience:
                log.warning("the worker on %s %s", worker.device, "ended" if ended else "fell silent")
                self.end(worker)
                yield worker

    def end(self, worker: Worker) -> None:
        """End the process and everything it started, now; its replacement comes after a pause that doubles with every failure."""
        if worker.process is not None:
            _kill(worker.process)
        worker.lose(self._deadlines.retry)

    def flush(self) -> None:
        """Send all orders."""
        for worker in self._workers:
            while worker.orders and worker.heard:
                header, body = worker.orders.pop(0)
                try:
                    if not sockets.send(self._socket, worker.peer, encode(header, body, kinds=TO_WORKER)):
                        raise ConnectionError("it does not take its orders")
                except ConnectionError as error:
                    # Its process will be found dead or silent; the job is then somebody else's.
                    log.warning("the worker on %s: %s", worker.device, error)

    def dismiss(self) -> None:
        """Every worker is to write its checkpoint and leave; one that has not started yet is ended."""
        for worker in self._workers:
            if not worker.heard:
                self.end(worker)
            else:
                worker.order(Quit())

    def running(self) -> bool:
        return any(worker.process is not None and worker.process.poll() is None for worker in self._workers)

    def kill(self) -> None:
        """End all that is left, and wait for the system to say so."""
        for worker in self._workers:
            if worker.process is not None and worker.process.poll() is None:
                _kill(worker.process)
                worker.process.wait()

    def _spawn(self, worker: Worker) -> None:
        secret = secrets.token_hex(32)
        worker.peer, worker.state, worker.heard, worker.heard_at = secret.encode(), "starting", False, time.monotonic()
        worker.free()
        with (self._logs / f"worker-{worker.device.replace(':', '-')}.log").open("ab") as output:
            try:
                worker.process = subprocess.Popen(
                    [*self._command, self._address, worker.device],
                    env={**os.environ, SECRET_VARIABLE: secret},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Its own session: Ctrl-C in the terminal is the broker's affair, and all it starts can be ended with it.
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            except OSError as error:
                raise ResourceError(f"No worker can be started: {error}.", "Check the installation.") from error

    def _known(self, peer: bytes) -> Worker | None:
        """The worker whose secret the peer shows as its routing id."""
        return next((each for each in self._workers if each.peer and compare_digest(each.peer, peer)), None)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
    else:
        process.kill()
