"""A haze on a grid: densities and colours that can open holes and part, and the signed distance of what it thickened to."""

import torch
from torch import Tensor
from torch.nn import functional

from backend.geometry.contract import Mesh
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march
from backend.geometry.mesh_queries import MeshQueries

LEVELS = (4, 2, 1)
"""Spacings, in cells, of the lattices whose sum is the field: the coarse ones move whole parts before the fine ones add detail."""

HALF_LENGTH = 0.1
"""A layer of this length, as dense as the surface is, lets half of the light through (domain units)."""

BLOB_RADIUS, BLOB_SLOPE = 0.5, 3.0
EDGE_RADIUS, EDGE_SLOPE = 0.9, 200.0  # beyond, where few cameras look, nothing thickens
NOISE = 0.02

_NEIGHBOURS = torch.zeros(1, 1, 3, 3, 3)
for _axis in range(3):
    for _side in (0, 2):
        _NEIGHBOURS[(0, 0, *(_side if axis == _axis else 1 for axis in range(3)))] = 1 / 6


class DensityVolume:
    """Density `softplus(field + blob) / HALF_LENGTH` per unit of length and linear colours, on n^3 cells over [-1, 1]^3.

    Where field + blob is 0, half of the light gets through a layer of `HALF_LENGTH`: that is the surface. The blob is a cone over the
    middle, as in C. Lin et al., "Magic3D", 2022, appendix B.
    """

    def __init__(self, n: int, device: torch.device | str = "cpu", *, generator: torch.Generator | None = None) -> None:
        if n % max(LEVELS):
            raise ValueError(f"a density needs a multiple of {max(LEVELS)} cells, got {n}")
        self.grid = KuhnGrid(n, device)
        shapes = [(1, 4, *(n // level + 1,) * 3) for level in LEVELS]
        self._levels = [(NOISE * torch.randn(shape, generator=generator)).to(device).requires_grad_() for shape in shapes]
        radius = self.grid.positions.norm(dim=-1).view(self.grid.shape)
        self._blob = BLOB_SLOPE * (1 - radius / BLOB_RADIUS) - EDGE_SLOPE * (radius - EDGE_RADIUS).clamp_min(0.0)

    def parameters(self) -> dict[str, Tensor]:
        """[1,4,n/L+1,n/L+1,n/L+1] for each lattice: three colours before their sigmoid, then the field of the density."""
        return {f"level {level}": leaf for level, leaf in zip(LEVELS, self._levels, strict=True)}

    def raw(self) -> Tensor:
        """[4, n+1, n+1, n+1] the sum of the lattices and the blob, axes x, y, z; the last channel is 0 on the surface, positive inside."""
        sides = self.grid.shape
        total = torch.stack([functional.interpolate(leaf, size=sides, mode="trilinear", align_corners=True)[0] for leaf in self._levels])
        colours, inner = total.sum(0).split((3, 1))
        return torch.cat([colours, inner + self._blob])

    def channels(self, raw: Tensor) -> Tensor:
        """[7, n+1, n+1, n+1] of a `raw`: linear colours 0..1, density, and unit normals pointing to where it is thinner."""
        slope = torch.stack(torch.gradient(raw[3], spacing=self.grid.h))
        normals = -functional.normalize(slope, dim=0, eps=1e-6)
        return torch.cat([raw[:3].sigmoid(), functional.softplus(raw[3:]) / HALF_LENGTH, normals])

    def regularisers(self, raw: Tensor) -> dict[str, Tensor]:
        """`smooth`: mean square of how far the density's field is from the mean of its six neighbours."""
        inner = raw[3:]
        around = functional.conv3d(inner[None], _NEIGHBOURS.to(inner))[0]
        return {"smooth": (around - inner[:, 1:-1, 1:-1, 1:-1]).square().mean()}

    @torch.no_grad()
    def colours(self, points: Tensor) -> Tensor:
        """[P, 3] linear colours at points [P, 3]."""
        return look_up(self.raw()[:3].sigmoid(), points)

    @torch.no_grad()
    def surface(self) -> Mesh:
        """The surface on the volume's own grid."""
        found = march(self.grid, -self.raw()[3].flatten(), self.grid.positions)
        return Mesh(found.vertices, found.faces)

    def state(self) -> dict[str, Tensor]:
        """Copies of the lattices."""
        return {name: leaf.detach().clone() for name, leaf in self.parameters().items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Overwrite the lattices in place, so that an optimiser keeps its parameters."""
        for name, leaf in self.parameters().items():
            leaf.copy_(state[name])

    @torch.no_grad()
    def signed_distance(self, grid: KuhnGrid) -> Tensor:
        """Distance [N] at another grid's vertices to the surface, negative inside; h everywhere if there is none."""
        inner = look_up(self.raw()[3:], grid.positions)[:, 0]
        surface = march(grid, -inner, grid.positions)
        if not len(surface.faces):
            return torch.full_like(inner, grid.h)
        distance = MeshQueries(surface.vertices, surface.faces, grid.device).nearest(grid.positions).distance
        return torch.where(inner > 0, -distance.clamp_min(1e-6), distance)


def look_up(channels: Tensor, points: Tensor) -> Tensor:
    """[..., C] trilinear samples of channels [C, n+1, n+1, n+1] (axes x, y, z) at points [..., 3]; outside, the wall's values."""
    where = points.reshape(1, 1, 1, -1, 3).flip(-1)
    sampled = functional.grid_sample(channels[None], where, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.view(len(channels), -1).t().view(*points.shape[:-1], len(channels))
