"""Interval score matching (LucidDreamer, arXiv 2311.11284)."""

from collections.abc import Mapping
from math import ceil
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows, inversion_field, inversion_roles
from backend.distill.parameters import ISMParameters
from backend.distill.schedules import varying
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.nodes import uniform_nodes
from backend.priors.solvers import invert, level_of

MOST_STRIDES = 5


class ISM(BaseMethod):
    """G = w(t) (eps_g(x_t) - e_inv(x_s)): predictions at two near points, s = t - delta_t, of one inversion path of z. No chance is in it.

    x_s is reached from no noise at all in N even steps, x_t in one more from there; e_inv(x_s) is the prediction that this step uses.
    Perp-Neg turns eps_g alone.

    N depends on t and the settings, never on the step, so that the cost of a run is known: it is ceil((t - delta)/stride) within 1..5,
    delta the smallest interval that the setting ever takes. No step is longer than the stride, up to the fifth. s is at least N - 1, so
    that there are N levels; where t <= delta_t it is that.

    Rows: (N + 1) of the inversion (1 at its guidance 0 or 1, else 2), and those of eps_g (2; 1 at g = 1; 4 with Perp-Neg): by default
    4 to 8.
    """

    name: ClassVar[str] = "ism"
    title: ClassVar[str] = "Interval score matching (ISM)"
    source: ClassVar[str] = "LucidDreamer, arXiv 2311.11284, the gradient of its ISM loss"
    parameters: ClassVar[type[msgspec.Struct]] = ISMParameters
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: ISMParameters) -> tuple[Role, ...]:
        read = {*inversion_roles(parameters.inversion_guidance), *guidance_roles(parameters.guidance, parameters.perp_neg)}
        return tuple(role for role in _ORDER if role in read)

    def draws(self, parameters: ISMParameters) -> tuple[Draw, ...]:
        return ()

    def rows(self, parameters: ISMParameters, t: int) -> int:
        inverse = len(inversion_roles(parameters.inversion_guidance))
        return (_strides(parameters, t) + 1) * inverse + guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: ISMParameters,
        state: MethodState,
    ) -> Distilled:
        z, levels = latents.detach(), t.tolist()
        interval = max(round(varying(parameters.delta_t, state.step, state.steps)), 0)
        strides = [_strides(parameters, level) for level in levels]
        below = [max(level - interval, count - 1) for level, count in zip(levels, strides, strict=True)]
        inverse = inversion_field(prior, conditions, parameters.inversion_guidance)
        ways = [uniform_nodes(s, count) for s, count in zip(below, strides, strict=True)]
        x_s = invert(inverse, prior, z, ways)
        start, end = level_of(prior, below, z), level_of(prior, levels, z)
        noise_s = inverse(x_s, t.new_tensor(below))
        x_t = end.alpha * (x_s / start.alpha + (end.ratio - start.ratio) * noise_s)
        noise_t = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        residual = noise_t - noise_s  # arXiv 2311.11284: the gradient of the ISM loss
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})


_ORDER: tuple[Role, ...] = ("null", "target", "away")


def _strides(parameters: ISMParameters, level: int) -> int:
    """N, the steps to x_s."""
    if isinstance(parameters.delta_t, int | float):
        least = parameters.delta_t
    else:
        *_, first, last, _ = parameters.delta_t  # [s0, v0, v1, s1] or [v0, v1, s1]
        least = min(first, last)
    return min(max(ceil((level - max(round(least), 0)) / parameters.stride), 1), MOST_STRIDES)
