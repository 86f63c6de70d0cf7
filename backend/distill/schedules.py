"""Noise levels over a run, and any other number that changes with the step.

A value over time is a tuple of points; a `Schedule` turns two of those into a window of noise levels, and `draw_timesteps` draws
one level per view from it. Levels are host integers: nothing here touches a device.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import msgspec
import numpy as np
import torch
from torch import Tensor

from backend.distill.parameters import Varying
from backend.errors import UserError
from protocol.strict import nearest

Kind = Literal["uniform", "step", "linear", "sqrt", "dreamtime", "window", "pfd"]
PFD_NARROWS_FROM = 0.7  # of the stage (arXiv 2605.09071)
STEP_FALLS_AT = 0.2  # of the stage: step 5000 of 25000 in the VSD and Bridge configurations


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value and when it holds: at a step, or at a fraction of the stage (0 its first step, 1 its last). Exactly one is given."""

    value: float
    step: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.step is None) == (self.fraction is None):
            raise ValueError("a point is placed by either a step or a fraction")

    def at(self, steps: int) -> float:
        """The step at which it holds in a stage of that many steps."""
        return float(self.step) if self.step is not None else (self.fraction or 0.0) * max(steps - 1, 1)


def constant(value: float) -> tuple[Point, ...]:
    """One value throughout."""
    return (Point(value=value, fraction=0.0),)


def ramp(first: float, last: float) -> tuple[Point, ...]:
    """From `first` at the first step to `last` at the last."""
    return (Point(value=first, fraction=0.0), Point(value=last, fraction=1.0))


def ramp_points(literal: Sequence[float]) -> tuple[Point, ...]:
    """The points of a published literal [s0, v0, v1, s1]: v0 until step s0, linear to v1 at step s1, then v1. Three entries: s0 is 0.

    Ends written as floats count epochs in the sources and have no meaning here: ValueError, as for any other length.
    """
    s0, v0, v1, s1 = (0, *literal) if len(literal) == 3 else literal
    if not (isinstance(s0, int) and isinstance(s1, int)):
        raise ValueError(f"a schedule literal counts steps, which are integers, got {s0!r} and {s1!r}")
    return (Point(value=v0, step=s0), Point(value=v1, step=s1))


def varying(value: Varying, step: int, steps: int) -> float:
    """A setting's value at a step: itself, or what its schedule literal says."""
    return float(value) if isinstance(value, int | float) else value_at(ramp_points(value), step, steps)


def value_at(points: Sequence[Point], step: int, steps: int) -> float:
    """The value at `step` (0-based) of a stage of `steps`: linear between points, constant before the first and after the last."""
    return float(np.interp(step, [point.at(steps) for point in points], [point.value for point in points]))


class DreamTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The weight over noise levels of DreamTime (arXiv 2306.12422), in levels of a thousand: 1 between m2 and m1, falling off outside."""

    m1: float = 800.0
    m2: float = 500.0
    s1: float = 300.0
    s2: float = 100.0
    two: float = 2.0  # factor in the exponent's denominator; 1 in the implementation of CFD


CFD_DREAMTIME = DreamTime(m1=800.0, m2=400.0, s1=100.0, s2=150.0, two=1.0)


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which noise levels a stage uses. `low` and `high` are bounds over time, as fractions of the training range.

    - uniform: anywhere between the first values of `low` and `high`.
    - window: between the two as they move.
    - step: as window, but each bound keeps a point's value until the next point.
    - pfd: the first values until 70 % of the stage, then eased to the last ones.
    - linear, sqrt, dreamtime: one level per step, no chance, from high's first value down to low's last.
    """

    kind: Kind = "uniform"
    low: tuple[Point, ...] = constant(0.02)
    high: tuple[Point, ...] = constant(0.98)
    dreamtime: DreamTime = DreamTime()

    def __post_init__(self) -> None:
        for name, points in (("low", self.low), ("high", self.high)):
            if not points or not all(0.0 <= point.value <= 1.0 for point in points):
                raise ValueError(f"'{name}' needs at least one point, with values in 0..1")

    @staticmethod
    def of(kind: str, low: tuple[float, float] = (0.02, 0.02), high: tuple[float, float] = (0.98, 0.98)) -> "Schedule":
        """From (value at the first step, value at the last step) of both bounds; `step` falls after a fifth of the stage.

        Errors: UserError for an unknown kind, naming the nearest, and for bounds outside 0..1 or crossed.
        """
        if kind not in get_args(Kind):
            raise UserError(f"There is no timestep schedule '{kind}'.", nearest(kind, list(get_args(Kind))))
        for bound in (*low, *high):
            if not 0.0 <= bound <= 1.0:
                raise UserError(f"A timestep bound should lie in 0..1, but it is {bound}.", "Give it as a fraction of the training range.")
        if low[0] > high[0] or low[1] > high[1]:
            raise UserError(f"The timestep window is empty: low {low} lies above high {high}.", "Swap or widen the bounds.")
        if kind == "step":
            sides = [(Point(value=a, fraction=0.0), Point(value=b, fraction=STEP_FALLS_AT)) for a, b in (low, high)]
            return Schedule(kind="step", low=sides[0], high=sides[1])
        return Schedule(kind=kind, low=ramp(*low), high=ramp(*high))  # type: ignore[arg-type]


