"""Noise-free score distillation (arXiv 2310.17590)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import torch
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import predict
from backend.distill.parameters import NFSDParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior


class NFSD(BaseMethod):
    """G = w(t) (g (e_y - e_0) + delta_D): SDS whose noise term gives way to a direction into the domain of clean pictures.

    delta_D = e_0 - e_neg at strong noise and e_0 at weak noise. `negative_at` "weak" exchanges the two, as arXiv 2406.09417 prints it.
    """

    name: ClassVar[str] = "nfsd"
    title: ClassVar[str] = "Noise-free score distillation (NFSD)"
    source: ClassVar[str] = "Noise-Free Score Distillation, arXiv 2310.17590, Eq. 6"
    parameters: ClassVar[type[msgspec.Struct]] = NFSDParameters
    uses_guidance: ClassVar[bool] = True

    def roles(self, parameters: NFSDParameters) -> tuple[Role, ...]:
        return (*_guiding(parameters), "negative")

    def draws(self, parameters: NFSDParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),)

    def rows(self, parameters: NFSDParameters, t: int) -> int:
        return len(_guiding(parameters)) + parameters.perp_neg + _subtracts(parameters, t)  # "away" is two

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: NFSDParameters,
        state: MethodState,
    ) -> Distilled:
        z = latents.detach()
        x_t = add_noise(prior, z, t, draws["noise"])
        # Only the samples that subtract the negative prompt send it through the denoiser.
        some = [row for row, level in enumerate(t.tolist()) if _subtracts(parameters, level)]
        roles = self.roles(parameters) if some else _guiding(parameters)
        index = torch.tensor(some, dtype=torch.int64)
        said = predict(prior, x_t, t, conditions, roles, away_weights=state.away_weights, only={"negative": index})
        domain = said["null"]
        if "negative" in said:
            domain = domain.index_add(0, index.to(z.device, non_blocking=True), said["negative"], alpha=-1)
        residual = parameters.guidance * (said["target"] - said["null"]) + domain  # arXiv 2310.17590, Eq. 6
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)})


def _guiding(parameters: NFSDParameters) -> tuple[Role, ...]:
    """The texts of every sample: e_0 is read at any guidance."""
    return ("null", "target", "away") if parameters.perp_neg else ("null", "target")


def _subtracts(parameters: NFSDParameters, level: int) -> bool:
    return (level < parameters.below) == (parameters.negative_at == "weak")
