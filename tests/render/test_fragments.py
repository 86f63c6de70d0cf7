import pytest
import torch

from backend.render.cameras import clip, orbit
from backend.render.fragments import fragments, interpolate
from backend.render.rasterizer import TorchRasterizer

from .shapes import flat_clip, mesh_of, sphere


def small_scene():
    import trimesh

    mesh = mesh_of(trimesh.creation.icosphere(subdivisions=1, radius=0.7), torch.float64)
    cameras = orbit([20.0, 140.0], [10.0, 40.0], 50.0, 0.8, radius=1.0, dtype=torch.float64)
    face = TorchRasterizer().visibility(clip(cameras, mesh.vertices), mesh.faces, (24, 24)).face
    return mesh, cameras, face


def test_barycentrics_are_perspective_correct():
    """Interpolated points lie on the ray through the pixel centre, and on the face."""
    mesh, cameras, face = small_scene()
    at = fragments(clip(cameras, mesh.vertices), mesh.faces, face)
    points = interpolate(mesh.vertices, mesh.faces, at)
    view = at.pixel // (24 * 24)
    projected = clip(cameras, points)[view, torch.arange(len(points))]
    x, y = (at.pixel % 24).double(), (at.pixel // 24 % 24).double()
    expected = torch.stack(((2 * x + 1) / 24 - 1, (2 * y + 1) / 24 - 1), -1)
    torch.testing.assert_close(projected[:, :2] / projected[:, 3:], expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(projected[:, 2] / projected[:, 3], at.depth, atol=1e-9, rtol=0)
    assert (at.bary > -1e-4).all()
    torch.testing.assert_close(at.bary.sum(-1), torch.ones(len(points), dtype=torch.float64))
    assert (at.pixel.diff() > 0).all()


def test_attribute_gradients_match_central_differences():
    mesh, cameras, face = small_scene()
    at = fragments(clip(cameras, mesh.vertices), mesh.faces, face)
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(len(mesh.vertices), 2, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(len(at.pixel), 2, dtype=torch.float64, generator=generator)
    direction = torch.randn(values.shape, dtype=torch.float64, generator=generator)

    def total(v):
        return (weight * interpolate(v, mesh.faces, at)).sum()

    (gradient,) = torch.autograd.grad(total(values), values)
    numeric = (total(values + 1e-5 * direction) - total(values - 1e-5 * direction)).item() / 2e-5
    assert (gradient * direction).sum().item() == pytest.approx(numeric, rel=1e-6)


def test_position_gradients_match_central_differences_at_fixed_visibility():
    mesh, cameras, face = small_scene()
    generator = torch.Generator().manual_seed(2)
    vertices = mesh.vertices.clone().requires_grad_()
    weight = torch.randn(int((face >= 0).sum()), 3, dtype=torch.float64, generator=generator)

    def total(v):
        at = fragments(clip(cameras, v), mesh.faces, face)
        return (weight * (3 * interpolate(v, mesh.faces, at)).sin()).sum()

    (gradient,) = torch.autograd.grad(total(vertices), vertices)
    for _ in range(5):
        direction = torch.randn(vertices.shape, dtype=torch.float64, generator=generator)
        step = 1e-6
        with torch.no_grad():
            numeric = (total(vertices + step * direction) - total(vertices - step * direction)) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-3)


def test_second_derivatives_are_finite():
    mesh, cameras, face = small_scene()
    vertices = mesh.vertices.clone().requires_grad_()
    at = fragments(clip(cameras, vertices), mesh.faces, face)
    (first,) = torch.autograd.grad(interpolate(vertices, mesh.faces, at).square().sum(), vertices, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), vertices)
    assert second.isfinite().all()
    assert second.abs().max() > 0


def test_a_sliver_gives_finite_barycentrics_and_gradients():
    points = flat_clip([(-1, 0.001, 0), (1, 0.001, 0.5), (1, 0.0010000001, 0.9)]).requires_grad_()
    face = torch.zeros(1, 5, 5, dtype=torch.int64)
    at = fragments(points, torch.tensor([[0, 1, 2]]), face)
    at.bary.square().sum().backward()
    assert at.bary.isfinite().all()
    assert at.bary.abs().max() < 1.5
    assert points.grad.isfinite().all()


def test_float32_interpolation_stays_close_to_float64():
    mesh = sphere(4)
    cameras = orbit([20.0], [10.0], 35.0, 0.8, radius=1.0)
    face = TorchRasterizer().visibility(clip(cameras, mesh.vertices), mesh.faces, (96, 96)).face
    single = fragments(clip(cameras, mesh.vertices), mesh.faces, face)
    double = fragments(clip(cameras, mesh.vertices).double(), mesh.faces, face)
    error = (interpolate(mesh.vertices, mesh.faces, single) - interpolate(mesh.vertices.double(), mesh.faces, double)).abs()
    assert error.max() < 1e-4
