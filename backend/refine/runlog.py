"""What a run tells while it goes and keeps for its report: phases and their seconds, notes, progress."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from backend.refine.events import Listener, Note, Progress
from protocol.job import Stage

TELL_EVERY_S = 1.0
# Rough costs in colour steps, for the estimate of the remaining time only.
PREPARE_COST, EXPORT_COST, SHAPE_STEP_COST = 40.0, 100.0, 1.6
LARGEST_FRACTION = 0.999
"""1 is told only when the files are written."""


class RunLog:
    """Tells a listener; `notes` and `seconds` (phase -> seconds) are what the report holds of it."""

    def __init__(self, listen: Listener) -> None:
        self.listen = listen
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        self._began = self._told = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the seconds of a `with` block under `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 3)

    def go_on(self, notes: Sequence[str], seconds: Mapping[str, float]) -> None:
        """Count what an earlier part of the run had noted and spent."""
        self.notes[:] = [*notes, *(note for note in self.notes if note not in notes)]
        for name, passed in seconds.items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + passed, 3)

    def note(self, text: str, level: str = "note") -> None:
        self.notes.append(text)
        self.listen(Note(text, level))

    def progress(self, phase: str, done: int, stages: Sequence[Stage], *, prepared: bool = True) -> None:
        """Tell how far the run is after `done` steps over all `stages`; `prepared`: whether the stages have begun."""
        cost = [stage.steps * (SHAPE_STEP_COST if stage.optimise != "colour" else 1.0) for stage in stages]
        total = PREPARE_COST + sum(cost) + EXPORT_COST
        passed, left = PREPARE_COST if prepared else 0.0, done
        for stage, whole in zip(stages, cost, strict=True):
            share = min(1.0, left / stage.steps) if stage.steps else 0.0
            passed += share * whole
            left = max(0, left - stage.steps)
        fraction = min(LARGEST_FRACTION, passed / total)
        self._told = time.perf_counter()
        elapsed = self._told - self._began
        left_s = elapsed * (1 - fraction) / fraction if fraction else None
        self.listen(Progress(phase, done, sum(stage.steps for stage in stages), fraction, elapsed, left_s, dict(self.losses)))

    def tick(self, phase: str, done: int, stages: Sequence[Stage]) -> None:
        """As `progress`, with the losses last read; at most once a second, since nothing is read from the device for it."""
        if time.perf_counter() - self._told >= TELL_EVERY_S:
            self.progress(phase, done, stages)

    def done(self, steps: int, stages: Sequence[Stage]) -> None:
        """The files are written."""
        self.listen(Progress("done", steps, sum(stage.steps for stage in stages), 1.0, time.perf_counter() - self._began, 0.0))
