"""Keep masks on the grid: from marked sketch vertices to grid vertices and colours that stand still exactly."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from backend.appearance.keep import GridValues, KeptColour, snapshot
from backend.appearance.triplane import TriplaneField
from backend.geometry.kuhn import KuhnGrid

SMOOTH_CELLS = 2.0


def keep_on_grid(
    grid: KuhnGrid,
    sdf: Tensor,  # [N] the sketch's field
    points: np.ndarray,  # [V,3] sketch vertices in the domain
    keep: np.ndarray,  # [V] 0..1
) -> Tensor:
    """[N] 0..1: 1 on all corners of every cube that the kept surface crosses and one ring around, falling to 0 over two cells."""
    side = grid.n + 1
    positions = grid.positions.cpu().numpy()
    _, nearest = cKDTree(points).query(positions, workers=-1)
    marked = torch.from_numpy(keep[nearest] >= 0.999).view(side, side, side)
    inside = (sdf < 0).cpu().view(1, 1, side, side, side).float()
    crossed = F.max_pool3d(inside, 2, stride=1) != -F.max_pool3d(-inside, 2, stride=1)
    # A cube counts as kept if any corner lies nearest to a kept vertex.
    cubes = crossed & (F.max_pool3d(marked[None, None].float(), 2, stride=1) > 0)
    corners = F.max_pool3d(F.pad(cubes.float(), (1, 1, 1, 1, 1, 1)), 2, stride=1)
    ring = F.max_pool3d(corners, 3, stride=1, padding=1)[0, 0] > 0
    if not bool(ring.any()):
        return torch.zeros_like(sdf)
    distance, _ = cKDTree(positions[ring.numpy().ravel()]).query(positions, workers=-1)
    falling = np.clip(1.0 - distance / (SMOOTH_CELLS * grid.h), 0.0, 1.0)
    return torch.from_numpy(falling).to(sdf)


def with_kept_colours(field: TriplaneField, grid: KuhnGrid, keep: Tensor) -> KeptColour:
    """The field, showing its present colours for ever where `keep` [N] is 1."""
    side = grid.n + 1
    return KeptColour(snapshot(field), field, GridValues(keep.view(side, side, side).float()))
