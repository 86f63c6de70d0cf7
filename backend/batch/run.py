"""A batch from its plan to its folder: the server's table and dispatcher, and one loop over a crew of workers."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np

from backend.batch.attempts import MEMORY, read_attempts, read_failed, release
from backend.batch.batch_dispatch import BatchDispatch
from backend.batch.batch_store import BatchStore
from backend.batch.board import Clock, Silent, Watch
from backend.batch.engines import BatchCrew, Engine, LocalEngine
from backend.batch.plan import CHECKPOINT_FILE, Plan, PlannedJob, folder_of, named_as_before, write_plan
from backend.batch.warm_order import PATIENCE_S, WarmOrder
from backend.errors import ResourceError, UserError
from backend.gallery.collect import REPORT_FILE
from backend.serve.dispatch import fits
from backend.serve.orders import Shown
from backend.serve.store import Recorded
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from protocol.messages import JobState

OWNER = "batch"
TURN_S = 0.25
SHOW_S = 0.25
LEAVE_S = 35.0
"""For the last checkpoints; workers take 30 at most."""
FAILED_STARTS = 5
PREVIEW_VERTICES = 5_000


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: ids that are done, ids that failed with why, ids that are left. `stopped`: by a signal."""

    out: Path
    done: tuple[str, ...]
    failed: dict[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    stopped: bool = False


def run_plan(
    plan: Plan,
    out: Path,
    engine: Engine | None = None,
    watch: Watch | None = None,
    *,
    retry_failed: bool = False,
    patience_s: float = PATIENCE_S,
) -> Outcome:
    """Run what is left of a plan in the folder `out`, until every job is done or has failed, or a signal comes.

    SIGINT and SIGTERM let the workers write their checkpoints; a second one ends them at once. They are heard in the main thread only.
    `retry_failed`: jobs in quarantine as well.

    Errors: UserError for a job that no worker's device fits; ResourceError if another batch runs in `out`, workers do not start, or
    the disk refuses.
    """
    engine = engine or LocalEngine()
    check_devices(plan, engine.devices())
    plan = named_as_before(plan, out)
    store = BatchStore(out, plan)
    try:
        write_plan(plan, out)
        batch = _Batch(plan, out, store, watch or Silent())
        batch.take_up(retry_failed)
        if batch.open_jobs:
            with _signals(batch), engine.open(out) as crew:
                batch.run(crew, patience_s, engine.where(out))
        return batch.outcome()
    finally:
        store.close()


class _Batch:
    """The jobs of a plan in the server's table, and how they stand."""

    def __init__(self, plan: Plan, out: Path, store: BatchStore, watch: Watch) -> None:
        self._plan, self._out, self._store, self._watch = plan, out, store, watch
        self._table = JobTable(store, self._announce)
        self._clock = Clock()
        self._ids = {job.key: job.id for job in plan.jobs}
        self._moving: dict[str, StoredJob] = {}
        self._states: dict[str, str] | None = None
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        self.signals = 0

    @property
    def open_jobs(self) -> bool:
        return len(self.done) + len(self.failed) < len(self._plan.jobs)

    def outcome(self) -> Outcome:
        ids = [job.id for job in self._plan.jobs]
        left = tuple(each for each in ids if each not in self.done and each not in self.failed)
        return Outcome(
            self._out, tuple(each for each in ids if each in self.done), dict(self.failed), left, self.signals > 0 and bool(left)
        )

    def take_up(self, retry_failed: bool) -> None:
        """Bring table and folders together: what is done stays done, what was under way goes on, the rest is queued in its order."""
        for planned in self._plan.jobs:
            folder = folder_of(self._out, planned.id)
            stored = self._table.jobs.get(planned.key)
            if (folder / REPORT_FILE).is_file():
                self.done.add(planned.id)
                if stored is not None and stored.state != "done":
                    self._table.change(stored, "done", "Done.")
                continue
            failed = read_failed(folder)
            if failed is not None and not retry_failed:
                self.failed[planned.id] = failed.sentence
                continue
            if failed is not None:
                release(folder)
            self._queue(planned, stored)
        for stored in list(self._table.jobs.values()):
            if stored.id not in self._ids and not stored.ended and stored.state != "paused":
                self._table.change(stored, "paused", "The job is not in the plan any more.")
        self._store.commit()

    def _queue(self, planned: PlannedJob, stored: StoredJob | None) -> None:
        folder = folder_of(self._out, planned.id)
        if stored is None:
            stored = StoredJob(
                id=planned.key,
                owner=OWNER,
                uploader=OWNER,
                content=planned.hash,
                job=planned.job,
                label=planned.id,
                prompt=planned.job.prompt,
            )
            self._table.add(stored)
        else:
            now, before = planned.job, stored.job
            stored.job = now
            if any(attempt.code == MEMORY for attempt in read_attempts(folder)):  # then its stages are those with fewer views
                stored.job = msgspec.structs.replace(now, stages=before.stages, method=before.method, parameters=before.parameters,
                                                     steps=before.steps)  # fmt: skip
            elif before.stages != now.stages:
                (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
            stored.lost = 0
        if not (folder / CHECKPOINT_FILE).is_file():
            stored.held_step, stored.fraction = -1, 0.0
        if not stored.on_worker and stored.state != "queued":
            self._table.change(stored, "queued", "Waits for a worker.")

    def run(self, crew: BatchCrew, patience_s: float, where: str) -> None:
        """The loop, until all jobs have ended or a signal comes; then the workers' last words."""
        dispatch = BatchDispatch(self._table, crew, self, WarmOrder(patience_s), self._watch.note)
        dispatch.recover()
        self._store.commit()
        self._states = {}  # from here on changes are told
        shown_at = 0.0
        while self.open_jobs and not self.signals:
            self._turn(crew, dispatch)
            if all(worker.unready >= FAILED_STARTS for worker in crew):
                raise ResourceError("No worker starts.", where)
            now = time.monotonic()
            if now - shown_at >= SHOW_S:
                shown_at = now
                self._show(crew)
        self._close(crew, dispatch)
        self._show(crew)

    def _turn(self, crew: BatchCrew, dispatch: BatchDispatch) -> None:
        """Hear everybody, act, write it down, and only then speak."""
        crew.wait(TURN_S)
        for worker, message in crew.receive():
            dispatch.heard(worker, message)
        dispatch.tick(time.monotonic())
        dispatch.assign()
        self._store.commit()
        crew.flush()

    def _close(self, crew: BatchCrew, dispatch: BatchDispatch) -> None:
        if self.signals:
            self._watch.note("Stopping: the jobs under way write their checkpoints. A second signal ends them at once.")
        dispatch.closing = True
        crew.dismiss()
        until = time.monotonic() + LEAVE_S
        while self.signals < 2 and time.monotonic() < until and crew.running():
            crew.flush()
            crew.wait(TURN_S / 5)
            for worker, message in crew.receive():
                dispatch.heard(worker, message)
            self._store.commit()
        crew.kill()
        for worker, message in crew.receive():
            dispatch.heard(worker, message)
        dispatch.recover()
        self._store.commit()

    def _show(self, crew: BatchCrew) -> None:
        running = [job for job in self._moving.values() if job.on_worker]
        self._watch.show(self._clock.board(self._plan, len(self.done), self.failed, running, crew))

    def _announce(self, job: StoredJob, seq: int, body: Recorded) -> None:
        """A change that is written down: kept in step with what the batch counts."""
        name = self._ids.get(job.id)
        if name is None or not isinstance(body, JobState):
            return
        if job.on_worker:
            self._moving[job.id] = job
            self._clock.begin(job.id)
        else:
            self._moving.pop(job.id, None)
            self._clock.end(job.id, job.state == "done")
        self.failed.pop(name, None)
        if job.state == "done":
            self.done.add(name)
        elif job.state == "failed":
            self.failed[name] = body.fault.sentence if body.fault is not None else body.reason
        if self._states is not None and self._states.get(job.id) != job.state:
            self._states[job.id] = job.state
            told: dict[str, object] = {"step": body.step, "steps": body.steps}
            told |= {"worker": job.device} if job.device else {}
            told |= {"sentence": body.reason} if body.reason else {}
            self._watch.job(name, job.state, told)

    # As the audience of the dispatcher.

    def touch(self, job: str, owner: str) -> None: ...

    def hide(self, job: str) -> None: ...

    def show(self, job: str, preview: Shown, arrays: dict[str, np.ndarray]) -> None:
        self._watch.preview(self._ids[job], preview.step, arrays)

    def wanted_vertices(self, job: str) -> int:
        return PREVIEW_VERTICES if self._watch.previews else 0


@contextmanager
def _signals(batch: _Batch) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        batch.signals += 1

    before = [(each, signal.signal(each, heard)) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def check_devices(plan: Plan, devices: tuple[str, ...]) -> None:
    """Errors: UserError for a job that no worker's device fits."""
    for job in plan.jobs:
        if not any(fits(job.job.device, device) for device in devices):
            there = ", ".join(sorted(set(devices)))
            raise UserError(f"The job '{job.id}' wants the device '{job.job.device}', but the workers have {there}.", "Change one of them.")
