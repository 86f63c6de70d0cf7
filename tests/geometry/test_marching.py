import math
import time

import pytest
import torch

from backend.geometry.edges import edge_table
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import CrossingShare, march
from tests.geometry.shapes import noise, sphere, volume


def loss_gradient(grid: KuhnGrid, sdf: torch.Tensor) -> torch.Tensor:
    values = sdf.clone().requires_grad_()
    crossings = march(grid, values, grid.positions.to(sdf))
    weights = torch.randn(1000, 3, generator=torch.Generator().manual_seed(1), dtype=sdf.dtype)
    (torch.sin(3 * crossings.vertices) * weights[: len(crossings.vertices)]).sum().backward()
    assert values.grad is not None
    return values.grad


def test_one_corner_inside_gives_the_faces_of_its_tetrahedra():
    """Vertex (1,1,1) of a grid of two cells touches all 8 cells: 24 tetrahedra, one triangle each, at the middle of 14 edges."""
    grid = KuhnGrid(2)
    sdf = torch.ones(27)
    sdf[13] = -1.0
    result = march(grid, sdf, grid.positions)
    assert result.vertices.shape == (14, 3)
    assert len(result.faces) == 24
    assert set(result.vertices.abs().flatten().tolist()) == {0.0, 0.5}
    assert volume(result.vertices, result.faces) > 0


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_one_sign_gives_an_empty_surface_with_a_zero_gradient(value: float):
    grid = KuhnGrid(4)
    sdf = torch.full((125,), value, requires_grad=True)
    result = march(grid, sdf, grid.positions)
    assert result.vertices.shape == result.faces.shape == (0, 3)
    assert edge_table(result.faces, 0).ends.shape == (0, 2)
    result.vertices.sum().backward()
    assert sdf.grad is not None
    assert (sdf.grad == 0).all()


def test_zero_is_outside():
    grid = KuhnGrid(2)
    sdf = torch.zeros(27)
    sdf[13] = -1.0
    result = march(grid, sdf, grid.positions)
    assert len(result.faces) == 24
    assert (result.vertices.abs().amax(1) == 1).all()  # the surface lies on the zeros


def test_the_volume_error_falls_four_times_per_doubling():
    errors = []
    for n in (16, 32, 64):
        grid = KuhnGrid(n)
        crossings = march(grid, sphere(grid), grid.positions)
        errors.append(abs(volume(crossings.vertices.double(), crossings.faces).item() / (4 / 3 * math.pi * 0.7**3) - 1))
    assert 3 < errors[0] / errors[1] < 5
    assert 3 < errors[1] / errors[2] < 5


def test_growing_a_sphere_by_a_level_grows_its_volume_by_its_area():
    grid = KuhnGrid(64)
    level = torch.zeros((), dtype=torch.float64, requires_grad=True)
    crossings = march(grid, sphere(grid, dtype=torch.float64) - level, grid.positions.double())
    volume(crossings.vertices, crossings.faces).backward()
    assert level.grad is not None
    assert level.grad.item() == pytest.approx(4 * math.pi * 0.49, rel=1e-2)


def test_gradients_agree_with_finite_differences():
    grid = KuhnGrid(6)
    sdf = noise(grid).double() + 0.02  # no value near zero changes sign under the step below
    sdf = torch.where(sdf.abs() < 1e-2 * grid.h, 2e-2 * grid.h * torch.sign(sdf), sdf)
    positions = grid.positions.double()
    weights = torch.randn(5000, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def functional(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        vertices = march(grid, values, places).vertices
        return (torch.sin(2 * vertices) * weights[: len(vertices)]).sum()

    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        step_s = torch.randn(len(sdf), generator=generator, dtype=torch.float64) * grid.h
        step_p = torch.randn(positions.shape, generator=generator, dtype=torch.float64) * grid.h
        values, places = sdf.clone().requires_grad_(), positions.clone().requires_grad_()
        functional(values, places).backward()
        assert values.grad is not None
        assert places.grad is not None
        exact = (values.grad * step_s).sum() + (places.grad * step_p).sum()
        size = 1e-6
        ahead = functional(sdf + size * step_s, positions + size * step_p)
        behind = functional(sdf - size * step_s, positions - size * step_p)
        torch.testing.assert_close((ahead - behind) / (2 * size), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tiny", [1e-3, 1e-6, 1e-9])
def test_values_next_to_the_surface_do_not_blow_the_gradient_up(tiny: float):
    grid = KuhnGrid(8)
    sdf = sphere(grid, 0.6, torch.float64)
    normal = loss_gradient(grid, sdf).abs().max()
    near = torch.where(sdf.abs() < grid.h, tiny * torch.sign(sdf), sdf)
    assert loss_gradient(grid, near).abs().max() < 100 * normal


def test_where_the_floor_is_inactive_the_gradient_is_the_exact_one():
    a = -torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.01
    b = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.01
    a.requires_grad_(), b.requires_grad_()
    ours = torch.autograd.grad(CrossingShare.apply(a, b, 1e-3).sum(), (a, b))
    exact = torch.autograd.grad((b / (b - a)).sum(), (a, b))
    for own, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-13, atol=1e-13)
    assert torch.autograd.gradgradcheck(lambda x, y: CrossingShare.apply(x, y, 1e-3), (a[:5], b[:5]))


def test_the_result_does_not_depend_on_what_was_extracted_before():
    grid, fresh = KuhnGrid(12), KuhnGrid(12)
    march(grid, noise(grid, 5), grid.positions)
    again, first = march(grid, sphere(grid), grid.positions), march(fresh, sphere(fresh), fresh.positions)
    assert torch.equal(again.vertices, first.vertices)
    assert torch.equal(again.faces, first.faces)


def test_extraction_at_64_cells_costs_less_than_five_times_that_at_32():
    best = {}
    for n in (32, 64):
        grid = KuhnGrid(n)
        sdf = sphere(grid)
        seconds = []
        for _ in range(9):
            start = time.perf_counter()
            crossings = march(grid, sdf, grid.positions)
            edge_table(crossings.faces, len(crossings.vertices))
            seconds.append(time.perf_counter() - start)
        best[n] = min(seconds)
    assert best[64] < 3 * 5 * best[32]  # three times looser than the guard, for a busy machine
