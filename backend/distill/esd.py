"""Entropic score distillation (arXiv 2401.00909): VSD that judges the views partly together, against several faces."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.parameters import ESDParameters
from backend.distill.schedules import varying
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class ESD(BaseMethod):
    """G = w(t) (eps_g - lambda e_q(x_t, t) - (1 - lambda) e_q(x_t, t, c)), eps_g = eps_u + g (eps_y - eps_u).

    e_q(x_t, t) is the critic without the camera: the score of all views together, which rewards views that differ. lambda = 0 is VSD.
    The mixture is the critic's classifier-free guidance at scale 1 - lambda, as the published code writes it. At strong noise the views
    stay apart only if lambda > st^2 / (s^2 + st^2), st = sigma/alpha, s the spread of the prior.
    """

    name: ClassVar[str] = "esd"
    title: ClassVar[str] = "Entropic score distillation (ESD)"
    source: ClassVar[str] = "Taming Mode Collapse in Score Distillation for Text-to-3D Generation, arXiv 2401.00909, Eqs. 6, 9"
    parameters: ClassVar[type[msgspec.Struct]] = ESDParameters
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: ESDParameters) -> tuple[Role, ...]:
        return (*guidance_roles(parameters.guidance, parameters.perp_neg), "critic")

    def draws(self, parameters: ESDParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def uses_critic(self, parameters: ESDParameters) -> bool:
        return True

    def rows(self, parameters: ESDParameters, t: int) -> int:
        return guidance_rows(parameters.guidance, parameters.perp_neg) + 2

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: ESDParameters,
        state: MethodState,
    ) -> Distilled:
        if state.critic is None:
            raise ValueError("ESD needs a critic in its state")
        z = latents.detach()
        x_t = add_noise(prior, z, t, draws["noise"])
        prediction = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        together, alone = state.critic.predict(x_t, t, conditions["critic"], [None, pose])
        share = varying(parameters.lambda_, state.step, state.steps)
        # arXiv 2401.00909, Eq. 9. The paper adds it in Eq. 6, where its eps stands for the score; noise predictions are descended.
        residual = prediction - share * together - (1.0 - share) * alone
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        diagnostics = {"residual_rms": rms(residual), "gradient_rms": rms(gradient), "camera_rms": rms(alone - together)}
        return Distilled(gradient, diagnostics)
