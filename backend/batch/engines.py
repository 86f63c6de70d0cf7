"""Where the jobs of a batch run. An engine opens a crew; the table, the order and the retries are the batch's, whoever computes."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import zmq

from backend.batch.pilot import Cost, Gauge, Measure
from backend.errors import ResourceError
from backend.serve import sockets
from backend.serve.address import endpoint
from backend.serve.crew import Crew
from backend.serve.devices import DeviceSearch
from backend.serve.workers import Deadlines, Worker, Workers
from protocol.framing import Message
from protocol.job import RefineJob

WORKER = (sys.executable, "-m", "backend.batch.worker")
LOGS = "logs"


class BatchCrew(Crew, Protocol):
    """Workers that a batch can wait for and send home."""

    def wait(self, timeout_s: float) -> None:
        """Until a worker has said something, and not longer."""
        ...

    def receive(self) -> Iterator[tuple[Worker, Message]]:
        """What the workers have said since."""
        ...

    def flush(self) -> None:
        """Hand all orders over."""
        ...

    def dismiss(self) -> None:
        """Every worker is to write its checkpoint and leave."""
        ...

    def running(self) -> bool:
        """Whether any of them is still there."""
        ...

    def kill(self) -> None:
        """End all that are left."""
        ...


class Engine(Protocol):
    """A kind of place where workers can be had: `LocalEngine`, or a cluster (`on_ray`)."""

    def open(self, out: Path) -> AbstractContextManager[BatchCrew]:
        """Workers that start now; gone when the block is left. Errors: ResourceError where none can be had."""
        ...

    def devices(self) -> tuple[str, ...]:
        """The device of every worker there will be."""
        ...

    def where(self, out: Path) -> str:
        """Where to look when workers do not start, as a hint."""
        ...

    def gauge(self) -> AbstractContextManager[Measure]:
        """What measures the cost of a job on the first device, for a plan."""
        ...


class LocalEngine:
    """Processes on this machine: one for each of `devices`, or `workers` of them spread over these; "cpu" may come several times."""

    def __init__(
        self,
        devices: Sequence[str] = (),
        workers: int = 0,
        command: Sequence[str] = WORKER,
        deadlines: Deadlines | None = None,
    ) -> None:
        found = tuple(devices) or find_devices()
        self._devices = tuple(found[index % len(found)] for index in range(workers or len(found)))
        self._command, self._deadlines = tuple(command), deadlines or Deadlines()

    def devices(self) -> tuple[str, ...]:
        return self._devices

    def where(self, out: Path) -> str:
        return f"Look into the logs in '{out / LOGS}'."

    @contextmanager
    def gauge(self) -> Iterator[Measure]:
        gauge = Gauge(self._devices[0])

        def measure(job: RefineJob) -> Cost:
            from backend.refine.read_inputs import read_inputs  # torch, seconds of imports

            return gauge(job, read_inputs(job))

        yield measure

    @contextmanager
    def open(self, out: Path) -> Iterator["LocalCrew"]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            with sockets.open_router(context, endpoint("127.0.0.1", 0)) as socket:
                crew = LocalCrew(socket, self._full_command(), out / LOGS, self._deadlines)
                crew.start(self._devices)
                try:
                    yield crew
                finally:
                    crew.kill()
        finally:
            context.term()

    def _full_command(self) -> tuple[str, ...]:
        """Several workers on the processor share its cores."""
        sharing = self._devices.count("cpu")
        if sharing < 2 or self._command != WORKER:
            return self._command
        return (*self._command, "--threads", str(max(1, (os.cpu_count() or 1) // sharing)))


def on_ray(address: str = "", devices: Sequence[str] = (), workers: int = 0) -> Engine:
    """`backend.batch.ray_engine.RayEngine`. Errors: as there; ResourceError where Ray is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address != "local":  # whose own Ray needs its time to come up
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # tries to connect, of up to 40 s each; by itself 20
    # Otherwise Ray prints what it thinks of lost actors between the lines of the table, or of --json.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
    try:
        import ray  # noqa: F401  # optional, and seconds of imports
    except ModuleNotFoundError:
        raise ResourceError("Ray is not installed.", "Install it with `python -m pip install -c constraints.txt -e '.[ray]'`.") from None
    from backend.batch.ray_engine import RayEngine

    return RayEngine(address, devices, workers)


class LocalCrew(Workers):
    """The server's own worker processes, at a batch's socket."""

    def wait(self, timeout_s: float) -> None:
        self._socket.poll(int(1000 * timeout_s))


def find_devices(deadline_s: float = 30.0) -> tuple[str, ...]:
    """One name per GPU of this machine, "cpu" where there is none."""
    search = DeviceSearch()
    until = time.monotonic() + deadline_s
    try:
        while (found := search.found()) is None and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        search.close()
    return found or ("cpu",)
