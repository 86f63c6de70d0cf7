import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend.geometry.contract import Mesh
from backend.render.cameras import clip, orbit
from backend.render.pipeline import detach, prepare, shade_and_blend, stack
from backend.render.rasterizer import TorchRasterizer, choose_rasterizer
from backend.render.shading import lambert, unlit

from .shapes import flat_clip, mesh_of, rig, sphere, torus

RASTERIZER = choose_rasterizer("auto", "cpu")


def by_position(points, normals, at):
    return 0.5 + 0.4 * torch.sin(4 * points)


def test_background_may_be_a_colour_per_view_or_a_picture():
    mesh, cameras = sphere(1), rig(2)
    colours = torch.tensor([[0.1, 0.2, 0.3], [0.7, 0.8, 0.9]])
    points = clip(cameras, mesh.vertices)
    flat = RASTERIZER.render(mesh, points, (16, 16), by_position, colours)
    full = RASTERIZER.render(mesh, points, (16, 16), by_position, colours[:, None, None].expand(2, 16, 16, 3))
    assert torch.equal(flat, full)
    assert flat.shape == (2, 16, 16, 4)
    torch.testing.assert_close(flat[:, 0, 0, :3], colours)
    assert (flat[:, 0, 0, 3] == 0).all()
    assert (flat[:, 8, 8, 3] == 1).all()


@pytest.mark.parametrize("case", ["no vertices", "no faces", "out of view", "behind"])
def test_nothing_to_see_gives_background_and_zero_gradients(case):
    mesh, cameras = sphere(1), rig(2)
    vertices, faces, edges = mesh
    if case == "no vertices":
        vertices, faces, edges = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), None
    elif case == "no faces":
        faces, edges = faces[:0], None
    else:
        vertices = vertices + (torch.tensor([0.0, 0, 50.0]) if case == "out of view" else 2 * cameras.position[0])
        cameras = cameras.select(slice(0, 1))
    vertices = vertices.requires_grad_()
    background = torch.rand(len(cameras.position), 3, generator=torch.Generator().manual_seed(0))
    picture = RASTERIZER.render(Mesh(vertices, faces, edges), clip(cameras, vertices), (16, 16), lambda p, n, at: n.detach(), background)
    assert torch.equal(picture[..., :3], background[:, None, None].expand(-1, 16, 16, -1))
    assert (picture[..., 3] == 0).all()
    picture.square().sum().backward()
    assert vertices.grad.shape == vertices.shape
    assert (vertices.grad == 0).all()


def test_shapes_are_checked_with_expected_and_actual():
    mesh, cameras = sphere(1), rig(1)
    points = clip(cameras, mesh.vertices)
    with pytest.raises(ValueError, match=r"background must be \[1, C\]"):
        RASTERIZER.render(mesh, points, (8, 8), by_position, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="shade gave"):
        RASTERIZER.render(mesh, points, (8, 8), by_position, torch.zeros(1, 4))
    with pytest.raises(ValueError, match="clip must be"):
        RASTERIZER.render(mesh, points[:, :-1], (8, 8), by_position, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="faces"):
        RASTERIZER.render(mesh._replace(faces=mesh.faces.int()), points, (8, 8), by_position, torch.zeros(1, 3))


def test_stacked_frozen_views_equal_one_batch():
    mesh, cameras, size = torus(), rig(3), (40, 40)
    background = torch.rand(3, 3, generator=torch.Generator().manual_seed(1))
    together = RASTERIZER.render(mesh, clip(cameras, mesh.vertices), size, by_position, background)
    bank = [detach(RASTERIZER.prepare(mesh, clip(cameras.select(slice(k, k + 1)), mesh.vertices), size)) for k in range(3)]
    torch.testing.assert_close(shade_and_blend(stack(bank), by_position, background), together, atol=1e-6, rtol=0)
    chosen = shade_and_blend(stack([bank[2], bank[0]]), by_position, background[[2, 0]])
    torch.testing.assert_close(chosen, together[[2, 0]], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="stack"):
        stack([])


def test_detached_rasters_carry_no_graph():
    mesh, cameras = sphere(1), rig(1)
    vertices = mesh.vertices.clone().requires_grad_()
    raster = RASTERIZER.prepare(mesh._replace(vertices=vertices), clip(cameras, vertices), (16, 16))
    frozen = detach(raster)
    assert raster.points.requires_grad
    assert raster.pairs.weight.requires_grad
    assert not any(value.requires_grad for value in (frozen.points, frozen.normals, frozen.fragments.bary, frozen.pairs.weight))


