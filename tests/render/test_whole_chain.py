"""From signed distances on a tetrahedral grid to pictures: derivatives, and shapes found again from their pictures."""

import pytest
import torch
import trimesh

from backend.appearance.triplane import TriplaneField
from backend.geometry.contract import Mesh
from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from backend.render.cameras import clip, orbit
from backend.render.pipeline import shade_and_blend
from backend.render.rasterizer import choose_rasterizer
from backend.render.shading import albedo
from backend.render.silhouette import silhouette_iou

from .shapes import rig
from .test_antialias import smooth_weights

RASTERIZER = choose_rasterizer("auto", "cpu")


def ball(p: torch.Tensor, centre: tuple[float, float, float], radius: float) -> torch.Tensor:
    return (p - torch.tensor(centre, dtype=p.dtype)).norm(dim=-1) - radius


def ring(p: torch.Tensor) -> torch.Tensor:
    return torch.stack((p[:, :2].norm(dim=-1) - 0.5, p[:, 2]), -1).norm(dim=-1) - 0.23


def paint(points: torch.Tensor) -> torch.Tensor:
    return 0.5 + 0.4 * torch.sin(points @ torch.tensor([[2.0, 1.0, -1.0], [0.5, -2.0, 1.5], [-1.0, 0.5, 2.0]]))


DIRECTIONS = {
    "level": lambda p: torch.ones(len(p)),
    "x": lambda p: p[:, 0],
    "z": lambda p: p[:, 2],
    "wave": lambda p: torch.sin(2 * p[:, 0] - p[:, 1] + 1),
    "saddle": lambda p: p[:, 0] * p[:, 1] - 0.5 * p[:, 2] ** 2,
}


@pytest.mark.parametrize("shape", ["ball", "ring"])
@pytest.mark.parametrize(("px", "bound"), [(64, 0.06), (128, 0.05), pytest.param(256, 0.04, marks=pytest.mark.long)])
def test_gradients_in_sdf_space_match_differences(shape, px, bound):
    grid = KuhnGrid(32)
    values = ball(grid.positions, (0.02, -0.03, 0.01), 0.66) if shape == "ball" else ring(grid.positions)
    cameras, weights, step = rig(2), smooth_weights(px), 1.0 / px

    def functionals(surface: DMTet) -> torch.Tensor:
        mesh = surface.extract()
        background = torch.tensor([[0.1, 0.2, 0.9], [1.0, 1.0, 0.3]])
        picture = RASTERIZER.render(mesh, clip(cameras, mesh.vertices), (px, px), lambda p, n, at: paint(p), background)
        return torch.einsum("kyxc,byxc->k", weights, picture)

    surface = DMTet(grid, values, offsets=False)
    outputs = functionals(surface)
    sdf = surface.parameters()["sdf"]
    gradients = [torch.autograd.grad(output, sdf, retain_graph=True)[0] for output in outputs]
    analytic, numeric = [], []
    with torch.no_grad():
        for direction in DIRECTIONS.values():
            d = direction(grid.positions)
            analytic.append(torch.stack([(gradient * d).sum() for gradient in gradients]))
            ahead, behind = (functionals(DMTet(grid, values + sign * step * d, offsets=False)) for sign in (1, -1))
            numeric.append((ahead - behind) / (2 * step))
    analytic, numeric = torch.cat(analytic), torch.cat(numeric)
    assert (analytic - numeric).norm() / numeric.norm() < bound
    assert torch.nn.functional.cosine_similarity(analytic, numeric, dim=0) > 0.999


