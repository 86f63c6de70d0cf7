"""Probability-flow distillation (arXiv 2605.09071): to the noise along the present flow, back along the prior's."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
import torch
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows, guide, inversion_field, inversion_roles, predict
from backend.distill.parameters import PFDParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.nodes import geometric_nodes, uniform_nodes
from backend.priors.solvers import Field, invert, level_of, rows_of, solve

FieldPair = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""As `solvers.Field`, but two predictions at one state: where the flow goes, and what it is compared with."""


class PFD(BaseMethod):
    """G = w (z - x0h): x0h is z taken to x_t by inversion, a stand-in for the flow of the renders, and back by a solve with the prompt.

    form "two_solve" is that; with one reverse step it is SDI. form "forward" drops the Jacobian of the score along the path, so that one
    way is enough: G = w sum_k (st_{k+1} - st_k) (eps_g(x_k) - eps_ginv(x_k)) along the inversion, by the inversion's own solver. The
    guidance of the inversion is 1 - g unless given: the two texts with their parts exchanged, which describes where we are.

    Perp-Neg turns the reverse field alone. In the forward form both fields are made of the same two predictions, so it turns both.

    Rows, with m = min(inversion_steps, t + 1) and n = min(steps, t + 1): two_solve m times those of the inversion (2; 1 at its guidance 0
    or 1) plus n times those of the way back (2; 1 at g = 1; 4 with Perp-Neg), 2n - 1 instead of n with Heun; forward 2m, 4m with Perp-Neg.
    """

    name: ClassVar[str] = "pfd"
    title: ClassVar[str] = "Probability-flow distillation (PFD)"
    source: ClassVar[str] = "Probability-Flow Distillation, arXiv 2605.09071, its update z - rate (z - x0h)"
    parameters: ClassVar[type[msgspec.Struct]] = PFDParameters
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    uses_guidance: ClassVar[bool] = True
    gives_clean: ClassVar[bool] = True

    def roles(self, parameters: PFDParameters) -> tuple[Role, ...]:
        if parameters.form == "forward":
            return _shared_roles(parameters)
        read = {*inversion_roles(_inversion_guidance(parameters)), *guidance_roles(parameters.guidance, parameters.perp_neg)}
        return tuple(role for role in _ORDER if role in read)

    def draws(self, parameters: PFDParameters) -> tuple[Draw, ...]:
        return ()

    def rows(self, parameters: PFDParameters, t: int) -> int:
        # Both kinds of nodes are equally many.
        there = rows_of(uniform_nodes(t, parameters.inversion_steps), parameters.inversion_solver)
        if parameters.form == "forward":
            return there * (len(_shared_roles(parameters)) + parameters.perp_neg)  # "away" is two
        back = rows_of(uniform_nodes(t, parameters.steps)[::-1], parameters.solver)
        inverse = len(inversion_roles(_inversion_guidance(parameters)))
        return there * inverse + back * guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: PFDParameters,
        state: MethodState,
    ) -> Distilled:
        z, levels = latents.detach(), t.tolist()
        inversion_guidance = _inversion_guidance(parameters)
        if parameters.form == "forward":

            def pair(x: Tensor, t: Tensor, which: Tensor | None) -> tuple[Tensor, Tensor]:
                said = predict(prior, x, t, conditions, _shared_roles(parameters), away_weights=state.away_weights, which=which)
                inverse = guide(said["null"], said["target"], inversion_guidance)
                return inverse, guide(said["null"], said["target"], parameters.guidance)

            residual = forward_difference(prior, z, levels, pair, parameters)  # along the way up alone
        else:
            inverse = inversion_field(prior, conditions, inversion_guidance)
            reverse = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)
            residual = z - there_and_back(prior, z, levels, inverse, reverse, parameters)  # arXiv 2605.09071: z <- z - rate (z - x0h)
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)}, z - residual)


def there_and_back(
    prior: Prior,
    latents: Tensor,  # [B,C,H,W] clean
    levels: Sequence[int],  # [B]
    inverse: Field,
    reverse: Field,
    parameters: PFDParameters,
) -> Tensor:
    """x0h [B,C,H,W]: up the flow of `inverse` to each sample's level, down that of `reverse` to no noise; solvers and nodes as set."""
    up = _nodes(prior, levels, parameters, parameters.inversion_steps)
    down = [own[::-1] for own in _nodes(prior, levels, parameters, parameters.steps)]
    x_t = invert(inverse, prior, latents, up, parameters.inversion_solver)
    return solve(reverse, prior, x_t, down, parameters.solver)


def forward_difference(
    prior: Prior,
    latents: Tensor,  # [B,C,H,W] clean
    levels: Sequence[int],  # [B]
    pair: FieldPair,
    parameters: PFDParameters,
) -> Tensor:
    """int (eps_2 - eps_1)(x_s) d st from no noise to each sample's level [B,C,H,W], along the flow of the pair's first field.

    With DDIM it is the sum over the inversion's steps. The integral is inverted along with x, as the second half of one batch that starts
    at zero: its slope d/d st is the difference of the fields.
    """

    def along(x: Tensor, t: Tensor, which: Tensor | None) -> Tensor:
        half = len(t) // 2
        flow, compared = pair(x[:half], t[:half], None if which is None else which[:half])
        return torch.cat([flow, compared - flow])

    up = _nodes(prior, levels, parameters, parameters.inversion_steps)
    start = torch.cat([latents, torch.zeros_like(latents)])
    end = invert(along, prior, start, up + up, parameters.inversion_solver)[len(latents) :]
    return end / level_of(prior, levels, latents).alpha  # `invert` gives alpha_t times what it integrates


_ORDER: tuple[Role, ...] = ("null", "target", "away")


def _shared_roles(parameters: PFDParameters) -> tuple[Role, ...]:
    """The texts of the forward form: their difference is read at any guidance."""
    return _ORDER if parameters.perp_neg else ("null", "target")


def _inversion_guidance(parameters: PFDParameters) -> float:
    return 1.0 - parameters.guidance if parameters.inversion_guidance is None else parameters.inversion_guidance


def _nodes(prior: Prior, levels: Sequence[int], parameters: PFDParameters, steps: int) -> list[list[int]]:
    """Upward from CLEAN, one list per sample."""
    if parameters.nodes == "uniform":
        return [uniform_nodes(level, steps) for level in levels]
    return [geometric_nodes(prior.abar_host, level, steps) for level in levels]
