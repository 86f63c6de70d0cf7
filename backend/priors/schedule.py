"""Noise schedules as abar_t [T], float64 on the host."""

import torch
from torch import Tensor


def stable_diffusion_abar(timesteps: int = 1000) -> Tensor:
    """abar_t of Stable Diffusion 1 and 2, [timesteps] float64: betas linear in their square root, .00085 to .012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, timesteps, dtype=torch.float64).square()
    return torch.cumprod(1.0 - betas, dim=0)
