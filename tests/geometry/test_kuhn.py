import itertools

import pytest
import torch

from backend.geometry.kuhn import CORNERS, TET_EDGES, KuhnGrid, tetrahedra, tetrahedron_faces


def test_six_tetrahedra_fill_a_cell_with_positive_volume():
    points = torch.tensor(CORNERS, dtype=torch.float64)
    volumes = [torch.linalg.det(points[list(tet[1:])] - points[tet[0]]).item() / 6 for tet in tetrahedra()]
    assert volumes == pytest.approx([1 / 6] * 6)
    assert all({tet[0], tet[3]} == {0, 7} for tet in tetrahedra())  # all around the main diagonal


def test_faces_of_neighbouring_cells_are_cut_along_the_same_diagonal():
    """Conforming: the tetrahedron edges on the low face of a cell are those on its high face."""
    edges = {tuple(sorted((tet[a], tet[b]))) for tet in tetrahedra() for a, b in TET_EDGES}
    for axis in range(3):
        low = {(a, b) for a, b in edges if CORNERS[a][axis] == CORNERS[b][axis] == 0}
        high = {(a, b) for a, b in edges if CORNERS[a][axis] == CORNERS[b][axis] == 1}
        step = 4 >> axis
        assert {(a + step, b + step) for a, b in low} == high


def test_every_code_separates_inside_from_outside():
    """Property of the table: its triangles face from inside to outside and use each crossed edge."""
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    for code, triangles in enumerate(tetrahedron_faces()):
        inside = [v for v in range(4) if code >> v & 1]
        crossed = {e for e, (a, b) in enumerate(TET_EDGES) if (a in inside) != (b in inside)}
        assert set(itertools.chain(*triangles)) == crossed
        assert len(triangles) == max(0, len(crossed) - 2)
        for triangle in triangles:
            a, b, c = ((points[TET_EDGES[e][0]] + points[TET_EDGES[e][1]]) / 2 for e in triangle)
            normal = torch.linalg.cross(b - a, c - a)
            assert normal.norm() > 0.1
            for v in range(4):
                side = torch.dot(normal, points[v] - a)
                assert side <= 1e-6 if v in inside else side >= -1e-6


def test_numbering():
    grid = KuhnGrid(3)
    i, j, k = 1, 2, 3
    expected = torch.tensor([i, j, k]) * grid.h - 1
    torch.testing.assert_close(grid.positions[(i * 4 + j) * 4 + k], expected)
    assert grid.wall.sum() == 4**3 - 2**3
    cells = grid.cell_base(torch.arange(27)).tolist()
    assert cells == [(i * 4 + j) * 4 + k for i in range(3) for j in range(3) for k in range(3)]


def test_refinement_reproduces_a_linear_field_and_keeps_coarse_values():
    grid = KuhnGrid(4)
    values = torch.randn(grid.vertex_count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fine = grid.refine(values).view(9, 9, 9)
    assert torch.equal(fine[::2, ::2, ::2], values.view(5, 5, 5))
    plane = grid.positions.double() @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    expected = KuhnGrid(8).positions.double() @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(grid.refine(plane), expected, atol=1e-6, rtol=0)


def test_a_point_is_inside_the_cell_of_its_nearest_corners():
    grid = KuhnGrid(5)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    corners = grid.positions[grid.nearest_corners(points)]
    assert (corners.amin(1) <= points + 1e-6).all()
    assert (corners.amax(1) >= points - 1e-6).all()


def test_too_small_a_grid_is_refused():
    with pytest.raises(ValueError, match="at least 2 cells"):
        KuhnGrid(1)
