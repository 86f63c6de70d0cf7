import numpy as np
import torch
import trimesh

from backend.geometry.kuhn import KuhnGrid
from backend.geometry.sampling import at_points, sample_surface


def test_samples_lie_on_the_surface_in_proportion_to_area():
    box = trimesh.creation.box((1, 2, 4))
    found = sample_surface(box.vertices, box.faces, 4000, seed=1)
    np.testing.assert_allclose(np.abs(found.points / [0.5, 1, 2]).max(1), 1, atol=1e-9)
    np.testing.assert_allclose(found.normals, box.face_normals[found.face], atol=1e-9)
    share = np.bincount(found.face, minlength=12) / 4000
    np.testing.assert_allclose(share, box.area_faces / box.area, atol=1e-3)
    again = sample_surface(box.vertices, box.faces, 4000, seed=1)
    assert np.array_equal(found.points, again.points)


def test_no_area_gives_no_samples():
    assert len(sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 10).points) == 0


def test_values_between_grid_vertices_are_trilinear():
    grid = KuhnGrid(5)
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x, y, z = grid.positions.unbind(1)
    values = 1 + 2 * x - y + 3 * z
    torch.testing.assert_close(at_points(grid, values, points), 1 + points @ torch.tensor([2.0, -1, 3]), atol=1e-5, rtol=0)
    torch.testing.assert_close(at_points(grid, values, grid.positions), values, atol=1e-5, rtol=0)
    outside = at_points(grid, values, torch.tensor([[5.0, 0.0, 0.0]]))
    torch.testing.assert_close(outside, torch.tensor([3.0]), atol=1e-5, rtol=0)
