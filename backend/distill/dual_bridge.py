"""The full dual bridge: both one-step estimates of the Bridge gradient replaced by solves of the flow (arXiv 2406.09417)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import torch
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows, guide, predict_states
from backend.distill.parameters import DualBridgeParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.nodes import geometric_nodes, uniform_nodes
from backend.priors.solvers import invert, rows_of, solve


class DualBridge(BaseMethod):
    """G = w (psi_src - psi_tgt): where the flows of the source text and of the prompt lead from one x_t.

    form "fresh": x_t with fresh noise, two solves side by side. form "inversion": x_t by DDIM inversion of z under the source text, as in
    DDIB (arXiv 2203.08382); the source's flow then leads back to z, psi_src = z, and one solve is left. It is for polishing after a
    one-step stage: at the beginning the inversion makes more of what the source text misses. Perp-Neg turns the target's field alone.

    Rows: with n = min(steps, t + 1), r_src = 1 (2 unless the source's guidance is 1), r_tgt = 2 (1 at g = 1; 4 with Perp-Neg), and f = n
    for DDIM and DPM-Solver++(2M), 2n - 1 for Heun: fresh f (r_src + r_tgt), inversion n r_src + f r_tgt.
    """

    name: ClassVar[str] = "dual_bridge"
    title: ClassVar[str] = "Full dual bridge"
    source: ClassVar[str] = "Rethinking Score Distillation as a Bridge Between Image Distributions, arXiv 2406.09417, Eq. 4"
    parameters: ClassVar[type[msgspec.Struct]] = DualBridgeParameters
    first_stage: ClassVar[str] = "sds"
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: DualBridgeParameters) -> tuple[Role, ...]:
        return tuple(dict.fromkeys((*_source_roles(parameters), *guidance_roles(parameters.guidance, parameters.perp_neg))))

    def draws(self, parameters: DualBridgeParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),) if parameters.form == "fresh" else ()

    def rows(self, parameters: DualBridgeParameters, t: int) -> int:
        up = uniform_nodes(t, parameters.steps)  # as many as geometric ones
        back = rows_of(up[::-1], parameters.solver)
        there = back if parameters.form == "fresh" else rows_of(up, "ddim")
        return there * len(_source_roles(parameters)) + back * guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: DualBridgeParameters,
        state: MethodState,
    ) -> Distilled:
        z = latents.detach()
        up = [geometric_nodes(prior.abar_host, level, parameters.steps) for level in t.tolist()]
        down = [own[::-1] for own in up]
        if parameters.form == "fresh":
            x_t = add_noise(prior, z, t, draws["noise"])
            field = _BothFields(prior, conditions, parameters, state.away_weights)
            psi_source, psi_target = solve(field, prior, torch.cat([x_t, x_t]), down + down, parameters.solver).chunk(2)
        else:
            source = GuidedField(prior, {**conditions, "target": conditions["source"]}, parameters.source_guidance)
            target = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)
            x_t = invert(source, prior, z, up)
            psi_source, psi_target = z, solve(target, prior, x_t, down, parameters.solver)
        # arXiv 2406.09417, Eq. 4 is the displacement psi_tgt - psi_src; as a gradient it has the other sign.
        residual = psi_source - psi_target
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})


class _BothFields:
    """The fields of both flows on one batch of 2B: source states, then as many target states. One denoiser call for all of them."""

    def __init__(
        self, prior: Prior, conditions: Mapping[str, Condition], parameters: DualBridgeParameters, away_weights: Tensor | None
    ) -> None:
        self.prior, self.conditions, self.parameters, self.away_weights = prior, conditions, parameters, away_weights

    def __call__(self, x: Tensor, t: Tensor, which: Tensor | None = None) -> Tensor:
        parameters, half = self.parameters, len(t) // 2  # both flows of a view have the same nodes, so the halves stay in step
        states: Sequence[tuple[Tensor, tuple[Role, ...]]] = (
            (x[:half], _source_roles(parameters)),
            (x[half:], guidance_roles(parameters.guidance, parameters.perp_neg)),
        )
        source, target = predict_states(
            self.prior,
            states,
            t[:half],
            self.conditions,
            away_weights=self.away_weights,
            which=None if which is None else which[:half],
        )
        return torch.cat([_guided(source, "source", parameters.source_guidance), _guided(target, "target", parameters.guidance)])


def _source_roles(parameters: DualBridgeParameters) -> tuple[Role, ...]:
    return ("source",) if parameters.source_guidance == 1.0 else ("null", "source")


def _guided(said: Mapping[Role, Tensor], role: Role, guidance: float) -> Tensor:
    return guide(said["null"], said[role], guidance) if "null" in said else said[role]