def fit(start: torch.Tensor, target: Mesh, steps: int, *, antialias: bool = True, px: int = 96) -> tuple[DMTet, Mesh]:
    """Fit shape and colours to 16 pictures of the target, four a step."""
    grid = KuhnGrid(32)
    surface, field = DMTet(grid, start), TriplaneField(32, 8, 16, generator=torch.Generator().manual_seed(0))
    azimuth = torch.arange(16) * 137.5 % 360
    cameras = orbit(azimuth, torch.linspace(-60, 75, 16), 35.0, 0.9, radius=1.0)
    size, background = (px, px), torch.full((4, 3), 0.9)
    with torch.no_grad():
        wanted = RASTERIZER.render(target, clip(cameras, target.vertices), size, lambda p, n, at: paint(p), background[:1].expand(16, 3))
    optimiser = torch.optim.Adam(
        [{"params": list(surface.parameters().values()), "lr": 0.01}, {"params": field.parameters(), "lr": 0.02}], betas=(0.9, 0.99)
    )
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        chosen = torch.randperm(16, generator=generator)[:4]
        mesh = surface.extract()
        terms = surface.regularisers(mesh)
        raster = RASTERIZER.prepare(mesh, clip(cameras.select(chosen), mesh.vertices), size, antialias=antialias)
        picture = shade_and_blend(raster, albedo(field), background)
        sign_weight = 0.02 + (0.005 - 0.02) * step / steps
        loss = 100 * (picture - wanted[chosen]).square().mean() + sign_weight * terms["sign"] + 20 * terms["laplacian"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        surface.constrain()
    with torch.no_grad():
        return surface, surface.extract()


def union_mesh() -> Mesh:
    grid = KuhnGrid(64)
    p = grid.positions
    values = torch.minimum(
        ball(p, (-0.25, 0.0, -0.15), 0.45), torch.minimum(ball(p, (0.3, 0.1, 0.2), 0.38), ball(p, (0.1, -0.3, 0.45), 0.25))
    )
    with torch.no_grad():
        return DMTet(grid, values).extract()


def chamfer(a: Mesh, b: Mesh) -> float:
    from backend.geometry.mesh_queries import MeshQueries

    distances = []
    for source, target in ((a, b), (b, a)):
        shape = trimesh.Trimesh(source.vertices.numpy(), source.faces.numpy(), process=False)
        points = torch.tensor(trimesh.sample.sample_surface(shape, 4000, seed=0)[0], dtype=torch.float32)
        distances.append(MeshQueries(target.vertices, target.faces).nearest(points).distance.mean().item())
    return sum(distances) / 2


@pytest.mark.long
def test_a_short_fit_finds_the_union_from_a_sphere():
    target = union_mesh()
    _, found = fit(ball(KuhnGrid(32).positions, (0.0, 0.0, 0.0), 0.6), target, 100)
    assert silhouette_iou(found, target, RASTERIZER, radius=1.0) > 0.93
    assert chamfer(found, target) < 0.025
    assert trimesh.Trimesh(found.vertices.numpy(), found.faces.numpy(), process=False).is_watertight


@pytest.mark.long
def test_without_antialiasing_the_short_fit_fails():
    target = union_mesh()
    _, found = fit(ball(KuhnGrid(32).positions, (0.0, 0.0, 0.0), 0.6), target, 100, antialias=False)
    assert silhouette_iou(found, target, RASTERIZER, radius=1.0) < 0.75


@pytest.mark.long
def test_a_torus_from_random_signs_has_its_hole():
    grid = KuhnGrid(64)
    with torch.no_grad():
        target = DMTet(grid, ring(grid.positions)).extract()
    small = KuhnGrid(32)
    # A tenth of the vertices inside: half of them gives crumbs that no view reaches, .74 after as many steps.
    noise = 0.1 * (torch.rand(small.vertex_count, generator=torch.Generator().manual_seed(3)) - 0.1)
    _, found = fit(noise, target, 200)
    assert silhouette_iou(found, target, RASTERIZER, radius=1.0) > 0.95
    top = orbit(0.0, 89.0, 35.0, 0.9, radius=1.0)
    seen = RASTERIZER.visibility(clip(top, found.vertices), found.faces, (64, 64)).face[0]
    assert (seen[28:36, 28:36] == -1).all()
