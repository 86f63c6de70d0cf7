"""Random changes that a judged picture may have undergone: framing, softness, noise, strong or weak colours."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """[B,3,S,S] display values -> the same, each picture changed in a way of its own; some stay as they are.

    Never mirrored: the side of a mug's handle tells its front from its back. Hue is never touched: it is a label.
    """
    count = len(rgb)

    def chosen(share: float) -> Tensor:
        return torch.randperm(count, generator=generator)[: round(share * count)]

    def uniform(low: float, high: float, among: int) -> Tensor:
        return low + (high - low) * torch.rand((among, 1, 1, 1), generator=generator)

    rgb = rgb.clone()
    rows = chosen(0.6)
    rgb[rows] = _framed(rgb[rows], generator)
    rows = chosen(0.5)
    grey = rgb[rows].mean(1, keepdim=True)
    # distilled colours are too strong rather than too weak
    rgb[rows] = grey + (rgb[rows] - grey) * torch.exp(uniform(-0.3, 0.7, len(rows)))
    rows = chosen(0.4)
    rgb[rows] = 0.5 + (rgb[rows] - 0.5) * uniform(0.85, 1.25, len(rows)) + uniform(-0.06, 0.06, len(rows))
    rows = chosen(0.3)
    if len(rows):
        rgb[rows] = _blurred(rgb[rows], 0.4 + 1.2 * float(torch.rand((), generator=generator)))
    rows = chosen(0.3)
    rgb[rows] += torch.randn(rgb[rows].shape, generator=generator) * uniform(0.0, 0.07, len(rows))
    return rgb.clamp(0, 1)


def _framed(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted by up to a tenth of the half side and scaled by up to 15 %; what comes in from outside repeats the border."""
    count = len(rgb)
    scale = 1 + 0.3 * (torch.rand(count, generator=generator) - 0.5)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = scale, scale
    matrix[:, :, 2] = 0.2 * (torch.rand(count, 2, generator=generator) - 0.5)
    grid = F.affine_grid(matrix, list(rgb.shape), align_corners=False)
    return F.grid_sample(rgb, grid, padding_mode="border", align_corners=False)


def _blurred(rgb: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(2.5 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).expand(3, 1, -1)
    padded = F.pad(rgb, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights[:, :, None, :], groups=3), weights[:, :, :, None], groups=3)
