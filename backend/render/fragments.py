"""From "which face" to "where on it": perspective-correct barycentrics, with gradients to the clip positions."""

import torch
from torch import Tensor

from .contract import Fragments

SMALLEST_AREA = 1e-12  # of a face on the screen, in clip units; keeps the division and its derivative finite
OVERSHOOT = 0.01  # rounding may push barycentrics of seen pixels this far outside; beyond it lies only noise of edge-on faces


def fragments(clip: Tensor, faces: Tensor, face: Tensor) -> Fragments:
    """Covered pixels of `face` [B, H, W] (-1 = background), with their barycentrics.

    One synchronisation on CUDA: the number of covered pixels.
    """
    flat = face.reshape(-1)
    pixel = (flat >= 0).nonzero()[:, 0]
    return fragments_at(clip, faces, pixel, flat.index_select(0, pixel), face.shape[1:])


def fragments_at(clip: Tensor, faces: Tensor, pixel: Tensor, seen: Tensor, size: tuple[int, int]) -> Fragments:
    """The faces `seen` [P] at the pixels [P] of pictures of `size`, with barycentrics from homogeneous edge functions.

    With corners p_i and pixel centre (sx, sy): X_i = x_i - sx w_i, Y_i = y_i - sy w_i, a_0 = X_1 Y_2 - X_2 Y_1 (cyclic),
    bary = a / sum(a). No division by w, smooth in the positions (M. Olano and T. Greer, "Triangle scan conversion using 2D
    homogeneous coordinates", 1997). No synchronisation.
    """
    height, width = size
    view = pixel // (height * width)
    corner = faces.index_select(0, seen) + (view * clip.shape[1])[:, None]
    x, y, z, w = clip.reshape(-1, 4).index_select(0, corner.reshape(-1)).view(-1, 3, 4).unbind(-1)
    column, row = pixel % width, pixel // width % height
    sx = ((2 * column + 1).to(clip.dtype) / width - 1)[:, None]
    sy = ((2 * row + 1).to(clip.dtype) / height - 1)[:, None]
    x0, x1, x2 = (x - sx * w).unbind(-1)
    y0, y1, y2 = (y - sy * w).unbind(-1)
    a = torch.stack((x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0), -1)
    total = a.sum(-1, keepdim=True)
    smallest = torch.where(total < 0, -SMALLEST_AREA, SMALLEST_AREA)
    total = torch.where(total.abs() < SMALLEST_AREA, smallest, total)
    bary = (a / total).clamp(-OVERSHOOT, 1 + OVERSHOOT)
    bary = bary / bary.sum(-1, keepdim=True)
    with torch.no_grad():
        depth = (bary * z).sum(-1) / (bary * w).sum(-1)
    return Fragments(pixel, seen, bary, depth)


def interpolate(values: Tensor, faces: Tensor, at: Fragments) -> Tensor:
    """[P, C] vertex values [V, C] at the fragments; differentiable in values and barycentrics."""
    corners = values.index_select(0, faces.index_select(0, at.face).reshape(-1)).view(-1, 3, values.shape[-1])
    return (corners * at.bary[:, :, None]).sum(1)
