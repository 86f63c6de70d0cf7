"""The noise that leads to where we are: DDIM inversion, with some noise on the way, as SDI and JSD use it (arXiv 2405.15891)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.distill.contract import Draw, MethodState, Role, broadcast
from backend.distill.guidance import GuidedField, guidance_rows, inversion_field, inversion_roles
from backend.errors import UserError
from backend.priors.contract import Condition, Prior
from backend.priors.nodes import stride_nodes
from backend.priors.solvers import Level, invert, level_of

FIRST = 1  # the first level after the clean latents, as in the published configuration
LEVELS = 1000  # noise is declared for as many noise levels as priors usually have


@dataclass(frozen=True)
class NoiseInversion:
    """x_t on the probability flow through z, from DDIM steps of `stride` noise levels under guidance of their own.

    After each step comes fresh noise, `eta` times the deviation of a stochastic DDIM step; the step from no noise has none. With
    `match_reference`, as in the published code, z counts as a latent of level 0, and the last step ends up to a stride of levels above t,
    by the draw "jitter", though x_t is then read as one of level t. That code asks its network about a level below 0 first; here it is 0.
    """

    guidance: float
    stride: int
    eta: float
    perp_neg: bool
    match_reference: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """Texts that are read."""
        return ("null", "target", "away") if self.perp_neg else inversion_roles(self.guidance)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """One noise per step of the longest way there is, and the jitter."""
        steps = len(stride_nodes(LEVELS - 1, self.stride, FIRST)) - 1
        noises = tuple(Draw(_noise(step)) for step in range(self._first_disturbed, steps)) if self.eta > 0.0 else ()
        return (*noises, Draw("jitter", "uniform", "view")) if self.match_reference else noises

    def rows(self, t: int) -> int:
        """Denoiser rows per view: one prediction at no noise, and one at each level of the way below t."""
        each = guidance_rows(self.guidance, True) if self.perp_neg else len(inversion_roles(self.guidance))
        return (len(stride_nodes(t, self.stride, FIRST)) - 1) * each

    def __call__(
        self,
        prior: Prior,
        z: Tensor,  # [B,C,H,W]
        t: Tensor,  # [B] int64 on the host
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        state: MethodState,
    ) -> Tensor:
        """x_t [B,C,H,W]. UserError for a prior with more noise levels than noise was declared for."""
        if self.eta > 0.0 and prior.timesteps > LEVELS:
            raise UserError(f"Inversion noise is there for {LEVELS} noise levels, but this prior has {prior.timesteps}.", "Set 'eta' to 0.")
        field = self._field(prior, conditions, state)
        ways = [stride_nodes(level, self.stride, FIRST) for level in t.tolist()]
        noise = _Disturbance(draws, self.eta, self._first_disturbed)
        if not self.match_reference:
            return invert(field, prior, z, ways, disturb=noise)
        ways = [[0, *way[1:-1]] for way in ways]
        x = invert(field, prior, z, ways, disturb=noise)
        before = [way[-1] for way in ways]
        here, there = level_of(prior, before, x), self._beyond(prior, t, draws["jitter"], x)
        slope = field(x, torch.tensor(before), None)
        moved = there.alpha * (x / here.alpha + (there.ratio - here.ratio) * slope)
        return noise.after([len(way) - 1 for way in ways], moved, here, there)

    def _field(self, prior: Prior, conditions: Mapping[str, Condition], state: MethodState) -> GuidedField:
        if self.perp_neg:
            return GuidedField(prior, conditions, self.guidance, True, state.away_weights)
        return inversion_field(prior, conditions, self.guidance)

    def _beyond(self, prior: Prior, t: Tensor, jitter: Tensor, like: Tensor) -> Level:
        # On the device, where the draw is: nothing is read back, so this level is no host integer.
        above = (jitter * self.stride).floor().to(torch.int64).clamp_max(self.stride - 1)
        level = (t.to(above.device, non_blocking=True) + above).clamp_max(prior.timesteps - 1)
        alpha, sigma = (broadcast(value, like) for value in prior.coefficients(level))
        return Level(alpha, sigma, torch.zeros_like(alpha, dtype=torch.bool))

    @property
    def _first_disturbed(self) -> int:
        return 0 if self.match_reference else 1


@dataclass(frozen=True)
class _Disturbance:
    """Noise after each step, as the solver wants it."""

    draws: Mapping[str, Tensor]
    eta: float
    first: int

    def __call__(self, step: int, which: Tensor | None, x: Tensor, here: Level, there: Level) -> Tensor:
        if self.eta == 0.0 or step < self.first:
            return x
        noise = self.draws[_noise(step)]
        if which is not None:
            noise = noise.index_select(0, which.to(noise.device, non_blocking=True))
        return x + self.eta * _deviation(here, there) * noise

    def after(self, steps: list[int], x: Tensor, here: Level, there: Level) -> Tensor:
        """The same where each sample has a step of its own number behind it."""
        if self.eta == 0.0:
            return x
        noise = torch.cat([self.draws[_noise(step)][b : b + 1] for b, step in enumerate(steps)])
        return x + self.eta * _deviation(here, there) * noise


def _noise(step: int) -> str:
    return f"inversion noise {step}"


def _deviation(here: Level, there: Level) -> Tensor:
    # arXiv 2010.02502, Eq. 16, of the step from `there` down to `here`
    return here.sigma / there.sigma * (1.0 - (there.alpha / here.alpha).square()).clamp_min(0.0).sqrt()
