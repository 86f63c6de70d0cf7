"""Consistent flow distillation (arXiv 2501.05445): SDS with one noise for the object."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.parameters import CFDParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.conversions import clean_from


class CFD(BaseMethod):
    """G = w(t) (eps_g(alpha z + sigma eb) - eb), w = sigma/alpha: eb is the object's noise, as each view sees it.

    With falling noise levels the clean picture then follows the probability-flow ODE: each noise makes another object.
    """

    name: ClassVar[str] = "cfd"
    title: ClassVar[str] = "Consistent flow distillation (CFD)"
    source: ClassVar[str] = "Consistent Flow Distillation, arXiv 2501.05445, its gradient with the noise of the object"
    parameters: ClassVar[type[msgspec.Struct]] = CFDParameters
    uses_guidance: ClassVar[bool] = True
    gives_clean: ClassVar[bool] = True

    def roles(self, parameters: CFDParameters) -> tuple[Role, ...]:
        return guidance_roles(parameters.guidance, parameters.perp_neg)

    def draws(self, parameters: CFDParameters) -> tuple[Draw, ...]:
        return (Draw("object noise", of="object", drift=parameters.drift),)

    def rows(self, parameters: CFDParameters, t: int) -> int:
        return guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: CFDParameters,
        state: MethodState,
    ) -> Distilled:
        z, noise = latents.detach(), draws["object noise"]
        x_t = add_noise(prior, z, t, noise)
        prediction = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        residual = prediction - noise  # arXiv 2501.05445: SDS, its noise kept for the object
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        alpha, sigma = (broadcast(value, z) for value in prior.coefficients(t))
        clean = clean_from(prediction, x_t, alpha, sigma)
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)}, clean)
