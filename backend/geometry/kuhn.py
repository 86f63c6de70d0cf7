"""A cube of n^3 cells cut into six tetrahedra each (Kuhn's subdivision), with the tables that marching through it needs.

Conforming by construction, nested under doubling of n, and every edge runs from a vertex along one of seven directions, so an edge
is the number `direction * N + lower vertex` and no list of tetrahedra or edges is ever stored.
"""

from functools import cache
from itertools import permutations

import torch
from torch import Tensor

CORNERS = tuple((c >> 2 & 1, c >> 1 & 1, c & 1) for c in range(8))
"""Corner c of a cell, in units of h along x, y, z."""

TET_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def _number(corner: tuple[int, ...]) -> int:
    return corner[0] * 4 + corner[1] * 2 + corner[2]


def tetrahedra() -> list[tuple[int, int, int, int]]:
    """Six tetrahedra of a cell as corner numbers, one for each order of the axes, all of positive volume h^3/6."""
    cells = []
    for order in permutations(range(3)):
        walk = [(0, 0, 0)]
        for axis in order:
            walk.append(tuple(v + (a == axis) for a, v in enumerate(walk[-1])))  # type: ignore[arg-type]
        odd = sum(order[a] > order[b] for a in range(3) for b in range(a + 1, 3)) % 2
        first, second, third, last = (_number(c) for c in walk)
        cells.append((first, third, second, last) if odd else (first, second, third, last))
    return cells


def tetrahedron_faces() -> list[list[tuple[int, int, int]]]:
    """Triangles over `TET_EDGES` for each of the 16 codes (bit v set = vertex v inside), counter-clockwise from outside."""
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])  # reference tetrahedron of positive volume
    midpoint = [(points[a] + points[b]) / 2 for a, b in TET_EDGES]
    table: list[list[tuple[int, int, int]]] = []
    for code in range(16):
        inside = [v for v in range(4) if code >> v & 1]
        outside = [v for v in range(4) if not code >> v & 1]
        if not inside or not outside:
            table.append([])
            continue
        # Crossed edges around the section: a triangle, or a quad whose consecutive corners share a vertex of the tetrahedron.
        if len(inside) == 2:
            pairs = [(inside[0], outside[0]), (inside[0], outside[1]), (inside[1], outside[1]), (inside[1], outside[0])]
        else:
            pairs = [(a, b) for a in inside for b in outside]
        ring = [TET_EDGES.index((min(p), max(p))) for p in pairs]
        normal = torch.linalg.cross(midpoint[ring[1]] - midpoint[ring[0]], midpoint[ring[2]] - midpoint[ring[0]])
        outwards = points[outside].mean(0) - points[inside].mean(0)
        if torch.dot(normal, outwards) < 0:
            ring.reverse()
        table.append([(ring[0], ring[1], ring[2])] + ([(ring[0], ring[2], ring[3])] if len(ring) == 4 else []))
    return table


@cache
def triangle_edges() -> tuple[Tensor, Tensor, Tensor]:
    """For each of 256 corner codes: how many triangles [256], and the direction and lower corner of their edges, [256,12,3] each."""
    tet_faces = tetrahedron_faces()
    count = torch.zeros(256, dtype=torch.int64)
    direction, lower = torch.zeros(2, 256, 12, 3, dtype=torch.int64)
    for code in range(256):
        for tet in tetrahedra():
            tet_code = sum((code >> corner & 1) << v for v, corner in enumerate(tet))
            for triangle in tet_faces[tet_code]:
                for c, edge in enumerate(triangle):
                    low, high = sorted(tet[v] for v in TET_EDGES[edge])
                    direction[code, count[code], c], lower[code, count[code], c] = high - low, low
                count[code] += 1
    return count, direction, lower


