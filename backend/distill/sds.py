"""Score distillation sampling (DreamFusion, arXiv 2209.14988)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec
from torch import Tensor

from backend.distill.contract import Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast
from backend.distill.guidance import guide, predict_each
from backend.distill.parameters import SDSParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class SDS:
    """G = w(t) (eps_u + g (eps_y - eps_u) - e): descend the noise residual of a frozen model at random noise levels."""

    name: ClassVar[str] = "sds"
    title: ClassVar[str] = "Score distillation sampling (SDS)"
    source: ClassVar[str] = "DreamFusion, arXiv 2209.14988, Eq. 3"
    parameters: ClassVar[type[msgspec.Struct]] = SDSParameters
    reduction: ClassVar[Literal["sum", "mean"]] = "sum"
    first_stage: ClassVar[str] = ""
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: SDSParameters) -> tuple[Role, ...]:
        return ("target",) if parameters.guidance == 1.0 else ("null", "target")

    def draws(self, parameters: SDSParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: SDSParameters, t: int) -> int:
        return len(self.roles(parameters))

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
        predictions = predict_each(prior, x_t, t, [conditions[role] for role in self.roles(parameters)])
        prediction = predictions[0] if len(predictions) == 1 else guide(predictions[0], predictions[1], parameters.guidance)
        residual = prediction - noise  # DreamFusion, Eq. 3; its mean over e is that of the score alone, its variance is smaller
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": residual.square().mean().sqrt(), "gradient_rms": gradient.square().mean().sqrt()})