def bounds(schedule: Schedule, step: int, steps: int, timesteps: int) -> tuple[int, int]:
    """The lowest and highest noise level at `step` of `steps`, both included, as indices below `timesteps`; equal if there is no choice."""
    kind = schedule.kind
    if kind in ("linear", "sqrt", "dreamtime"):
        top, bottom = schedule.high[0].value, schedule.low[-1].value
        progress = step / steps
        if kind == "dreamtime":
            level = _dreamtime_level(schedule.dreamtime, _index(bottom, timesteps), _index(top, timesteps), timesteps, progress)
        else:  # SDI and HiFA (arXiv 2305.18766)
            level = _index(bottom + (top - bottom) * (1.0 - (progress**0.5 if kind == "sqrt" else progress)), timesteps)
        return level, level
    low, high = (_bound(kind, points, step, steps) for points in (schedule.low, schedule.high))
    first, last = _index(low, timesteps), _index(high, timesteps)
    return min(first, last), last


def draw_timesteps(schedule: Schedule, step: int, steps: int, batch: int, timesteps: int, generator: torch.Generator) -> Tensor:
    """One noise level per view, [batch] int64 on the host, stratified: one in each of `batch` equal slices of the window, in random order.

    `generator` is a host generator; how much of it is used depends on `batch` alone, never on the schedule.
    """
    low, high = bounds(schedule, step, steps, timesteps)
    within = torch.rand(batch, dtype=torch.float64, generator=generator)
    # Shuffled, since the views themselves are stratified: no side of the object may always get the strong noise.
    order = torch.randperm(batch, generator=generator)
    levels = low + ((order + within) / batch * (high - low + 1)).floor().to(torch.int64)
    return levels.clamp_max(high)


def _bound(kind: str, points: Sequence[Point], step: int, steps: int) -> float:
    if kind == "uniform":
        return points[0].value
    if kind == "step":
        return next((point.value for point in reversed(points) if step >= point.at(steps)), points[0].value)
    if kind == "pfd":
        eased = np.clip((step / max(steps - 1, 1) - PFD_NARROWS_FROM) / (1.0 - PFD_NARROWS_FROM), 0.0, 1.0)
        return points[0].value + float(eased) * (points[-1].value - points[0].value)
    return value_at(points, step, steps)


def _index(fraction: float, timesteps: int) -> int:
    return min(round(fraction * timesteps), timesteps - 1)


@lru_cache(maxsize=16)
def _dreamtime_tail(weight: DreamTime, low: int, high: int, timesteps: int) -> np.ndarray:
    """Sum of p(t') over t' >= t, for t = low..high."""
    t = np.arange(low, high + 1) * (1000.0 / timesteps)
    above = np.exp(-((t - weight.m1) ** 2) / (weight.two * weight.s1**2))
    below = np.exp(-((t - weight.m2) ** 2) / (weight.two * weight.s2**2))
    w = np.where(t > weight.m1, above, np.where(t < weight.m2, below, 1.0))
    return np.asarray(np.cumsum((w / w.sum())[::-1])[::-1])


def _dreamtime_level(weight: DreamTime, low: int, high: int, timesteps: int, progress: float) -> int:
    # arXiv 2306.12422, Eq. 5: t(i) = argmin_t | sum_{t' >= t} p(t') - i/N |
    return low + int(np.abs(_dreamtime_tail(weight, low, high, timesteps) - progress).argmin())
