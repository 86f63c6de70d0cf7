"""Score distillation sampling (DreamFusion, arXiv 2209.14988)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.parameters import SDSParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.conversions import clean_from


class SDS(BaseMethod):
    """G = w(t) (eps_u + g (eps_y - eps_u) - e): descend the noise residual of a frozen model at random noise levels."""

    name: ClassVar[str] = "sds"
    title: ClassVar[str] = "Score distillation sampling (SDS)"
    source: ClassVar[str] = "DreamFusion, arXiv 2209.14988, Eq. 3"
    parameters: ClassVar[type[msgspec.Struct]] = SDSParameters
    uses_guidance: ClassVar[bool] = True
    gives_clean: ClassVar[bool] = True

    def roles(self, parameters: SDSParameters) -> tuple[Role, ...]:
        return guidance_roles(parameters.guidance, parameters.perp_neg)

    def draws(self, parameters: SDSParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: SDSParameters, t: int) -> int:
        return guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: SDSParameters,
        state: MethodState,
    ) -> Distilled:
        z, noise = latents.detach(), draws["noise"]
        x_t = add_noise(prior, z, t, noise)
        prediction = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        residual = prediction - noise  # DreamFusion, Eq. 3; its mean over e is that of the score alone, its variance is smaller
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        alpha, sigma = (broadcast(value, z) for value in prior.coefficients(t))
        clean = clean_from(prediction, x_t, alpha, sigma)
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)}, clean)
