"""Classifier score distillation (arXiv 2310.19415)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import predict
from backend.distill.parameters import CSDParameters, Varying
from backend.distill.schedules import varying
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class CSD(BaseMethod):
    """G = w(t) (w1 (e_y - e_0) + w2 (e_0 - e_neg)): what a classifier of the prompt would say, and nothing of the picture's own score.

    Both weights may vary over the stage. A negative weight that is zero throughout costs no row.
    """

    name: ClassVar[str] = "csd"
    title: ClassVar[str] = "Classifier score distillation (CSD)"
    source: ClassVar[str] = "Text-to-3D with Classifier Score Distillation, arXiv 2310.19415, the score with negative prompts"
    parameters: ClassVar[type[msgspec.Struct]] = CSDParameters
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: CSDParameters) -> tuple[Role, ...]:
        roles: tuple[Role, ...] = ("null", "target", "away") if parameters.perp_neg else ("null", "target")
        return (*roles, "negative") if _ever(parameters.w2) else roles

    def draws(self, parameters: CSDParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: CSDParameters, t: int) -> int:
        return len(self.roles(parameters)) + parameters.perp_neg  # "away" is two

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: CSDParameters,
        state: MethodState,
    ) -> Distilled:
        z = latents.detach()
        x_t = add_noise(prior, z, t, draws["noise"])
        said = predict(prior, x_t, t, conditions, self.roles(parameters), away_weights=state.away_weights)
        w1, w2 = (varying(weight, state.step, state.steps) for weight in (parameters.w1, parameters.w2))
        residual = w1 * (said["target"] - said["null"])  # arXiv 2310.19415: the classifier score
        if "negative" in said:
            residual = residual + w2 * (said["null"] - said["negative"])  # and that of the negative prompt
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})


def _ever(weight: Varying) -> bool:
    """Whether a weight differs from zero anywhere in its schedule."""
    return weight != 0 if isinstance(weight, int | float) else any(value != 0 for value in weight[-3:-1])
