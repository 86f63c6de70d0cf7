"""Where a batch stands: counts, what runs, what failed, how long it will still take."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from backend.batch.plan import Plan
from backend.serve.crew import Crew
from backend.serve.stored_job import StoredJob

RECENT = 64
"""Finished jobs over which the seconds of one are averaged."""


@dataclass(frozen=True)
class Running:
    """A job on a worker; `rate` in steps per second, `eta_s` of this job alone."""

    id: str
    worker: str
    phase: str
    step: int
    steps: int
    fraction: float
    rate: float | None
    eta_s: float | None


@dataclass(frozen=True)
class Board:
    """All that a display shows. `per_hour`: jobs; None while nothing has finished yet."""

    total: int
    done: int
    failed: Mapping[str, str]  # id -> sentence
    waiting: int
    running: tuple[Running, ...]
    workers: Mapping[str, int]  # state -> how many
    elapsed_s: float
    per_hour: float | None
    eta_s: float | None


class Watch(Protocol):
    """Somebody who looks on. `previews`: whether pictures of the runs are wanted."""

    previews: bool

    def note(self, sentence: str) -> None:
        """Something worth a line."""
        ...

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None:
        """A job is in another state; `told`: its step, steps, worker, sentence where there are any."""
        ...

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """The surface of a running job: vertices [V,3], faces [F,3], colours [V,3] uint8."""
        ...

    def show(self, board: Board) -> None:
        """How things stand, a few times a second."""
        ...


class Silent:
    """Nobody looks."""

    previews = False

    def note(self, sentence: str) -> None: ...

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None: ...

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None: ...

    def show(self, board: Board) -> None: ...


@dataclass
class Clock:
    """Seconds of the jobs that were finished here, for what the others will take."""

    began: float = field(default_factory=time.monotonic)
    finished: int = 0
    _begun: dict[str, float] = field(default_factory=dict)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def begin(self, job: str) -> None:
        self._begun.setdefault(job, time.monotonic())

    def end(self, job: str, counts: bool) -> None:
        """`counts`: it has run to its end, so the others will take as long."""
        begun = self._begun.pop(job, None)
        if counts and begun is not None:
            self.finished += 1
            self._seconds.append(time.monotonic() - begun)

    def board(self, plan: Plan, done: int, failed: Mapping[str, str], jobs: Iterable[StoredJob], crew: Crew) -> Board:
        """`jobs`: those on a worker."""
        elapsed_s = time.monotonic() - self.began
        running = tuple(
            Running(job.label, job.device, job.phase or job.state, job.step, job.steps, job.fraction, job.rate, job.eta_s) for job in jobs
        )
        workers: dict[str, int] = {}
        for worker in crew:
            workers[worker.state] = workers.get(worker.state, 0) + 1
        waiting = len(plan.jobs) - done - len(failed) - len(running)
        eta_s = None
        if self._seconds:
            left = waiting + sum(1 - each.fraction for each in running)
            eta_s = left * sum(self._seconds) / len(self._seconds) / max(1, sum(workers.values()))
        elif not waiting and running and all(each.eta_s is not None for each in running):
            eta_s = max(each.eta_s or 0.0 for each in running)
        per_hour = self.finished / elapsed_s * 3600 if self.finished and elapsed_s else None
        return Board(len(plan.jobs), done, dict(failed), waiting, running, workers, elapsed_s, per_hour, eta_s)
