"""Which of the waiting jobs a worker gets: one whose prior it has loaded, but not for ever."""

import math
from collections.abc import Callable, Sequence

from backend.serve.stored_job import StoredJob

PATIENCE_S = 1800.0
"""How long a worker stays with one prior while jobs of another wait."""


class WarmOrder:
    """Remembers what every worker has loaded. Loading weights takes seconds to minutes, so jobs that share a prior run together."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self._warm: dict[int, tuple[str, float]] = {}  # worker -> prior, since when
        self._served: dict[str, float] = {}  # prior -> when a job of it was last begun

    def choose(
        self, worker: int, waiting: Sequence[StoredJob], now: float, suits: Callable[[StoredJob], bool] = lambda job: True
    ) -> StoredJob | None:
        """The job for a worker out of the queue, of those that suit its device; `now` in seconds.

        The next one of its prior; after `patience_s` with that prior one of another, which then has its turn as long. A worker that has
        to load takes a prior that no other worker has, and of these the one that has waited longest.
        """
        prior, since = self._warm.get(worker, ("", now))
        same = next((job for job in waiting if job.job.prior == prior and suits(job)), None)
        chosen = same
        if same is None or now - since >= self.patience_s:
            firsts: dict[str, StoredJob] = {}
            for job in waiting:
                if job.job.prior not in firsts and suits(job):
                    firsts[job.job.prior] = job
            firsts.pop(prior, None)
            held = {each for other, (each, _) in self._warm.items() if other != worker}
            order = sorted(firsts, key=lambda each: (each in held, self._served.get(each, -math.inf)))
            chosen = firsts[order[0]] if order else same
        if chosen is not None:
            self._served[chosen.job.prior] = now
            if chosen is not same:
                self._warm[worker] = chosen.job.prior, now
        return chosen

    def forget(self, worker: int) -> None:
        """Its process is gone, and its weights with it."""
        self._warm.pop(worker, None)
