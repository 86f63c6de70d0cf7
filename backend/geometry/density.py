"""A haze on a grid: densities and colours that can open holes and part, and the signed distance of what it thickened to."""

import torch
from torch import Tensor
from torch.nn import functional

from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march
from backend.geometry.mesh_queries import MeshQueries

LEVELS = (4, 2, 1)
"""Spacings, in cells, of the lattices whose sum is the field: the coarse ones move whole parts before the fine ones add detail."""

BLOB_RADIUS, BLOB_SLOPE = 0.5, 3.0
NOISE = 0.02


class DensityVolume:
    """Density `peak * sigmoid(field + blob)` per unit of length and linear colours, on the vertices of n^3 cells over [-1, 1]^3.

    Bounded as in VolSDF (L. Yariv et al., 2021, equation 2), so that the half-way surface is well defined at any `peak`: a low one is
    a haze through which gradients reach everything, a high one nearly a solid. The start is a cone of density over the middle.
    """

    def __init__(self, n: int, device: torch.device | str = "cpu", *, generator: torch.Generator | None = None) -> None:
        if n % max(LEVELS):
            raise ValueError(f"a density needs a multiple of {max(LEVELS)} cells, got {n}")
        self.grid = KuhnGrid(n, device)
        shapes = [(1, 4, *(n // level + 1,) * 3) for level in LEVELS]
        self._levels = [(NOISE * torch.randn(shape, generator=generator)).to(device).requires_grad_() for shape in shapes]
        self._blob = (BLOB_SLOPE * (1 - self.grid.positions.norm(dim=-1) / BLOB_RADIUS)).view(self.grid.shape)

    def parameters(self) -> dict[str, Tensor]:
        """[1,4,n/L+1,n/L+1,n/L+1] for each lattice: three colours before their sigmoid, then the density before its own."""
        return {f"level {level}": leaf for level, leaf in zip(LEVELS, self._levels, strict=True)}

    def raw(self) -> Tensor:
        """[4, n+1, n+1, n+1] the sum of the lattices and the blob, axes x, y, z; the last channel is 0 on the surface, positive inside."""
        sides = self.grid.shape
        total = torch.stack([functional.interpolate(leaf, size=sides, mode="trilinear", align_corners=True)[0] for leaf in self._levels])
        colours, inner = total.sum(0).split((3, 1))
        return torch.cat([colours, inner + self._blob])

    def channels(self, peak: float) -> Tensor:
        """[7, n+1, n+1, n+1]: linear colours 0..1, density, and unit normals pointing to where it is thinner."""
        raw = self.raw()
        slope = torch.stack(torch.gradient(raw[3], spacing=self.grid.h))
        normals = -functional.normalize(slope, dim=0, eps=1e-6)
        return torch.cat([raw[:3].sigmoid(), peak * raw[3:].sigmoid(), normals])

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
        """Distance [N] at another grid's vertices to the half-way surface, negative inside; h everywhere if there is none."""
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
