"""Jensen-Shannon score distillation (arXiv 2503.10660)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec
import torch
from torch import Tensor

from backend.distill.contract import BaseMethod, Distilled, Draw, MethodState, Pose, Role, add_noise, broadcast, rms
from backend.distill.guidance import GuidedField, guidance_roles, guidance_rows
from backend.distill.noise_inversion import NoiseInversion
from backend.distill.parameters import JSDParameters, Weighting
from backend.distill.sdi import texts_of
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.conversions import clean_from

LARGEST_LOG_RATIO = 20.0


class JSD(BaseMethod):
    """The gradient of the Jensen-Shannon divergence, bounded where that of a Kullback-Leibler divergence is not; three forms.

    - two_target: G = w (z - hi) + w k (z - lo). hi is the target of SDI, lo the estimate after fresh noise on hi, a rarer picture. Needs
      no critic; k = 0 is SDI and asks for no lo.
    - saturating, non_saturating: G = w D (eps_p - eps_q) and G = w (1 - D)(eps_p - eps_q), D the discriminator between the prior's
      pictures and the present renders. The first is the divergence itself and vanishes far from the prior; the second does not.
    """

    name: ClassVar[str] = "jsd"
    title: ClassVar[str] = "Jensen-Shannon score distillation (JSD)"
    source: ClassVar[str] = "arXiv 2503.10660, its discriminator weight; two_target is its published 3D code"
    parameters: ClassVar[type[msgspec.Struct]] = JSDParameters
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    uses_guidance: ClassVar[bool] = True
    gives_clean: ClassVar[bool] = True

    def roles(self, parameters: JSDParameters) -> tuple[Role, ...]:
        if self.uses_critic(parameters):
            return (*guidance_roles(_guidance(parameters), parameters.perp_neg), "critic")
        return texts_of(_inversion(parameters), _guidance(parameters))

    def draws(self, parameters: JSDParameters) -> tuple[Draw, ...]:
        return (Draw("noise"),) if self.uses_critic(parameters) else (Draw("noise"), *_inversion(parameters).draws)

    def uses_critic(self, parameters: JSDParameters) -> bool:
        return parameters.form != "two_target"

    def rows(self, parameters: JSDParameters, t: int) -> int:
        guided = guidance_rows(_guidance(parameters), parameters.perp_neg)
        if self.uses_critic(parameters):
            return guided + 1
        return _inversion(parameters).rows(t) + guided * (1 if parameters.k == 0.0 else 2)

    def gradient(
        self,
        prior: Prior,
        latents: Tensor,
        t: Tensor,
        draws: Mapping[str, Tensor],
        conditions: Mapping[str, Condition],
        pose: Pose | None,
        parameters: JSDParameters,
        state: MethodState,
    ) -> Distilled:
        z, noise = latents.detach(), draws["noise"]
        field = GuidedField(prior, conditions, _guidance(parameters), parameters.perp_neg, state.away_weights)
        alpha, sigma = (broadcast(value, z) for value in prior.coefficients(t))
        weight = broadcast(weights(_weighting(parameters), prior, t), z)

        if parameters.form == "two_target":
            x_t = _inversion(parameters)(prior, z, t, draws, conditions, state)
            clean = high = clean_from(field(x_t, t), x_t, alpha, sigma)
            residual = z - high
            if parameters.k != 0.0:
                again = alpha * high + sigma * noise
                low = clean_from(field(again, t), again, alpha, sigma)
                clean = (high + parameters.k * low) / (1.0 + parameters.k)
                residual = residual + parameters.k * (z - low)  # published 3D code of arXiv 2503.10660
            gradient = weight * residual
            return Distilled(gradient, {"residual_rms": rms(residual), "gradient_rms": rms(gradient)}, clean)

        if state.critic is None:
            raise ValueError(f"JSD in the form '{parameters.form}' needs a critic in its state")
        x_t = add_noise(prior, z, t, noise)
        prediction = field(x_t, t)
        (learned,) = state.critic.predict(x_t, t, conditions["critic"], [pose])
        log_ratio = estimated_log_ratio(prediction, learned, noise, parameters.sharpness)
        residual = bounded_residual(prediction, learned, log_ratio, parameters.form)
        gradient = weight * residual
        numbers = {"residual_rms": rms(residual), "gradient_rms": rms(gradient), "discriminator": discriminator(log_ratio).mean()}
        return Distilled(gradient, numbers, clean_from(prediction, x_t, alpha, sigma))


def discriminator(log_ratio: Tensor) -> Tensor:
    """D = sigmoid(log p_t - log q_t), in the shape of `log_ratio`, without a graph: strictly between 0 and 1 in its dtype too."""
    bounded = log_ratio.detach().clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return bounded.sigmoid().clamp_max(1.0 - torch.finfo(bounded.dtype).eps)


def bounded_residual(of_prior: Tensor, of_renders: Tensor, log_ratio: Tensor, form: Literal["saturating", "non_saturating"]) -> Tensor:
    """D (eps_p - eps_q), or (1 - D)(eps_p - eps_q), [B,C,H,W]; log_ratio [B] is log p_t - log q_t, exact or estimated."""
    # arXiv 2503.10660 and GAN theory: grad_x dJS/dq = D (s_q - s_p) / 2; 1 - D = sigmoid(-log ratio)
    share = discriminator(log_ratio if form == "saturating" else -log_ratio)
    return broadcast(share, of_prior) * (of_prior - of_renders)


def estimated_log_ratio(of_prior: Tensor, of_renders: Tensor, noise: Tensor, sharpness: float) -> Tensor:
    """[B]: sharpness (|eps_q - e|^2 - |eps_p - e|^2) / (2 numel): who guesses the noise better.

    Per element, since the true log ratio grows with their number and would make D 0 or 1 for every picture. Only the bound of D is
    guaranteed, not its value.
    """
    dims = tuple(range(1, noise.dim()))
    errors = (of_renders - noise).square() - (of_prior - noise).square()
    return 0.5 * sharpness * errors.mean(dims)


def _guidance(parameters: JSDParameters) -> float:
    if parameters.guidance is not None:
        return parameters.guidance
    return 13.5 if parameters.form == "two_target" else 7.5


def _weighting(parameters: JSDParameters) -> Weighting:
    if parameters.weighting != "form":
        return parameters.weighting
    return "uniform" if parameters.form == "two_target" else "sds"


def _inversion(parameters: JSDParameters) -> NoiseInversion:
    guidance = 1.0 - _guidance(parameters) if parameters.inversion_guidance is None else parameters.inversion_guidance
    return NoiseInversion(guidance, parameters.stride, parameters.eta, parameters.perp_neg)
