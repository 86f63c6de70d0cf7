"""The probability-flow ODE between noise levels, downward (sampling) and upward (inversion), each sample by nodes of its own.

With xb = x_t/alpha_t and st = sigma_t/alpha_t it is d xb / d st = eps, and a DDIM step is Euler in st. Levels are
host integers (see `nodes`), coefficients stay on the device: nothing here is read back.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from backend.priors.contract import Prior
from backend.priors.conversions import clean_from
from backend.priors.nodes import CLEAN

Solver = Literal["ddim", "heun", "dpmpp2m"]
InversionSolver = Literal["ddim", "ab2"]

Field = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(x [b,C,H,W], t [b] int64 on the host, which [b] int64: the samples of the batch, None for all in order) -> eps [b,C,H,W]."""


class Level(NamedTuple):
    """Coefficients [b,1,1,1] of one level for every sample, in the dtype of the latents; `ratio` is st."""

    alpha: Tensor
    sigma: Tensor
    clean: Tensor  # [b,1,1,1] bool: no noise at all

    @property
    def ratio(self) -> Tensor:
        return self.sigma / self.alpha


Disturbance = Callable[[int, Tensor | None, Tensor, Level, Level], Tensor]
"""(number of the step, from 0; which samples, as for a field; their x, after the step; the levels before and after) -> x."""


class _Step(NamedTuple):
    which: Tensor | None  # host; None: every sample
    here: list[int]
    there: list[int]


def solve(field: Field, prior: Prior, x_t: Tensor, nodes: Sequence[Sequence[int]], solver: Solver = "ddim") -> Tensor:
    """Clean latents [B,C,H,W] (or at the last node) from x_t [B,C,H,W]; nodes: per sample, from its own noise level down.

    One prediction per step and sample; Heun takes a second one except where a step ends at CLEAN, which is Euler, that is, the posterior
    mean. "dpmpp2m": DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2).
    """
    before_clean, before_step = torch.zeros_like(x_t), torch.ones_like(x_t[:, :1, :1, :1])
    for index, step in enumerate(_steps(nodes)):
        x = _pick(x_t, step.which)
        here, there = level_of(prior, step.here, x), level_of(prior, step.there, x)
        noise = field(x, _asked(step.here), step.which)
        clean = clean_from(noise, x, here.alpha, here.sigma)
        if solver == "dpmpp2m":
            before = (_pick(before_clean, step.which), _pick(before_step, step.which)) if index else None
            moved, clean, size = _dpmpp2m(x, clean, here, there, before)
            before_clean, before_step = _put(before_clean, step.which, clean), _put(before_step, step.which, size)
        else:
            moved = there.alpha * clean + there.sigma * noise
            if solver == "heun":
                moved = _corrected(field, prior, x, noise, moved, step, here, there)
        x_t = _put(x_t, step.which, moved)
    return x_t


def invert(
    field: Field,
    prior: Prior,
    latents: Tensor,
    nodes: Sequence[Sequence[int]],
    solver: InversionSolver = "ddim",
    *,
    disturb: Disturbance | None = None,
) -> Tensor:
    """x_t [B,C,H,W] on the flow through the clean `latents`; nodes: per sample, from CLEAN up. One prediction per step and sample.

    "ab2": two-step Adams-Bashforth in st, xb + h ((1 + u) e_k - u e_{k-1}) with u = h/(2 h_prev); unstable below ten nodes.
    disturb: for noise on the way, after every step.
    """
    x_t = latents
    before_noise, before_step = torch.zeros_like(latents), torch.ones_like(latents[:, :1, :1, :1])
    for index, step in enumerate(_steps(nodes)):
        x = _pick(x_t, step.which)
        here, there = level_of(prior, step.here, x), level_of(prior, step.there, x)
        noise = field(x, _asked(step.here), step.which)
        size = there.ratio - here.ratio
        slope = noise
        if solver == "ab2":
            if index:
                u = size / (2.0 * _pick(before_step, step.which))
                slope = (1.0 + u) * noise - u * _pick(before_noise, step.which)
            before_noise, before_step = _put(before_noise, step.which, noise), _put(before_step, step.which, size)
        moved = there.alpha * (x / here.alpha + size * slope)
        if disturb is not None:
            moved = disturb(index, step.which, moved, here, there)
        x_t = _put(x_t, step.which, moved)
    return x_t


