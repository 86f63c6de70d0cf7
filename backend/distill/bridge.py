"""The Bridge gradient: from a textual description of where the picture is, toward the prompt (arXiv 2406.09417)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import predict
from backend.distill.parameters import BridgeParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class Bridge(BaseMethod):
    """G = w(t) k (eps(x_t; target) - eps(x_t; source)), with fresh noise in x_t, no noise term and no further guidance.

    The second stage after SDS. For editing a given picture there is no first stage: the source text is then the target's with a
    domain word (", painting").
    """

    name: ClassVar[str] = "bridge"
    title: ClassVar[str] = "Bridge (source text to target text)"
    source: ClassVar[str] = "Rethinking Score Distillation as a Bridge Between Image Distributions, arXiv 2406.09417, Eq. 5"
    parameters: ClassVar[type[msgspec.Struct]] = BridgeParameters
    first_stage: ClassVar[str] = "sds"

    def roles(self, parameters: BridgeParameters) -> tuple[Role, ...]:
        return ("source", "target")

    def draws(self, parameters: BridgeParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: BridgeParameters, t: int) -> int:
        return 2

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: BridgeParameters,
        state: MethodState,
    ) -> Distilled:
        z = latents.detach()
        x_t = add_noise(prior, z, t, draws["noise"])
        said = predict(prior, x_t, t, conditions, self.roles(parameters))
        residual = said["target"] - said["source"]  # arXiv 2406.09417, Eq. 5; its Eq. 4 is a displacement, of the other sign
        gradient = broadcast(parameters.k * weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})
