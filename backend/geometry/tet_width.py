"""How far grid vertices may move before a tetrahedron could turn over."""

import torch
from torch import Tensor

from backend.geometry.kuhn import KuhnGrid


def half_widths(grid: KuhnGrid, positions: Tensor) -> Tensor:
    """Half the smallest width [N] of the tetrahedra around each vertex of `positions` [N,3].

    A tetrahedron becomes flat when one plane passes through its four moved corners; that needs a move of half its width, the least
    distance of two parallel planes around it: over a face and the fourth corner, or over two opposite edges.
    """
    result = torch.full((grid.vertex_count,), torch.inf, dtype=positions.dtype, device=positions.device)
    cells = grid.cell_base(torch.arange(grid.n**3, device=positions.device))
    for chunk in cells.split(1 << 18):
        for tet in grid.local:
            corner = chunk[:, None] + grid.corner_offset[tet]  # [C,4]
            a, b, c, d = positions[corner].unbind(1)
            volume = ((b - a) * torch.linalg.cross(c - a, d - a)).sum(1)  # six times the volume
            normals = [
                torch.linalg.cross(b - a, c - a),
                torch.linalg.cross(b - a, d - a),
                torch.linalg.cross(c - a, d - a),
                torch.linalg.cross(c - b, d - b),
                torch.linalg.cross(b - a, d - c),
                torch.linalg.cross(c - a, d - b),
                torch.linalg.cross(d - a, c - b),
            ]
            largest = torch.stack([normal.norm(dim=1) for normal in normals]).amax(0)
            width = volume.clamp_min(0) / largest.clamp_min(1e-30)
            result.scatter_reduce_(0, corner.reshape(-1), (width / 2)[:, None].expand(-1, 4).reshape(-1), "amin")
    return result
