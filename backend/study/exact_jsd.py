"""The weighted JSD (arXiv 2503.10660) with the discriminator that only a test bed has: the ratio of two known densities."""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from backend.distill.contract import Distilled, MethodState, Pose, add_noise, broadcast
from backend.distill.guidance import GuidedField
from backend.distill.jsd import JSD, bounded_residual
from backend.distill.oracle_critics import KDECritic
from backend.distill.parameters import JSDParameters
from backend.distill.weightings import weights
from backend.priors.contract import Condition, Prior
from backend.priors.mixture import GaussianMixturePrior


class ExactJSD(JSD):
    """The saturating and non-saturating forms with D = sigmoid(log p_t - log q_t) itself, q the kernel density of the particles."""

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
        assert isinstance(state.critic, KDECritic) and parameters.form != "two_target"
        x_t = add_noise(prior, latents, t, draws["noise"])
        prediction = GuidedField(prior, conditions, 1.0)(x_t, t)
        (known,) = state.critic.predict(x_t, t, conditions["critic"], [pose])
        log_p = cast(GaussianMixturePrior, prior).log_prob(x_t, t, conditions["target"])
        log_ratio = log_p - kernel_log_density(state.critic, x_t, t)
        residual = bounded_residual(prediction, known, log_ratio, parameters.form)
        return Distilled(broadcast(weights("sds", prior, t), x_t) * residual, {})


def kernel_log_density(critic: KDECritic, x_t: Tensor, t: Tensor) -> Tensor:
    """log q_t(x_t) [B] of the kernel density that the critic was last told of: a mixture of N(alpha z_j, (alpha^2 h^2 + sigma^2) I)."""
    alpha, sigma = (value.view(-1, 1) for value in critic.prior.coefficients(t))
    centres = critic.state()["particles"]
    variance = alpha**2 * critic.bandwidth**2 + sigma**2
    squares = (x_t.flatten(1)[:, None] - alpha[..., None] * centres).square().sum(-1)
    d = centres.shape[1]
    log_sum: Tensor = torch.logsumexp(-0.5 * squares / variance, 1)
    whole: Tensor = log_sum - math.log(len(centres)) - 0.5 * d * (2 * math.pi * variance[:, 0]).log()
    return whole
