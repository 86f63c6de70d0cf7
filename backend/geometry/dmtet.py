"""A surface as signed distances on a tetrahedral grid, with a rest field that a keep mask pins exactly."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.geometry import shape_terms
from backend.geometry.contract import Mesh
from backend.geometry.edges import edge_table
from backend.geometry.floaters import Tidied, tidy
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import Topology, cross, place
from backend.geometry.tet_width import half_widths

SAFE_OFFSET = 0.28
"""Largest offset in units of h. Below 1/(2 sqrt 3) = .2887, half the width of a Kuhn tetrahedron, none can turn over."""


class _Bounded(torch.autograd.Function):
    """Vectors d -> limit * tanh(|d|) d/|d|, with the value 0 and the slope `limit` at d = 0."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, limit: Tensor) -> Tensor:
        ctx.save_for_backward(raw, limit)
        return limit * _radial(raw)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        raw, limit = ctx.saved_tensors
        _, ratio, slope, direction = _radial(raw)
        along = (grad * direction).sum(1, keepdim=True) * direction
        return limit * (ratio * (grad - along) + slope * along), None


class _Radial(NamedTuple):
    vector: Tensor
    ratio: Tensor
    slope: Tensor
    direction: Tensor


def _radial(raw: Tensor) -> _Radial:
    norm = raw.norm(dim=1, keepdim=True)
    safe = norm.clamp_min(1e-12)
    bent = torch.tanh(norm)
    ratio = torch.where(norm > 1e-6, bent / safe, 1.0)
    return _Radial(ratio * raw, ratio, 1 - bent * bent, raw / safe)


