"""Actors of a Ray cluster as the workers of a batch. The batch's folder is written here and nowhere else."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError

from backend.assets.atomic import write_bytes
from backend.batch.ray_actor import Carried, Word
from backend.errors import first_line
from backend.gallery.collect import REPORT_FILE
from backend.serve.orders import CHECKPOINT_FILE, Beat, Ended, Moved, Run, Stop
from backend.serve.run_words import BEFORE_STAGES
from backend.serve.workers import Deadlines, Worker
from protocol.framing import Message
from protocol.job import RefineJob
from protocol.messages import Header
from protocol.version import PING_S, VERSION

log = logging.getLogger(__name__)

EARS, HANDS = "ears", "hands"
"""Threads of an actor beside the one that computes."""
LOG_FILE = "ray.log"


@dataclass
class RayWorker(Worker):
    """One actor. `hearing`, `running`: calls under way; `folder`: of its job, here; `trouble`: why it is of no use any more."""

    actor: Any = None
    hearing: Any = None
    running: Any = None
    folder: Path = Path()
    underway: bool = False
    trouble: str = ""


class RayCrew:
    """One actor for each of `devices`, made by `place`."""

    def __init__(self, place: Callable[[str], Any], devices: Sequence[str], logs: Path, deadlines: Deadlines) -> None:
        self._place, self._logs, self._deadlines = place, logs, deadlines
        self._workers = [RayWorker(device) for device in devices]
        for worker in self._workers:
            self._spawn(worker)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def wait(self, timeout_s: float) -> None:
        calls = [call for worker in self._workers for call in (worker.hearing, worker.running) if call is not None]
        if calls:
            ray.wait(calls, num_returns=1, timeout=timeout_s)
        else:
            time.sleep(timeout_s)

    def receive(self) -> Iterator[tuple[Worker, Message]]:
        """What the actors have said; the files that came with it lie in the job's folder before anybody hears of them."""
        for worker in self._workers:
            if _is_ready(worker.running):
                self._fetched(worker, worker.running)
                worker.running = None
            if not _is_ready(worker.hearing):
                continue
            words: list[Word] | None = self._fetched(worker, worker.hearing)
            worker.hearing = None
            if words is None:
                continue
            worker.heard, worker.heard_at = True, time.monotonic()
            for word in words:
                if isinstance(word.body, Beat):
                    worker.beats(word.body)
                elif (word.job, word.attempt) == (worker.job, worker.attempt):
                    self._keep(worker, word)
                header = Header(v=VERSION, id=0, job=word.job, seq=word.attempt)
                yield worker, Message(header, word.body, dict(word.arrays))
            if worker.actor is not None:
                worker.hearing = worker.actor.hear.options(concurrency_group=EARS).remote(PING_S)

    def lost(self, now: float) -> Iterator[Worker]:
        for worker in self._workers:
            if worker.state == "lost":
                if now >= worker.retry_at:
                    self._spawn(worker)
                continue
            if now - worker.heard_at > (self._deadlines.silence if worker.heard else self._deadlines.start):
                worker.trouble = worker.trouble or ("It fell silent." if worker.heard else "It did not start in time.")
            if worker.trouble:
                self._note(worker)
                self.end(worker)
                yield worker

    def end(self, worker: Worker) -> None:
        self._kill(worker)
        worker.lose(self._deadlines.retry)

    def flush(self) -> None:
        for worker in self._workers:
            while worker.orders and worker.heard:
                header, body = worker.orders.pop(0)
                if isinstance(body, Run):
                    self._hand_over(worker, header, body)
                else:
                    worker.actor.order.options(concurrency_group=HANDS).remote(header.job, header.seq, body)

    def dismiss(self) -> None:
        """Runs under way write their checkpoints; actors that have nothing to save are ended."""
        for worker in self._workers:
            if worker.state == "busy" and worker.underway:
                worker.order(Stop(how="quit"))
            elif worker.state != "lost":
                self.end(worker)

    def running(self) -> bool:
        return any(worker.state == "busy" and not worker.trouble for worker in self._workers)

    def kill(self) -> None:
        for worker in self._workers:
            self._kill(worker)

    def _spawn(self, worker: RayWorker) -> None:
        worker.free()
        worker.state, worker.heard, worker.heard_at, worker.trouble = "starting", False, time.monotonic(), ""
        worker.actor = self._place(worker.device)
        worker.hearing = worker.actor.hear.options(concurrency_group=EARS).remote(PING_S)

    def _kill(self, worker: Worker) -> None:
        assert isinstance(worker, RayWorker)
        if worker.actor is not None:
            ray.kill(worker.actor)
        worker.actor = worker.hearing = worker.running = None

    def _hand_over(self, worker: RayWorker, header: Header, run: Run) -> None:
        """The order with all it needs: the checkpoint, or else what the job is made from."""
        worker.folder, worker.underway = Path(run.folder), False
        path = worker.folder / CHECKPOINT_FILE
        checkpoint = path.read_bytes() if run.resume and path.is_file() else None
        carried = _carried(run.job) if checkpoint is None and run.job.sketch else None
        order = msgspec.structs.replace(run, folder="")
        worker.running = worker.actor.run.remote(header.job, header.seq, order, checkpoint, carried)

    def _keep(self, worker: RayWorker, word: Word) -> None:
        """The report comes last: with it the job is done."""
        for name in sorted(word.files, key=lambda name: name == REPORT_FILE):
            write_bytes(worker.folder / name, word.files[name])
        if isinstance(word.body, Moved):
            worker.underway = word.body.phase not in BEFORE_STAGES
        elif isinstance(word.body, Ended) and word.body.outcome in ("done", "finished early"):
            (worker.folder / CHECKPOINT_FILE).unlink(missing_ok=True)

    def _fetched(self, worker: RayWorker, call: Any) -> Any:
        """What a call came to; None where it failed, and then the actor is of no use any more."""
        try:
            return ray.get(call)
        except RayError as error:
            worker.trouble = worker.trouble or str(error).strip() or type(error).__name__
            return None

    def _note(self, worker: RayWorker) -> None:
        log.warning("the worker on %s is lost: %s", worker.device, first_line(Exception(worker.trouble)))
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {worker.device} {worker.title}: {worker.trouble}\n")


def _is_ready(call: Any) -> bool:
    return call is not None and bool(ray.wait([call], timeout=0)[0])


def _carried(job: RefineJob) -> Carried:
    """What goes wrong is raised again where the run begins, and treated as any failure of a run."""
    from backend.refine.read_inputs import read_inputs  # torch, seconds of imports

    try:
        return read_inputs(job)
    except Exception as error:
        return error
