"""The worker's connection to its broker: a thread that owns the socket and answers while the device computes."""

import contextlib
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import zmq
from zmq.utils.monitor import recv_monitor_message

from backend.refine.control import Control
from backend.serve.orders import FROM_WORKER, TO_WORKER, Beat, Drop, Ended, Moved, Quit, Run, Show, Shown, Stop, Turn
from protocol.framing import BadMessage, Message, decode, encode
from protocol.messages import Header
from protocol.version import FRAME_BYTES, PING_S, VERSION

log = logging.getLogger(__name__)

CONNECT_S = 10.0
GRACE_S = 30.0
"""For the last checkpoint; then the process goes as it is."""
WAITING_WORDS = 1000
WAITING_ORDERS = 16
HANDED_OVER = 4
"""Words that ZeroMQ may hold: what it has cannot be replaced by something newer."""
RETRY_S = 0.05


@dataclass
class Assignment:
    """One attempt at a job, and what both threads know of it. `underway`: it has made steps that a checkpoint would save."""

    job: str
    attempt: int
    run: Run
    control: Control
    max_vertices: int
    underway: bool = False

    @classmethod
    def of(cls, job: str, attempt: int, run: Run) -> "Assignment":
        """An order, with the steering that it brings."""
        control = Control(run.journal)
        control.previews = run.preview_vertices > 0
        for seq, command in run.steers:
            control.steer(command, seq)
        return cls(job, attempt, run, control, run.preview_vertices)

    def obey(self, order: msgspec.Struct) -> None:
        """A `Turn`, `Show` or `Stop` for the run under way."""
        control = self.control
        if isinstance(order, Turn):
            control.steer(order.command, order.seq)
        elif isinstance(order, Show):
            self.max_vertices = order.max_vertices
            control.previews = order.max_vertices > 0
        elif isinstance(order, Stop):
            {"pause": control.pause, "finish": control.finish_now, "discard": control.cancel, "quit": control.leave}[order.how]()


