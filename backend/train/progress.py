"""How far a stage has come, and the rates that follow from it: boxed by steps or by wall time.

A stage boxed by steps repeats bit for bit; one boxed by minutes anneals completely on a machine of any speed. Time
counts while the process trains, sheets and exports included; pauses between resumed parts do not count.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from types import FrameType


def child_seed(seed: int, name: str) -> int:
    """A seed for a named use that does not shift when other uses are added."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


class Progress:
    """Step counter with a budget; `fraction` runs from 0 to 1."""

    def __init__(self, *, minutes: float, steps: int | None) -> None:
        self.budget_s, self.budget_steps = minutes * 60.0, steps
        self.step, self.spent_s = 0, 0.0
        self._mark = time.monotonic()

    @property
    def fraction(self) -> float:
        if self.budget_steps is not None:
            return min(self.step / max(self.budget_steps, 1), 1.0)
        return min(self.spent_s / max(self.budget_s, 1e-6), 1.0)

    @property
    def is_done(self) -> bool:
        return self.step >= self.budget_steps if self.budget_steps is not None else self.spent_s >= self.budget_s

    def start_clock(self) -> None:
        self._mark = time.monotonic()

    def advance(self) -> None:
        now = time.monotonic()
        self.step, self.spent_s, self._mark = self.step + 1, self.spent_s + now - self._mark, now

    def state(self) -> dict[str, float]:
        return {"step": self.step, "spent_s": self.spent_s}

    def restore(self, state: dict[str, float]) -> None:
        self.step, self.spent_s = int(state["step"]), float(state["spent_s"])
        self.start_clock()


def cosine_rate(peak: float, fraction: float, step: int, *, warm_steps: int, last: float) -> float:
    """Learning rate: linear warm-up over `warm_steps`, then half a cosine from `peak` to `last * peak`."""
    warm = min(1.0, (step + 1) / warm_steps)
    return peak * warm * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0))))


def ema_decay(step: int, limit: float) -> float:
    """Decay of a running average of weights that trusts early steps less: min(limit, (1 + s) / (20 + s))."""
    return min(limit, (1 + step) / (20 + step))


class StopSignal:
    """Set once the user pressed Ctrl-C, the process was asked to end, or `minutes` have passed since its making.

    The loop then writes a checkpoint and returns. A second Ctrl-C interrupts at once.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._ends = None if minutes is None else time.monotonic() + 60.0 * minutes
        self._was_asked = False
        self._before: dict[int, object] = {}

    @property
    def is_set(self) -> bool:
        return self._was_asked or (self._ends is not None and time.monotonic() >= self._ends)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._was_asked:
            raise KeyboardInterrupt
        self._was_asked = True

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
