"""Pictures out of a prior: DDIM as the diffusers pipeline runs it, DPM-Solver++(2M), and SDEdit.

With xb = x_t/alpha_t and st = sigma_t/alpha_t, a DDIM step is Euler in st for d xb / d st = eps (gradients.md 1.4). Levels are
host integers, coefficients stay on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from backend.priors.contract import Condition, Prior
from backend.priors.conversions import clean_from
from backend.priors.guidance import as_levels, guided

Solver = Literal["ddim", "dpmpp2m"]
CLEAN = -1
"""In a list of nodes: no noise at all, alpha 1 and sigma 0. Any other node is a noise level."""


@dataclass(frozen=True)
class Sampling:
    """How a model's own sampler spaces its steps: the fields of a diffusers scheduler configuration.

    `spacing` is "leading", "linspace" or "trailing"; `offset` is its steps_offset; `ends_clean` its set_alpha_to_one (without it
    the last step stops at level 0, where a little noise is left).
    """

    spacing: str = "leading"
    offset: int = 1
    ends_clean: bool = False


def ddim_nodes(sampling: Sampling, steps: int, timesteps: int) -> list[int]:
    """Noise levels of `steps` DDIM steps from the noisiest down, and where the last one ends: steps + 1 entries.

    The levels are those of diffusers' DDIMScheduler (0.42), and each step ends where the next begins; there, with "linspace" and where
    `steps` does not divide `timesteps`, it ends a little beside it. ValueError for more steps than levels or an unknown spacing.
    """
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps must lie in 1..{timesteps}, got {steps}")
    stride = timesteps // steps
    if sampling.spacing == "leading":
        levels = [k * stride + sampling.offset for k in reversed(range(steps))]
    elif sampling.spacing == "linspace":
        levels = [round(k * (timesteps - 1) / max(steps - 1, 1)) for k in reversed(range(steps))]
    elif sampling.spacing == "trailing":
        levels = [round(timesteps - k * timesteps / steps) - 1 for k in range(steps)]
    else:
        raise ValueError(f"spacing must be leading, linspace or trailing, got {sampling.spacing!r}")
    return [*(min(level, timesteps - 1) for level in levels), CLEAN if sampling.ends_clean else 0]


def even_nodes(level: int, steps: int) -> list[int]:
    """`steps` equal steps from a noise level down to no noise: steps + 1 entries, or fewer if there are not that many levels."""
    return [*dict.fromkeys(max(round(level * k / steps), 1) for k in range(steps, 0, -1)), CLEAN]


def solve(
    prior: Prior,
    x_t: Tensor,  # [B,C,H,W] at noise level nodes[0]
    nodes: Sequence[int],  # decreasing; the last may be CLEAN
    condition: Condition,
    null: Condition | None = None,
    *,
    guidance: float = 1.0,
    solver: Solver = "ddim",
) -> Tensor:  # [B,C,H,W] at noise level nodes[-1]
    """The reverse probability-flow ODE, one guided prediction per step.

    "dpmpp2m" (arXiv 2211.01095, algorithm 2) uses the previous step's estimate as well and takes no more predictions.
    """
    previous_clean: Tensor | None = None
    previous_step = torch.ones(())
    for level, following in pairwise(nodes):
        alpha, sigma = _coefficients(prior, level, x_t)
        noise = guided(prior, x_t, as_levels(level, x_t.shape[0]), condition, null, guidance)
        clean = clean_from(noise, x_t, alpha, sigma)
        if following == CLEAN:
            return clean  # one DDIM step to st = 0 is the posterior mean
        alpha_next, sigma_next = _coefficients(prior, following, x_t)
        if solver == "ddim":
            x_t = alpha_next * clean + sigma_next * noise
        else:
            step = torch.log(sigma / alpha) - torch.log(sigma_next / alpha_next)  # h = lam_j - lam_i, lam = -ln st
            lead = clean if previous_clean is None else clean + step / (2 * previous_step) * (clean - previous_clean)
            x_t = sigma_next / sigma * x_t - alpha_next * torch.expm1(-step) * lead
            previous_clean, previous_step = clean, step
    return x_t


def sample(
    prior: Prior,
    condition: Condition,
    null: Condition | None = None,
    *,
    guidance: float = 7.5,
    steps: int = 20,
    generator: torch.Generator | None = None,
    latents: Tensor | None = None,
    sampling: Sampling | None = None,
    solver: Solver = "ddim",
) -> Tensor:
    """Clean latents [B,C,H,W], one per row of `condition`, by the spacing of the prior's own sampler; `prior.decode` shows them.

    The noise to start from is `latents`, else float32 from `generator` (a host generator gives the same picture on every device).
    """
    if latents is None:
        where = generator.device if generator is not None else prior.device
        latents = torch.randn(len(condition), *prior.latent_shape, generator=generator, device=where).to(prior.device)
    how = sampling or getattr(prior, "sampling", None) or Sampling()
    nodes = ddim_nodes(how, steps, prior.timesteps)
    return solve(prior, latents, nodes, condition, null, guidance=guidance, solver=solver)


def sdedit(
    prior: Prior,
    rgb: Tensor,
    condition: Condition,
    null: Condition | None = None,
    *,
    strength: float = 0.7,
    guidance: float = 7.5,
    steps: int = 12,
    generator: torch.Generator | None = None,
    solver: Solver = "ddim",
) -> Tensor:
    """The given pictures as the prior would have them (SDEdit, arXiv 2108.01073): rgb [B,3,H,W] display values -> the same, prior's size.

    They are encoded, noised to `strength` of the training range (0 gives them back through the encoder), denoised in `steps` and decoded.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie in 0..1, got {strength}")
    with torch.no_grad():
        latents = prior.encode(rgb)
        level = min(round(strength * prior.timesteps), prior.timesteps - 1)
        if level > 0:
            where = generator.device if generator is not None else latents.device
            noise = torch.randn(latents.shape, generator=generator, device=where, dtype=latents.dtype).to(latents.device)
            alpha, sigma = _coefficients(prior, level, latents)
            noisy = alpha * latents + sigma * noise
            latents = solve(prior, noisy, even_nodes(level, steps), condition, null, guidance=guidance, solver=solver)
        return prior.decode(latents)


def _coefficients(prior: Prior, level: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha, sigma of one level, [1] each, in the dtype of `like`."""
    if level == CLEAN:
        return like.new_ones(1), like.new_zeros(1)
    alpha, sigma = prior.coefficients(torch.tensor([level]))
    return alpha.to(like.dtype), sigma.to(like.dtype)
