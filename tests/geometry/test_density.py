import pytest
import torch

from backend.geometry.density import HALF_LENGTH, DensityVolume, look_up
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march


def ring(points, radius=0.5, tube=0.2):
    """Signed distance of a torus about the z axis."""
    return torch.stack([points[:, :2].norm(dim=1) - radius, points[:, 2]], 1).norm(dim=1) - tube


def shaped(n, distance):
    """A volume whose surface is the zero of `distance`."""
    volume = DensityVolume(n)
    finest = volume.parameters()["level 1"]
    with torch.no_grad():
        for leaf in volume.parameters().values():
            leaf.zero_()
        finest[0, 3] = (-10 * distance(volume.grid.positions)).view(volume.grid.shape) - volume.raw()[3]
    return volume


def test_a_thickened_torus_keeps_its_hole():
    """Euler characteristic 0, and distances that are those of the torus itself, up to its facets."""
    volume, grid = shaped(32, ring), KuhnGrid(48)
    sdf = volume.signed_distance(grid)
    surface = march(grid, sdf, grid.positions)
    edges = 3 * len(surface.faces) // 2
    assert len(surface.vertices) - edges + len(surface.faces) == 0
    torch.testing.assert_close(sdf, ring(grid.positions), atol=0.15 * grid.h, rtol=0)


def test_at_the_surface_a_layer_lets_half_of_the_light_through():
    volume = shaped(16, ring)
    density = volume.channels(volume.raw())[3]
    inside = volume.raw()[3] > 0
    assert torch.equal(torch.exp(-HALF_LENGTH * density) < 0.5, inside)


def test_normals_point_to_where_it_is_thinner():
    volume = shaped(32, lambda points: points.norm(dim=1) - 0.5)
    points = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)), dim=1) * 0.5
    normals = look_up(volume.channels(volume.raw()), points)[:, 4:]
    assert (torch.nn.functional.normalize(normals, dim=1) * points / 0.5).sum(1).min().item() > 0.98


def test_nothing_thickens_beyond_what_cameras_frame():
    volume = DensityVolume(20)
    with torch.no_grad():
        for leaf in volume.parameters().values():
            leaf[:, 3] += 3.0  # far more than a stage moves them
    assert 0.9 < volume.surface().vertices.norm(dim=1).max().item() < 1 - volume.grid.h / 2


def test_samples_between_vertices_are_trilinear():
    grid = KuhnGrid(4)
    a, b = torch.tensor([0.3, -0.7, 0.2]), 0.1
    values = (grid.positions @ a + b).view(1, *grid.shape)
    points = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1
    torch.testing.assert_close(look_up(values, points)[..., 0], points @ a + b)


def test_the_start_is_one_ball_and_nothing_is_nowhere():
    grid = KuhnGrid(24)
    volume = DensityVolume(16, generator=torch.Generator().manual_seed(0))
    start = march(grid, volume.signed_distance(grid), grid.positions)
    assert len(start.vertices) - len(start.faces) // 2 == 2
    assert 0.4 < float(start.vertices.norm(dim=1).mean()) < 0.6
    empty = shaped(16, lambda points: points.norm(dim=1) + 1)
    assert bool((empty.signed_distance(grid) > 0).all())


def test_the_state_is_that_of_its_lattices():
    volume = DensityVolume(8, generator=torch.Generator().manual_seed(3))
    other = DensityVolume(8)
    other.load_state(volume.state())
    assert torch.equal(other.raw(), volume.raw())
    with pytest.raises(ValueError, match="multiple of 4"):
        DensityVolume(10)