def level_of(prior: Prior, levels: Sequence[int], like: Tensor) -> Level:
    """Coefficients of host levels [b], CLEAN included, on the device and in the dtype of `like`."""
    shape = (-1, *([1] * (like.dim() - 1)))
    clean = torch.tensor([level == CLEAN for level in levels]).view(shape).to(like.device, non_blocking=True)
    alpha, sigma = (value.to(like.dtype).view(shape) for value in prior.coefficients(_asked(levels)))
    return Level(torch.where(clean, torch.ones_like(alpha), alpha), torch.where(clean, torch.zeros_like(sigma), sigma), clean)


def rows_of(nodes: Sequence[int], solver: Solver | InversionSolver) -> int:
    """Predictions that one way along these nodes takes."""
    steps = len(nodes) - 1
    return 2 * steps - (nodes[-1] == CLEAN) if solver == "heun" else steps


def _dpmpp2m(x: Tensor, clean: Tensor, here: Level, there: Level, before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
    """(x at the next node, this estimate, this step h = lam_j - lam_i with lam = -ln st); `before`: estimate and step before it."""
    size = here.ratio.log() - there.ratio.log()  # infinite where the next node is CLEAN
    lead = clean if before is None else clean + size / (2.0 * before[1]) * (clean - before[0])
    moved = there.sigma / here.sigma * x - there.alpha * torch.expm1(-size) * lead
    return torch.where(there.clean, clean, moved), clean, size


def _corrected(field: Field, prior: Prior, x: Tensor, noise: Tensor, moved: Tensor, step: _Step, here: Level, there: Level) -> Tensor:
    """Heun: the slope at the end of an Euler step averaged with the one at its start."""
    again = [k for k, level in enumerate(step.there) if level != CLEAN]
    if not again:
        return moved
    inner = None if len(again) == len(step.there) else torch.tensor(again)
    which = inner if step.which is None else step.which if inner is None else step.which[inner]
    at_end = field(_pick(moved, inner), _asked([step.there[k] for k in again]), which)
    slope = 0.5 * (_pick(noise, inner) + at_end)
    start, end = Level(*(_pick(part, inner) for part in here)), Level(*(_pick(part, inner) for part in there))
    return _put(moved, inner, end.alpha * (_pick(x, inner) / start.alpha + (end.ratio - start.ratio) * slope))


def _steps(nodes: Sequence[Sequence[int]]) -> Iterator[_Step]:
    """Step by step, the samples that still have one; all begin together, so what a solver remembers of the step before is theirs."""
    for k in range(max(len(own) for own in nodes) - 1):
        active = [b for b, own in enumerate(nodes) if len(own) > k + 1]
        which = None if len(active) == len(nodes) else torch.tensor(active)
        yield _Step(which, [nodes[b][k] for b in active], [nodes[b][k + 1] for b in active])


def _asked(levels: Sequence[int]) -> Tensor:
    """Where the network is asked, [b] int64 on the host: level 0 where there is no noise."""
    return torch.tensor([max(level, 0) for level in levels], dtype=torch.int64)


def _pick(values: Tensor, which: Tensor | None) -> Tensor:
    return values if which is None else values.index_select(0, which.to(values.device, non_blocking=True))


def _put(values: Tensor, which: Tensor | None, part: Tensor) -> Tensor:
    return part if which is None else values.index_copy(0, which.to(values.device, non_blocking=True), part)
