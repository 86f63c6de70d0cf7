"""Surface of a signed distance on a Kuhn grid: one vertex on every crossed edge, watertight, differentiable."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.geometry.kuhn import KuhnGrid


class CrossingShare(torch.autograd.Function):
    """Share of the inside end in a crossing point: t = s_b / (s_b - s_a), v = t p_a + (1 - t) p_b.

    The forward value is exact. The gradient grows as 1/|s_b - s_a|; with values of 1e-6 next to the surface one such step would
    poison an optimiser's second moments. So one factor of the difference is kept at `floor` or more in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, s_a: Tensor, s_b: Tensor, floor: float) -> Tensor:
        ctx.save_for_backward(s_a, s_b)
        ctx.floor = floor
        return s_b / (s_b - s_a)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        s_a, s_b = ctx.saved_tensors
        difference = s_b - s_a  # positive: a is the inside end
        scaled = grad / (difference * difference.clamp_min(ctx.floor))
        return scaled * s_b, -scaled * s_a, None


class Topology(NamedTuple):
    """Which grid edges the surface crosses, and how the crossings are joined; integers without gradient."""

    faces: Tensor  # [F, 3] int64 over the crossings, counter-clockwise seen from outside
    inside: Tensor  # [V] int64 grid vertex at the inside end of each crossing
    outside: Tensor  # [V] int64 grid vertex at the other end
    cells: Tensor  # [C] int64 first grid vertices of the cells that the surface passes through


class Crossings(NamedTuple):
    """The surface and the grid edges that it crosses; crossing i carries vertex i. Fields as in `Topology`."""

    vertices: Tensor  # [V, 3] differentiable in sdf and positions
    faces: Tensor
    inside: Tensor
    outside: Tensor
    cells: Tensor


def cross(grid: KuhnGrid, sdf: Tensor) -> Topology:
    """Where the zero level of `sdf` [N] crosses grid edges. Zero counts as outside; a field of one sign gives empty tensors.

    Crossings are numbered by first use, so the result is deterministic. Synchronises three times (cells, faces and crossings are
    counted).
    """
    if sdf.shape != (grid.vertex_count,):
        raise ValueError(f"expected sdf [{grid.vertex_count}], got {list(sdf.shape)}")
    inside = sdf.detach() < 0
    cells = grid.active_cells(inside)
    weights = 2 ** torch.arange(8, device=cells.device)
    code = (inside[cells[:, None] + grid.corner_offset].long() * weights).sum(1)

    count = grid.triangle_count[code]
    cell = torch.repeat_interleave(count)
    row = torch.arange(len(cell), device=cells.device) - (count.cumsum(0) - count)[cell]
    edge = (cells[cell, None] + grid.triangle_keys[code[cell], row]).view(-1)  # [3F] edge numbers

    # Number the edges by first use: no sort, and no order of threads can change the result.
    position = torch.arange(len(edge), dtype=torch.int32, device=edge.device)
    lookup = grid.scratch
    lookup[edge] = len(edge)
    lookup.scatter_reduce_(0, edge, position, "amin")
    first_use = lookup[edge]
    is_first = first_use == position
    number = is_first.cumsum(0) - 1
    faces = number[first_use.long()].view(-1, 3)

    low, high = grid.edge_ends(edge[is_first.nonzero().view(-1)])
    low_inside = inside[low]
    return Topology(faces, torch.where(low_inside, low, high), torch.where(low_inside, high, low), cells)


def place(
    grid: KuhnGrid,
    sdf_inside: Tensor,  # [V] negative
    sdf_outside: Tensor,  # [V] not negative
    inside: Tensor,  # [V, 3] positions of the inside ends
    outside: Tensor,  # [V, 3]
) -> Tensor:  # [V, 3]
    """The zero of each crossed edge, linear between its ends; differentiable in everything."""
    share = CrossingShare.apply(sdf_inside, sdf_outside, 1e-2 * grid.h)[:, None]
    return share * inside + (1 - share) * outside


def march(grid: KuhnGrid, sdf: Tensor, positions: Tensor) -> Crossings:
    """The zero level of `sdf` [N], linear inside every tetrahedron of `positions` [N,3]; see `cross` for its edge cases."""
    if positions.shape != (grid.vertex_count, 3):
        raise ValueError(f"expected positions [{grid.vertex_count},3], got {list(positions.shape)}")
    topology = cross(grid, sdf)
    a, b = topology.inside, topology.outside
    ends = (values.index_select(0, end) for values in (sdf, positions) for end in (a, b))
    return Crossings(place(grid, *ends), *topology)
