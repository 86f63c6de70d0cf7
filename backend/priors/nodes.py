"""Lists of noise levels between which a probability-flow ODE is solved: host integers, so that no step reads from a device.

A level is an index of the training range; CLEAN is no noise at all (alpha 1, sigma 0), where the network is asked at level 0. Lists
run upward, from CLEAN; `reversed` gives the way down. st = sigma/alpha.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from torch import Tensor

CLEAN = -1
GEOMETRIC_FROM = 0.03
"""st of the first level of geometric nodes."""


def uniform_nodes(t: int, steps: int) -> list[int]:
    """CLEAN and then min(steps, t + 1) levels, evenly spaced, the last one t."""
    return [CLEAN, *_distinct(np.linspace(0, t, steps + 1)[1:].round(), t)]


def geometric_nodes(abar: Tensor, t: int, steps: int) -> list[int]:
    """CLEAN and then min(steps, t + 1) levels whose st grow by one factor from .03 to that of t, each the nearest there is.

    abar: [T] on the host, the cumulative product of the prior's noise schedule.
    """
    return list(_geometric(abar, t, steps))


@lru_cache(maxsize=8192)  # a run asks for the same few levels again and again
def _geometric(abar: Tensor, t: int, steps: int) -> tuple[int, ...]:
    ratios = np.sqrt(1.0 / abar.numpy() - 1.0)  # st, growing with the level
    wanted = np.geomspace(min(GEOMETRIC_FROM, float(ratios[t])), float(ratios[t]), steps)
    above = np.searchsorted(ratios, wanted).clip(1, len(ratios) - 1)
    nearest = above - (wanted - ratios[above - 1] < ratios[above] - wanted)
    return (CLEAN, *_distinct(nearest, t))


def stride_nodes(t: int, stride: int, first: int) -> list[int]:
    """CLEAN, then first, first + stride, ... below t, then t."""
    return [CLEAN, *range(first, t, stride), t]


def _distinct(wanted: np.ndarray, t: int) -> list[int]:
    """The last min(len, t + 1) of ascending levels, moved as little as makes them differ; the last one t."""
    levels = [int(level) for level in wanted[-(t + 1) :]]
    levels[-1] = t
    for k in range(len(levels) - 2, -1, -1):
        levels[k] = min(levels[k], levels[k + 1] - 1)
    for k, level in enumerate(levels):
        levels[k] = max(level, k)
    return levels


def as_rows(nodes: Sequence[int], batch: int) -> list[list[int]]:
    """The same nodes for every sample of a batch."""
    return [list(nodes)] * batch
