"""Pieces that nobody asked for: small islands and enclosed bubbles of a signed distance field."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from backend.geometry.kuhn import CORNERS, KuhnGrid

SMALL_SHARE = 0.01
"""A piece below this share of the inside volume is a floater."""


class Tidied(NamedTuple):
    """How many pieces were pushed outside and how many bubbles were filled."""

    removed: int
    filled: int


def connectivity() -> np.ndarray:
    """Neighbourhood [3,3,3] of a vertex in the Kuhn grid: the seven edge directions and their opposites.

    Linear interpolation joins exactly these neighbours, so the pieces counted here are the pieces of the surface.
    """
    near = np.zeros((3, 3, 3), dtype=bool)
    for corner in CORNERS:
        near[tuple(1 + c for c in corner)] = near[tuple(1 - c for c in corner)] = True
    return near


def tidy(grid: KuhnGrid, sdf: Tensor, kept: Tensor, protect: Tensor) -> tuple[Tidied, Tensor]:
    """What was removed, and the field [N] without it: floaters at h/2 or more, bubbles at -h/2 or less, nothing else changed.

    `kept` [N] bool: pieces that hold such a vertex stay. `protect` [P,3] domain units: pieces at a corner of a cell that holds one
    of these points stay.
    """
    values = sdf.detach().cpu()
    inside = (values < 0).numpy().reshape(grid.shape)
    near = connectivity()
    label, pieces = ndimage.label(inside, near)
    sizes = np.bincount(label.ravel(), minlength=pieces + 1)
    safe = np.zeros(pieces + 1, dtype=bool)
    safe[label.ravel()[kept.cpu().numpy()]] = True
    corners = grid.nearest_corners(protect.detach().to(grid.device, torch.float32)).cpu().numpy()
    safe[label.ravel()[corners.ravel()]] = True
    small = (sizes < SMALL_SHARE * inside.sum()) & ~safe
    small[0] = False

    hollow, bubbles = ndimage.label(~inside, near)
    enclosed = np.ones(bubbles + 1, dtype=bool)
    enclosed[np.unique(hollow.ravel()[grid.wall.cpu().numpy()])] = False
    enclosed[hollow.ravel()[kept.cpu().numpy()]] = False
    enclosed[0] = False

    pushed = torch.from_numpy(small[label].ravel())
    filled = torch.from_numpy(enclosed[hollow].ravel())
    result = torch.where(pushed, values.clamp_min(grid.h / 2), values)
    result = torch.where(filled, values.clamp_max(-grid.h / 2), result)
    return Tidied(int(small.sum()), int(enclosed.sum())), result.to(sdf)
