"""Score distillation via inversion (arXiv 2405.15891)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, broadcast, kappa, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.noise_inversion import NoiseInversion
from backend.distill.parameters import SDIParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.conversions import clean_from


class SDI(BaseMethod):
    """G = w(t) (z - x0h(x_t)), x_t by DDIM inversion of z: SDS with the noise that belongs to z in place of a random one.

    The inversion's own guidance stands for where z is; with the score of the target both ways, z contracts to a mode.
    """

    name: ClassVar[str] = "sdi"
    title: ClassVar[str] = "Score distillation via inversion (SDI)"
    source: ClassVar[str] = "Score Distillation via Reparametrized DDIM, arXiv 2405.15891, its gradient with the inverted noise kappa"
    parameters: ClassVar[type[msgspec.Struct]] = SDIParameters
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    uses_guidance: ClassVar[bool] = True
    gives_clean: ClassVar[bool] = True

    def roles(self, parameters: SDIParameters) -> tuple[Role, ...]:
        return texts_of(_inversion(parameters), parameters.guidance)

    def draws(self, parameters: SDIParameters) -> tuple[Draw, ...]:
        return _inversion(parameters).draws

    def rows(self, parameters: SDIParameters, t: int) -> int:
        return _inversion(parameters).rows(t) + guidance_rows(parameters.guidance, parameters.perp_neg)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: SDIParameters,
        state: MethodState,
    ) -> Distilled:
        z = latents.detach()
        x_t = _inversion(parameters)(prior, z, t, draws, conditions, state)
        prediction = GuidedField(prior, conditions, parameters.guidance, parameters.perp_neg, state.away_weights)(x_t, t)
        alpha, sigma = (broadcast(value, z) for value in prior.coefficients(t))
        clean = clean_from(prediction, x_t, alpha, sigma)
        residual = z - clean  # arXiv 2405.15891: st (eps_g(x_t) - kappa), SDS with kappa for e
        gradient = broadcast(weights(parameters.weighting, prior, t), z) * residual
        found = rms(kappa(prior, x_t, z, t))  # 1 where the inverted noise looks like noise
        return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient), "noise_rms": found}, clean)


def texts_of(inversion: NoiseInversion, guidance: float) -> tuple[Role, ...]:
    """Texts of the inversion and of a prediction with that guidance and the same Perp-Neg, each once."""
    read = (*inversion.roles, *guidance_roles(guidance, inversion.perp_neg))
    order: tuple[Role, ...] = ("null", "target", "away")
    return tuple(role for role in order if role in read)


def _inversion(parameters: SDIParameters) -> NoiseInversion:
    guidance = 1.0 - parameters.guidance if parameters.inversion_guidance is None else parameters.inversion_guidance
    return NoiseInversion(guidance, parameters.stride, parameters.eta, parameters.perp_neg, parameters.match_reference)
