"""The delta denoising score (arXiv 2304.07090)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import torch
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles
from backend.distill.parameters import DDSParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class DDS(BaseMethod):
    """G = w(t) (eps_g(alpha z + sigma e; target) - eps_g(alpha z_ref + sigma e; source)): the same e and t in both.

    An edit of the reference: whatever the denoiser would change about it anyway cancels. Both are guided from the same null text.
    """

    name: ClassVar[str] = "dds"
    title: ClassVar[str] = "Delta denoising score (DDS)"
    source: ClassVar[str] = "Delta Denoising Score, arXiv 2304.07090, the gradient of its DDS loss"
    parameters: ClassVar[type[msgspec.Struct]] = DDSParameters
    uses_reference: ClassVar[bool] = True

    def roles(self, parameters: DDSParameters) -> tuple[Role, ...]:
        return (*guidance_roles(parameters.guidance, perp_neg=False), "source")

    def draws(self, parameters: DDSParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: DDSParameters, t: int) -> int:
        return 2 * len(guidance_roles(parameters.guidance, perp_neg=False))

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: DDSParameters,
        state: MethodState,
    ) -> Distilled:
        if state.reference is None:
            raise ValueError("DDS needs the latents of what is edited, from the same views, as MethodState.reference; there are none")
        z, noise = latents.detach(), draws["noise"]
        # Picture and reference go through as one batch of 2B, so that both guided predictions are one denoiser call.
        x_t = torch.cat([add_noise(prior, z, t, noise), add_noise(prior, state.reference.detach(), t, noise)])
        texts = {role: condition.expand(len(z)) for role, condition in conditions.items()}
        joined = {"target": Condition.cat([texts["target"], texts["source"]])}
        if "null" in texts:
            joined["null"] = Condition.cat([texts["null"], texts["null"]])
        toward, back = GuidedField(prior, joined, parameters.guidance)(x_t, torch.cat([t, t])).chunk(2)
        residual = toward - back  # arXiv 2304.07090: the gradient of the DDS loss
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})