def test_backends_give_the_same_gradients():
    mesh, cameras = torus(), rig(2)
    gradients = []
    for backend in (RASTERIZER, TorchRasterizer()):
        vertices = mesh.vertices.clone().requires_grad_()
        picture = backend.render(mesh._replace(vertices=vertices), clip(cameras, vertices), (48, 48), by_position, torch.zeros(2, 3))
        picture.square().sum().backward()
        gradients.append(vertices.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_second_derivatives_of_the_whole_chain_are_finite():
    import trimesh

    mesh = mesh_of(trimesh.creation.icosphere(subdivisions=1, radius=0.7), torch.float64)
    cameras = orbit(20.0, 10.0, 35.0, 0.8, radius=1.0, dtype=torch.float64)
    vertices = mesh.vertices.clone().requires_grad_()
    background = torch.zeros(1, 3, dtype=torch.float64)
    picture = RASTERIZER.render(mesh._replace(vertices=vertices), clip(cameras, vertices), (24, 24), lambda p, n, at: n * p, background)
    (first,) = torch.autograd.grad(picture.square().sum(), vertices, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), vertices)
    assert first.abs().max() > 0
    assert second.isfinite().all()


def test_a_mesh_without_an_edge_table_gets_one():
    mesh, cameras = sphere(2), rig(1)
    points, background = clip(cameras, mesh.vertices), torch.zeros(1, 3)
    with_table = RASTERIZER.render(mesh, points, (32, 32), by_position, background)
    assert torch.equal(with_table, RASTERIZER.render(mesh._replace(edges=None), points, (32, 32), by_position, background))


def test_colours_are_read_before_any_blending():
    """A one-pixel column between two silhouettes blends to both sides from its own unblended colour."""
    points = flat_clip([(-0.2, -3, 0), (0.2, -3, 0), (0.2, 3, 0), (-0.2, 3, 0)], torch.float64)
    mesh = Mesh(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([[0, 1, 2], [0, 2, 3]]))
    background = torch.zeros(1, 3, dtype=torch.float64)
    # 5 pixels of width 0.4: the middle one is covered exactly; widened by 0.1 on each side, the neighbours get a quarter.
    for extra, share in ((0.0, 0.0), (0.1, 0.25)):
        wide = points.clone()
        wide[..., 0] += extra * points[..., 0].sign()
        row = RASTERIZER.render(mesh, wide, (5, 5), lambda p, n, at: torch.full_like(p, 0.8), background)[0, 2]
        torch.testing.assert_close(row[:, 3], torch.tensor([0, share, 1, share, 0], dtype=torch.float64), atol=1e-6, rtol=0)
        torch.testing.assert_close(row[:, 0], 0.8 * row[:, 3])


def test_the_mask_of_culled_faces_reaches_prepare():
    mesh, cameras = sphere(2), rig(1)
    points = clip(cameras, mesh.vertices)
    inside_out = mesh._replace(faces=mesh.faces.flip(1))
    raster = prepare(RASTERIZER.kernels(), inside_out, points, (32, 32), cull=True)
    view = cameras.camera_to_world[0, :3, 2]
    assert ((raster.points @ view) < 0.3).all()  # only the far half is left


class HostReads(TorchDispatchMode):
    """Names of the operators called whose result the host must wait for on CUDA."""

    WAITING = ("nonzero", "_local_scalar_dense", "unique", "masked_select", "repeat_interleave.Tensor", "index.Tensor", "bincount", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, operator, types, arguments=(), keywords=None):
        name = operator.name().removeprefix("aten::")
        if any(name.startswith(waiting) for waiting in self.WAITING):
            self.seen.append(name)
        return operator(*arguments, **(keywords or {}))


@pytest.mark.skipif(RASTERIZER.name != "warp", reason="counted for the kernels")
def test_the_number_of_synchronisations_is_as_stated():
    mesh, cameras = torus(), rig(2)
    vertices = mesh.vertices.clone().requires_grad_()
    lamp = lambert(by_points, unlit(2), (32, 32))
    points = clip(cameras, vertices)
    with HostReads() as preparing:
        raster = RASTERIZER.prepare(mesh._replace(vertices=vertices), points, (32, 32))
    assert preparing.seen == ["nonzero", "nonzero"]
    with HostReads() as shading:
        shade_and_blend(stack([raster]), lamp, torch.zeros(2, 3)).sum().backward()
    assert shading.seen == []


def by_points(points):
    return 0.5 + 0.4 * torch.sin(4 * points)