@dataclass(frozen=True)
class _Word:
    header: Header
    body: msgspec.Struct
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class WorkerLink(threading.Thread):
    """Speaks with the broker at `address`. The main thread asks for `next_order` and tells; stops and steering go past it to the run.

    Progress and previews replace older ones that still wait, so a slow broker never holds up a run. The process leaves when told to
    (`Quit`, SIGTERM, SIGINT), and when the broker is gone: its connection, or the parent process.
    """

    def __init__(self, address: str, device: str, secret: str) -> None:
        super().__init__(name="link", daemon=True)
        self._address, self._device, self._secret = address, device, secret
        self._parent = os.getppid()
        self._title = ""
        self._memory: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._starting = True
        self._assignments: dict[tuple[str, int], Assignment] = {}
        self._orders: queue.Queue[Assignment | Drop | None] = queue.Queue(WAITING_ORDERS)
        self._words: list[_Word] = []
        self._room = threading.Condition()
        self._sent = 0
        self._leaving_at: float | None = None
        self._closing = threading.Event()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)

    # For the main thread.

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT are heard by the link's thread at once, however long the main thread computes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)

    def ready(self, title: str, memory: Callable[[], tuple[int, int]]) -> None:
        """Jobs are taken from now on. `memory`: free and total bytes of the device."""
        self._title, self._memory = title, memory
        self._starting = False

    def next_order(self) -> Assignment | Drop | None:
        """Waits for the next thing to do; None: leave."""
        return self._orders.get()

    def tell(self, assignment: Assignment, body: msgspec.Struct, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Send a word about the job. Waits only where a thousand words wait already."""
        header = Header(v=VERSION, id=0, job=assignment.job, seq=assignment.attempt)
        with self._room:
            if isinstance(body, Moved | Shown):
                self._words = [word for word in self._words if type(word.body) is not type(body)]
            self._room.wait_for(lambda: len(self._words) < WAITING_WORDS)
            self._words.append(_Word(header, body, arrays or {}))
        self._wake()

    def end(self, assignment: Assignment, ended: Ended) -> None:
        """The last word about the job; the next one may come."""
        del self._assignments[assignment.job, assignment.attempt]
        self.tell(assignment, ended)

    def close(self) -> None:
        """Send what waits, and end the thread."""
        self._closing.set()
        self._wake()
        self.join(GRACE_S)

    # The thread.

    def run(self) -> None:
        try:
            self._serve()
        except BaseException:
            log.exception("the link to the broker failed")
            os._exit(1)

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.set(zmq.LINGER, 1000)
        dealer.set(zmq.IMMEDIATE, 1)
        dealer.set(zmq.SNDHWM, HANDED_OVER)
        dealer.set(zmq.RECONNECT_IVL, -1)  # the broker that comes back has workers of its own
        dealer.set(zmq.MAXMSGSIZE, FRAME_BYTES)
        if self._secret:
            dealer.set(zmq.ROUTING_ID, self._secret.encode())
        monitor = dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        dealer.connect(self._address)
        poller = zmq.Poller()
        for each in (dealer, monitor, self._ear):
            poller.register(each, zmq.POLLIN)
        connected, began, next_beat = False, time.monotonic(), 0.0
        while True:
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + PING_S
                self._beat()
                if os.getppid() != self._parent or (not connected and now - began > CONNECT_S):
                    self._leave("the broker is gone")
            if self._leaving_at is not None and now - self._leaving_at > GRACE_S:
                log.error("the run did not stop in %.0f s; the process ends as it is", GRACE_S)
                os._exit(1)
            waits = self._flush(dealer)
            if self._closing.is_set() and (not waits or not connected):
                break
            wait_s = min(RETRY_S, next_beat - now) if waits else next_beat - now
            ready = dict(poller.poll(max(0, int(1000 * wait_s))))
            if monitor in ready:
                event = recv_monitor_message(monitor)["event"]
                connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                if not connected:
                    self._leave("the connection to the broker is lost")
            if self._ear.fileno() in ready and any(self._ear.recv(4096)):
                self._leave("a signal came")
            if dealer in ready:
                self._hear(dealer.recv_multipart())
        dealer.disable_monitor()
        monitor.close(0)
        dealer.close()
        context.term()

    def _hear(self, frames: list[bytes]) -> None:
        try:
            message = decode(frames, TO_WORKER)
        except BadMessage as error:
            log.warning("passed over: %s", error.sentence)
            return
        body = message.body
        if isinstance(body, Run):
            self._take(message, body)
        elif isinstance(body, Drop):
            self._put(body)
        elif isinstance(body, Quit):
            self._leave("the broker said so")
        else:
            self._pass_on(message)

    def _take(self, message: Message, run: Run) -> None:
        assignment = Assignment.of(message.header.job, message.header.seq, run)
        if self._leaving_at is not None:
            return
        key = assignment.job, assignment.attempt
        self._assignments[key] = assignment
        if not self._put(assignment):
            del self._assignments[key]

    def _pass_on(self, message: Message) -> None:
        """Words for a run under way; those for another come too late."""
        assignment = self._assignments.get((message.header.job, message.header.seq))
        if assignment is not None:
            assignment.obey(message.body)

    def _put(self, order: Assignment | Drop) -> bool:
        try:
            self._orders.put_nowait(order)
        except queue.Full:
            log.error("passed over an order: %d wait already", WAITING_ORDERS)
            return False
        return True

    def _leave(self, why: str) -> None:
        """Let a run write its checkpoint; where there is nothing to save, go at once."""
        if self._leaving_at is not None:
            return
        log.info("leaving: %s", why)
        self._leaving_at = time.monotonic()
        assignments = list(self._assignments.values())
        if self._starting or (assignments and not any(each.underway for each in assignments)):
            os._exit(0)
        for each in assignments:
            each.control.leave()
        while True:  # nothing that still waits is begun
            try:
                self._orders.get_nowait()
            except queue.Empty:
                break
        self._orders.put_nowait(None)

    def _beat(self) -> None:
        free, total = self._memory()
        body = Beat(
            device=self._device,
            title=self._title,
            idle=not self._starting and not self._assignments,
            starting=self._starting,
            memory_free=free,
            memory_total=total,
        )
        with self._room:
            self._words = [word for word in self._words if not isinstance(word.body, Beat)]
            self._words.append(_Word(Header(v=VERSION, id=0), body))

    def _flush(self, dealer: zmq.Socket[bytes]) -> bool:
        """Send what the socket takes; whether something still waits."""
        while True:
            with self._room:
                if not self._words:
                    return False
                word = self._words[0]
                header = msgspec.structs.replace(word.header, id=self._sent + 1, sent_at=time.time())
                try:
                    dealer.send_multipart(encode(header, word.body, word.arrays, kinds=FROM_WORKER), zmq.NOBLOCK)
                except zmq.Again:
                    return True
                self._sent += 1
                self._words.pop(0)
                self._room.notify_all()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is awake already
            self._mouth.send(b"\0")