def _interpolation(n: int, lattice: int) -> Tensor:
    """Weights [n+1, n/lattice+1] that carry values on every `lattice`-th point of a line to all of its points."""
    place = torch.arange(n + 1, dtype=torch.float64) / lattice
    return (1 - (place[:, None] - torch.arange(n // lattice + 1)).abs()).clamp_min(0)


class DMTet:
    """Signed distances `s = s0 + (1 - keep) delta` on a Kuhn grid and small offsets of its vertices.

    `sdf` [N] rest field s0 (negative inside, domain units; its dtype is the surface's). `keep` [N] 0..1: where it is 1, values and
    positions stay bit for bit under any optimiser. `bound` [N] domain units: |delta| never exceeds it, by `bound * tanh(raw / bound)`;
    `growth` [N] replaces it where delta is negative, that is, where the solid grows.
    `lattice` L: delta lives on a grid of n/L cells and is interpolated. `offsets`: whether grid vertices may move.
    Raises ValueError on wrong shapes, or if L does not divide n. Synchronises four times per `extract`.
    """

    def __init__(
        self,
        grid: KuhnGrid,
        sdf: Tensor,  # [N]
        *,
        keep: Tensor | None = None,  # [N]
        bound: Tensor | None = None,  # [N]
        growth: Tensor | None = None,  # [N]
        lattice: int = 1,
        offsets: bool = True,
    ) -> None:
        count = grid.vertex_count
        for name, values in (("sdf", sdf), ("keep", keep), ("bound", bound), ("growth", growth)):
            if values is not None and values.shape != (count,):
                raise ValueError(f"{name} must be [{count}] for a grid of {grid.n} cells, got {list(values.shape)}")
        if lattice < 1 or grid.n % lattice:
            raise ValueError(f"lattice must divide the {grid.n} cells of the grid, got {lattice}")
        self.grid = grid
        self.lattice = lattice
        self.offsets = offsets
        self.dtype = sdf.dtype
        options = {"dtype": sdf.dtype, "device": grid.device}
        self.rest_sdf = sdf.detach().to(**options).clone()
        self.keep = torch.zeros(count, **options) if keep is None else keep.detach().to(**options).clamp(0, 1)
        self.bound = None if bound is None else bound.detach().to(**options).clamp_min(0).clone()
        self.growth = self.bound if growth is None or bound is None else growth.detach().to(**options).clamp_min(0).clone()
        self.rest_positions = grid.positions.to(**options)
        self.offset_limit = torch.full((count,), SAFE_OFFSET * grid.h, **options)
        side = grid.n // lattice + 1
        self._sdf = torch.zeros(side**3, **options).requires_grad_()
        self._offset = torch.zeros(count if offsets else 0, 3, **options).requires_grad_(offsets)
        self._along_axis = _interpolation(grid.n, lattice).to(**options)
        self._wall = grid.wall & (self.keep < 1)
        self._last: tuple[Tensor, Topology] | None = None

    def parameters(self) -> dict[str, Tensor]:
        """`sdf` [N] or [(n/L+1)^3], delta before its bound, in domain units with slope 1 at 0; `offset` [N,3] before its bound."""
        return {"sdf": self._sdf, "offset": self._offset} if self.offsets else {"sdf": self._sdf}

    def delta(self) -> Tensor:
        """Change of the field [N] before the keep mask, -growth <= delta <= bound."""
        raw = self._sdf
        if self.lattice > 1:
            side = self.grid.n // self.lattice + 1
            volume = raw.view(side, side, side)
            for _ in range(3):  # one axis after the other, each as a matrix product; after three the order of axes is as before
                volume = torch.tensordot(volume, self._along_axis, dims=([0], [1]))
            raw = volume.reshape(-1)
        if self.bound is None or self.growth is None:
            return raw
        limit = torch.where(raw < 0, self.growth, self.bound)
        return limit * torch.tanh(raw / limit.clamp_min(1e-9))  # a bound of 0 must give 0, not 0/0

    def field(self) -> Tensor:
        """Current signed distances [N], differentiable. The outermost layer is at least h/2, kept vertices apart, so the surface closes."""
        values = self.rest_sdf + (1 - self.keep) * self.delta()
        return torch.where(self._wall, values.clamp_min(self.grid.h / 2), values)

    def positions(self, at: Tensor | None = None) -> Tensor:
        """Current grid vertices [N,3], or those numbered `at` [K]; differentiable. No tetrahedron can turn over."""
        if at is None:
            at = torch.arange(self.grid.vertex_count, device=self.grid.device)
        rest = self.rest_positions.index_select(0, at)
        if not self.offsets:
            return rest
        moved: Tensor = _Bounded.apply(self._offset.index_select(0, at), self.offset_limit[at][:, None])
        return rest + (1 - self.keep[at])[:, None] * moved

    def extract(self) -> Mesh:
        """The current surface with its edge table; empty where the field has one sign."""
        values = self.field()
        crossed = cross(self.grid, values)
        ends = torch.cat([crossed.inside, crossed.outside])
        sdf, positions = values.index_select(0, ends).chunk(2), self.positions(ends).chunk(2)
        vertices = place(self.grid, *sdf, *positions)
        self._last = values, crossed
        return Mesh(vertices, crossed.faces, edge_table(crossed.faces, len(vertices)))

    def regularisers(self, mesh: Mesh) -> dict[str, Tensor]:
        """`sign`, `laplacian`, `normal`, `eikonal` (see `shape_terms`) for the mesh that `extract` gave last; zeros if it is empty.

        `sign` and `eikonal` act on the field and have no gradient at the mesh's vertices.
        """
        if self._last is None:
            raise ValueError("regularisers need the mesh of this surface: call extract() first")
        values, crossed = self._last
        return {
            "sign": shape_terms.sign_agreement(values, crossed.inside, crossed.outside),
            "laplacian": shape_terms.laplacian(mesh),
            "normal": shape_terms.normal_consistency(mesh),
            "eikonal": shape_terms.eikonal(self.grid, values, crossed.cells),
        }

    @torch.no_grad()
    def constrain(self) -> None:
        """Call after an optimiser step. The bounds hold by themselves; this keeps raw values where tanh still has a slope to come back."""
        if self.bound is not None and self.growth is not None and self.lattice == 1:
            self._sdf.clamp_(-2 * self.growth, 2 * self.bound)
        if self.offsets:
            self._offset.mul_((2.0 / self._offset.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1.0))

    @torch.no_grad()
    def rebase(self) -> None:
        """Make the current field the rest field: `s0 <- s, delta <- 0`. The surface does not change; offsets stay."""
        self.rest_sdf.copy_(self.field())
        self._sdf.zero_()

    @torch.no_grad()
    def rest_on(self, sdf: Tensor) -> None:
        """Another field [N] as the rest field, with delta and offsets back at 0."""
        self.rest_sdf.copy_(sdf)
        self._sdf.zero_()
        self._offset.zero_()

    @torch.no_grad()
    def remove_floaters(self, protect: Tensor) -> Tidied:
        """Push small pieces outside and fill enclosed bubbles, through the rest field; how many of each.

        A piece goes if it has under 1 % of the inside volume, touches none of `protect` [P,3] (points on the sketch, domain units)
        and holds no kept vertex. Runs on the CPU and synchronises: call it every few hundred steps.
        """
        values = self.field()
        tidied, result = tidy(self.grid, values, self.keep >= 1, protect)
        self.rest_sdf += torch.where(self.keep < 1, result - values, 0.0)
        return tidied

    @torch.no_grad()
    def refined(self) -> "DMTet":
        """The same surface on a grid of 2n cells; the field is reproduced exactly and becomes the rest field.

        Moved grid vertices become rest positions, and each vertex's new offset is bounded by the narrowest tetrahedron around it.
        Bounds on delta are carried over and count from the new rest field; lattice spacing is kept in cells.
        """
        grid = KuhnGrid(2 * self.grid.n, self.grid.device)
        bound, growth = (None if limit is None else self.grid.refine(limit) for limit in (self.bound, self.growth))
        result = DMTet(
            grid,
            self.grid.refine(self.field()),
            keep=self.grid.refine(self.keep),
            bound=bound,
            growth=growth,
            lattice=self.lattice,
            offsets=self.offsets,
        )
        if self.offsets:
            result.rest_positions = self.grid.refine(self.positions())
            result.offset_limit = (0.97 * half_widths(grid, result.rest_positions)).clamp_max(SAFE_OFFSET * grid.h)
        return result

    def state(self) -> dict[str, Tensor]:
        """Copies of everything that `load_state` of a surface of the same size needs to continue bit for bit."""
        return {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Overwrite this surface in place, so that an optimiser keeps its parameters. Raises ValueError if names or sizes differ."""
        own = self._tensors()
        if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
            expected = {name: list(tensor.shape) for name, tensor in own.items()}
            raise ValueError(f"the state does not fit: expected {expected}, got { {name: list(t.shape) for name, t in state.items()} }")
        for name, tensor in own.items():
            tensor.copy_(state[name])
        self._wall = self.grid.wall & (self.keep < 1)
        self._last = None

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {"sdf": self._sdf, "offset": self._offset, "rest_sdf": self.rest_sdf, "keep": self.keep}
        tensors |= {"rest_positions": self.rest_positions, "offset_limit": self.offset_limit}
        if self.bound is None or self.growth is None:
            return tensors
        return tensors | {"bound": self.bound, "growth": self.growth}
