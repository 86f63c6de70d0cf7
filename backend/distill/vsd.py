"""Variational score distillation (ProlificDreamer, arXiv 2305.16213)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.parameters import VSDParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class VSD(BaseMethod):
    """G = w(t) (eps_u + g (eps_y - eps_u) - e_q(x_t, t, c)): in place of the noise of SDS, the score of what is rendered at present.

    e_q is the critic's; it knows the camera c, so its text is the prompt without view words. Where the renders are distributed as the
    prior says, both predictions agree and nothing pulls.
    """

    name: ClassVar[str] = "vsd"
    title: ClassVar[str] = "Variational score distillation (VSD)"
    source: ClassVar[str] = "ProlificDreamer, arXiv 2305.16213, Eq. 9"
    parameters: ClassVar[type[msgspec.Struct]] = VSDParameters
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: VSDParameters) -> tuple[Role, ...]:
        return (*guidance_roles(parameters.guidance, parameters.perp_neg), "critic")

    def draws(self, parameters: VSDParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def uses_critic(self, parameters: VSDParameters) -> bool:
        return True

    def rows(self, parameters: VSDParameters, t: int) -> int:
        return guidance_rows(parameters.guidance, parameters.perp_neg) + 1

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: VSDParameters,
        state: MethodState,
    ) -> Distilled:
        if state.critic is None:
            raise ValueError("VSD needs a critic in its state")
        z = latents.detach()
        x_t = add_noise(prior, z, t, draws["noise"])
        prediction = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        (learned,) = state.critic.predict(x_t, t, conditions["critic"], [pose])
        residual = prediction - learned  # arXiv 2305.16213, Eq. 9
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})
