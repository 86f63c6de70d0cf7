"""Pictures out of a prior: DDIM as the diffusers pipeline runs it, the other solvers, and SDEdit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.priors.contract import Condition, Prior
from backend.priors.guidance import guided
from backend.priors.nodes import CLEAN, as_rows
from backend.priors.solvers import Field, Solver, level_of, solve


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
    return solve(guided_field(prior, condition, null, guidance), prior, latents, as_rows(nodes, len(latents)), solver)


def guided_field(prior: Prior, condition: Condition, null: Condition | None, guidance: float) -> Field:
    """The guided prediction for a whole batch, as the solvers ask for it."""

    def field(x: Tensor, t: Tensor, which: Tensor | None) -> Tensor:
        if which is not None:
            raise ValueError("every sample of this batch must have the same number of steps")
        return guided(prior, x, t, condition, null, guidance)

    return field


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
            start = level_of(prior, [level], latents)
            noisy = start.alpha * latents + start.sigma * noise
            way = as_rows(even_nodes(level, steps), len(latents))
            latents = solve(guided_field(prior, condition, null, guidance), prior, noisy, way, solver)
        return prior.decode(latents)
