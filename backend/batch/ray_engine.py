"""A batch on a Ray cluster: where its actors are placed, and the connection."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from backend.batch.engines import LOGS
from backend.batch.pilot import Cost, Measure
from backend.batch.ray_actor import JobActor, PilotActor, Runner, node_engine
from backend.batch.ray_crew import EARS, HANDS, LOG_FILE, RayCrew
from backend.errors import ResourceError, UserError, first_line
from backend.serve.workers import Deadlines
from protocol.job import RefineJob

LOCAL = "local"
PROBE_S = 5.0
DEADLINES = Deadlines(start=600.0, silence=60.0)
"""An actor may have to wait for its place, and a network is slower than a socket of this machine."""


class RayEngine:
    """Actors on a cluster, one GPU each; on a cluster without GPUs they share the processors.

    `address`: HOST:PORT, "auto" for the cluster that this machine belongs to, "local" for a Ray on this machine that lasts as long as the
    batch; "" is $RAY_ADDRESS, else "auto". `devices`: "cuda" or "cpu", empty for GPUs where there are any. `workers` 0: one for each
    GPU, or for each machine. `load`: makes what runs the jobs; its module must be there on every machine.
    """

    def __init__(
        self,
        address: str = "",
        devices: Sequence[str] = (),
        workers: int = 0,
        load: Callable[[str], Runner] = node_engine,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        """Errors: UserError for a device that a cluster does not know, or more workers than it has room for; as `_connect`."""
        if devices and tuple(devices) not in (("cpu",), ("cuda",)):
            raise UserError(f"A cluster has no device '{','.join(devices)}'.", "Use auto, cpu or cuda; Ray chooses which one.")
        self._address, self._load, self._deadlines = address or os.environ.get("RAY_ADDRESS", "") or "auto", load, deadlines
        self._ours = False
        self._connect()
        try:
            machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._devices, self._cpus = _placed(machines, devices[0] if devices else "", workers)
        except BaseException:
            self._disconnect()
            raise

    def devices(self) -> tuple[str, ...]:
        return self._devices

    def where(self, out: Path) -> str:
        return f"Look into '{out / LOGS / LOG_FILE}', and at `ray status`."

    @contextmanager
    def gauge(self) -> Iterator[Measure]:
        device = self._devices[0]
        actor = ray.remote(num_gpus=int(device == "cuda"), num_cpus=self._cpus)(PilotActor).remote(device)

        def measure(job: RefineJob) -> Cost:
            from backend.refine.read_inputs import read_inputs  # torch, seconds of imports

            try:
                cost: Cost = ray.get(actor.measure.remote(job, read_inputs(job)))
            except RayTaskError as error:
                raise error.cause from None
            return cost

        try:
            yield measure
        finally:
            ray.kill(actor)

    @contextmanager
    def open(self, out: Path) -> Iterator[RayCrew]:
        self._connect()
        try:
            crew = RayCrew(self._place, self._devices, out / LOGS, self._deadlines)
            try:
                yield crew
            finally:
                crew.kill()
        finally:
            self._disconnect()

    def _place(self, device: str) -> Any:
        actor = ray.remote(
            num_gpus=int(device == "cuda"),
            num_cpus=self._cpus,
            scheduling_strategy="SPREAD",
            concurrency_groups={EARS: 1, HANDS: 1},
            # Both 0 on purpose. A job that was lost goes on from the checkpoint that lies here, by the batch's own count of attempts, and
            # a lost actor is replaced by the batch, wherever there is room. Ray would start an actor that knows nothing of its job, and
            # run the job a second time from the checkpoint of the first.
            max_restarts=0,
            max_task_retries=0,
        )(JobActor)
        return actor.remote(device, self._load)

    def _connect(self) -> None:
        """Errors: UserError for an address that is none; ResourceError where no cluster answers."""
        if ray.is_initialized():
            self._check_same()
            return
        if self._address not in ("auto", LOCAL):
            _probe(self._address)
        handlers = _handlers()
        try:
            with _without_words():
                ray.init(
                    address=self._address,
                    include_dashboard=False if self._address == LOCAL else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:  # of a dozen kinds, plain ones among them
            raise _refused(self._address, error) from error
        finally:
            for number, handler in handlers:  # Ray sets its own, and a batch stops gently
                signal.signal(number, handler)
        self._ours = True

    def _disconnect(self) -> None:
        if self._ours:
            self._ours = False
            ray.shutdown()

    def _check_same(self) -> None:
        """A program that has connected itself is taken at its word."""
        there = ray.get_runtime_context().gcs_address
        if not self._ours and self._address not in ("auto", there):
            raise UserError(f"This program is connected to the Ray at {there}, not to '{self._address}'.", "Call ray.shutdown() first.")


def _placed(machines: Sequence[dict[str, float]], kind: str, workers: int) -> tuple[tuple[str, ...], int]:
    """The device of every actor, and how many processors each gets."""
    gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
    if kind == "cuda" or (not kind and gpus):
        if max(workers, 1) > gpus:
            raise UserError(f"The cluster has {gpus} GPUs, and {max(workers, 1)} workers want one each.", "Ask for fewer workers.")
        return ("cuda",) * (workers or gpus), 1
    cpus = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU", 0) >= 1]
    wanted = workers or max(len(cpus), 1)
    # The largest share of which every worker can have one; none is split between machines.
    share = next((share for share in range(max(cpus, default=0), 0, -1) if sum(count // share for count in cpus) >= wanted), 0)
    if not share:
        raise UserError(f"The cluster has {sum(cpus)} processors for {wanted} workers.", "Ask for fewer workers.")
    return ("cpu",) * wanted, share


def _probe(address: str) -> None:
    """Ray itself waits for a minute before it gives up, and then with a page of text."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not (colon and host and port.isdigit()):
        raise UserError(f"'{address}' is no address of a Ray cluster.", "Give HOST:PORT of its head, for example 10.0.0.1:6379.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or first_line(error)) from None


def _unreachable(address: str, why: str) -> ResourceError:
    return ResourceError(f"No Ray cluster answers at '{address}': {why}.", "Check the address, the cluster and its token.")


def _refused(address: str, error: Exception) -> ResourceError:
    said = f"{error} {error.__cause__}"
    if "Could not find any running Ray" in said:
        hint = "Start one with `ray start --head`, name one with --ray-address, or say --ray-address local."
        return ResourceError("No Ray cluster runs on this machine.", hint)
    if "InvalidAuthToken" in said:
        hint = "Put the cluster's into RAY_AUTH_TOKEN, or into the file ~/.ray/auth_token."
        return ResourceError(f"The Ray cluster at '{address}' has another token than this machine.", hint)
    return _unreachable(address, first_line(error))


@contextmanager
def _without_words() -> Iterator[None]:
    """Ray's libraries write every try that fails to the process's standard error; what matters is in the error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _handlers() -> list[tuple[signal.Signals, Any]]:
    if threading.current_thread() is not threading.main_thread():
        return []
    return [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
