"""Coverage against supersampling, and image gradients against differences of re-rasterised pictures."""

import pytest
import torch

from backend.geometry.contract import Mesh
from backend.render.cameras import Cameras, clip, orbit
from backend.render.pipeline import shade_and_blend
from backend.render.rasterizer import choose_rasterizer

from .shapes import SHAPES, flat_clip, rig

RASTERIZER = choose_rasterizer("auto", "cpu")


def coverage(mesh: Mesh, cameras: Cameras, px: int, antialias: bool = True) -> torch.Tensor:
    raster = RASTERIZER.prepare(mesh, clip(cameras, mesh.vertices), (px, px), antialias=antialias)
    return shade_and_blend(raster, lambda points, normals, at: points, torch.zeros(len(cameras.position), 3))[..., 3]


def supersampled(mesh: Mesh, cameras: Cameras, px: int) -> torch.Tensor:
    seen = RASTERIZER.visibility(clip(cameras, mesh.vertices), mesh.faces, (8 * px, 8 * px)).face >= 0
    return seen.view(len(seen), px, 8, px, 8).float().mean((2, 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("px", [64, pytest.param(128), pytest.param(256, marks=pytest.mark.long)])
def test_boundary_coverage_matches_supersampling(shape, px):
    mesh, cameras = SHAPES[shape](), rig(2)
    truth = supersampled(mesh, cameras, px)
    boundary = (truth > 0) & (truth < 1)
    with_blending, without = coverage(mesh, cameras, px), coverage(mesh, cameras, px, antialias=False)
    assert (with_blending - truth)[boundary].abs().mean() < 0.04
    assert (without - truth)[boundary].abs().mean() > 0.18
    assert abs(with_blending.sum() - truth.sum()) < 1e-3 * truth.sum()


MOTIONS = {
    "shift x": lambda v: torch.tensor([1.0, 0, 0]).expand_as(v),
    "shift z": lambda v: torch.tensor([0, 0, 1.0]).expand_as(v),
    "grow": lambda v: v,
    "turn": lambda v: torch.stack((-v[:, 1], v[:, 0], 0.5 * v[:, 0]), -1),
    "bump": lambda v: v * torch.sin(3 * v[:, :1] + 1) + 0.3 * torch.cos(2 * v.roll(1, -1)),
}


def smooth_weights(px: int) -> torch.Tensor:
    """[6, px, px, 4] slow waves over the picture, the same at every resolution."""
    axis = (torch.arange(px) + 0.5) / px * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    generator = torch.Generator().manual_seed(5)
    amplitude, phase, frequency = (torch.randn(6, 4, k, generator=generator) for k in (1, 1, 2))
    wave = 1.5 * frequency[..., :1] * x.flatten() + 1.5 * frequency[..., 1:] * y.flatten() + 3 * phase
    return (amplitude * torch.sin(wave)).view(6, 4, px, px).permute(0, 2, 3, 1) / px**2


def functional_error(shape: str, px: int, antialias: bool = True) -> float:
    """Norm of (analytic - numeric) derivatives over 5 motions and 6 weights, relative to the numeric ones."""
    mesh, cameras = SHAPES[shape](), rig(2)
    weights, step = smooth_weights(px), 1.0 / px
    colour = torch.tensor([[2.0, 1.0, -1.0], [0.5, -2.0, 1.5], [-1.0, 0.5, 2.0]])

    def shade(points, normals, at):
        return 0.5 + 0.4 * torch.sin(points @ colour)

    def values(vertices):
        raster = RASTERIZER.prepare(mesh._replace(vertices=vertices), clip(cameras, vertices), (px, px), antialias=antialias)
        picture = shade_and_blend(raster, shade, torch.tensor([[0.1, 0.2, 0.9], [1.0, 1.0, 0.3]]))
        return torch.einsum("kyxc,byxc->k", weights, picture)

    vertices = mesh.vertices.clone().requires_grad_()
    outputs = values(vertices)
    gradients = [torch.autograd.grad(output, vertices, retain_graph=True)[0] for output in outputs]
    analytic, numeric = [], []
    with torch.no_grad():
        for motion in MOTIONS.values():
            direction = motion(mesh.vertices)
            analytic.append(torch.stack([(gradient * direction).sum() for gradient in gradients]))
            numeric.append((values(vertices + step * direction) - values(vertices - step * direction)) / (2 * step))
    analytic, numeric = torch.cat(analytic), torch.cat(numeric)
    return ((analytic - numeric).norm() / numeric.norm()).item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("px", "bound"), [(64, 0.08), (128, 0.05), pytest.param(256, 0.03, marks=pytest.mark.long)])
def test_gradients_match_re_rasterised_differences(shape, px, bound):
    assert functional_error(shape, px) < bound


def test_without_antialiasing_the_same_test_fails():
    assert functional_error("sphere", 64, antialias=False) > 0.5


def test_an_axis_aligned_edge_moves_coverage_exactly():
    """A square covering x < e: the column of pixels at the edge holds the exact share, and its derivative is 1/2 of the width."""
    for edge in (-0.30, -0.26, 0.0, 0.11, 0.24):
        corners = [(-3, -3, 0), (edge, -3, 0), (edge, 3, 0), (-3, 3, 0)]
        points = flat_clip(corners, torch.float64).requires_grad_()
        mesh = Mesh(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([[0, 1, 2], [0, 2, 3]]))
        raster = RASTERIZER.prepare(mesh, points, (8, 8))
        row = shade_and_blend(raster, lambda p, n, at: torch.ones_like(p), torch.zeros(1, 3, dtype=torch.float64))[0, 4, :, 3]
        assert row.sum().item() == pytest.approx((edge + 1) / 2 * 8, abs=1e-6)
        row.sum().backward()
        assert points.grad[0, :, 0].sum().item() == pytest.approx(4.0, rel=1e-6)


def test_the_nearer_of_two_silhouettes_hides_the_farther_one():
    """A near square in front of a far one: inside it the far one's border must leave no trace."""

    def square(x0, x1, depth):
        return [(x0, -3, depth), (x1, -3, depth), (x1, 3, depth), (x0, 3, depth)]

    points = flat_clip(square(-0.5, 0.53, 0.2) + square(-0.8, 0.1, 0.6))
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    raster = RASTERIZER.prepare(Mesh(torch.zeros(8, 3), faces), points, (16, 16))
    picture = shade_and_blend(raster, lambda p, n, at: (at.face >= 2).float()[:, None].expand(-1, 3), torch.full((1, 3), 0.5))[0]
    columns = picture[8, :, 0]
    assert (columns[5:11] == 0).all()
    assert columns[2] == 1
    assert 0 < columns[12] < 0.5 or 0 < columns[11] < 0.5


def test_frozen_geometry_needs_no_graph():
    mesh, cameras = SHAPES["torus"](), orbit([0.0, 90.0], 20.0, 35.0, 0.8, radius=1.0)
    raster = RASTERIZER.prepare(mesh, clip(cameras, mesh.vertices), (32, 32))
    assert not raster.pairs.weight.requires_grad
    assert len(raster.pairs.inside) > 20