class KuhnGrid:
    """Vertices (i,j,k) -> (i(n+1)+j)(n+1)+k of n^3 cells on [-1,1]^3, and constant lookup tables.

    `positions` [N,3] float32; `h` cell size; `local` [6,4] tetrahedra as corner numbers; `corner_offset` [8] vertex number of each
    corner minus that of corner 0; `wall` [N] bool, the outermost layer; `direction_offset` [8] vertex number step of each of the
    seven edge directions (a direction is the corner it leads to; entry 0 is unused).
    """

    def __init__(self, n: int, device: torch.device | str = "cpu") -> None:
        if n < 2:
            raise ValueError(f"a grid needs at least 2 cells along each side, got {n}")
        self.n = n
        self.h = 2.0 / n
        self.device = torch.device(device)
        self.vertex_count = (n + 1) ** 3
        axis = torch.arange(n + 1, dtype=torch.float64) * self.h - 1.0
        self.positions = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).to(self.device, torch.float32)
        self.local = torch.tensor(tetrahedra(), device=self.device)
        strides = torch.tensor([(n + 1) ** 2, n + 1, 1])
        self.corner_offset = (torch.tensor(CORNERS) * strides).sum(1).to(self.device)
        self.direction_offset = self.corner_offset
        wall = torch.zeros(self.shape, dtype=torch.bool)
        for axis_number in range(3):
            wall.transpose(0, axis_number)[[0, -1]] = True
        self.wall = wall.reshape(-1).to(self.device)
        count, direction, low = triangle_edges()
        self.triangle_count = count.to(self.device)
        self.triangle_keys = (direction * self.vertex_count + self.corner_offset.cpu()[low]).to(self.device)
        self.scratch = torch.empty(8 * self.vertex_count, dtype=torch.int32, device=self.device)
        """Uninitialised lookup by edge number; each extraction writes the entries it is going to read."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a vertex array seen as a volume."""
        return (self.n + 1, self.n + 1, self.n + 1)

    def edge_ends(self, edge: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and higher vertex [E] of edge numbers [E]."""
        low = edge % self.vertex_count
        return low, low + self.direction_offset[torch.div(edge, self.vertex_count, rounding_mode="floor")]

    def cell_base(self, cell: Tensor) -> Tensor:
        """First vertex of cells numbered (i n + j) n + k."""
        n = self.n
        return cell + torch.div(cell, n, rounding_mode="floor") + (n + 1) * torch.div(cell, n * n, rounding_mode="floor")

    def active_cells(self, inside: Tensor) -> Tensor:
        """First vertices [C] of the cells that have corners on both sides of the surface; `inside` [N] bool. Synchronises once."""
        some = every = inside.view(self.shape)
        for axis in range(3):
            low, high = (0, self.n), (1, self.n)
            some = some.narrow(axis, *low) | some.narrow(axis, *high)
            every = every.narrow(axis, *low) & every.narrow(axis, *high)
        return self.cell_base((some & ~every).view(-1).nonzero().view(-1))

    def refine(self, values: Tensor) -> Tensor:
        """Values [N,...] of a piecewise linear field on the grid of 2n cells: the same field exactly, for the grids are nested."""
        n, fine = self.n, 2 * self.n + 1
        coarse = values.view(*self.shape, *values.shape[1:])
        result = values.new_empty(fine, fine, fine, *values.shape[1:])
        for corner in CORNERS:
            # An odd fine vertex is the middle of the coarse edge that runs along its parity.
            low = coarse[tuple(slice(0, n + 1 - p) for p in corner)]
            high = coarse[tuple(slice(p, n + 1) for p in corner)]
            result[tuple(slice(p, None, 2) for p in corner)] = (low + high) / 2
        return result.reshape(fine**3, *values.shape[1:])

    def nearest_corners(self, points: Tensor) -> Tensor:
        """The eight vertices [P,8] of the cell that holds each point [P,3]; points outside are moved to the wall."""
        index = ((points + 1.0) / self.h).floor().long().clamp(0, self.n - 1)
        base = (index[:, 0] * (self.n + 1) + index[:, 1]) * (self.n + 1) + index[:, 2]
        return base[:, None] + self.corner_offset
