import io

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from backend.appearance.bake import bake
from backend.appearance.tangents import corner_tangents, to_tangent_space
from backend.appearance.texture import TexturedSurface, TextureField, lookup
from backend.colour import linear_to_srgb, srgb_to_linear
from backend.geometry.contract import Mesh
from backend.render.cameras import clip, orbit
from backend.render.fragments import interpolate
from backend.render.normals import normalise, vertex_normals
from backend.render.pipeline import shade_and_blend
from backend.render.rasterizer import choose_rasterizer
from backend.render.shading import Lights, textureless

from .unwrapped import colours, surface_samples, unwrapped


def square_uv() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A unit square in the x-z plane, facing the front, with u along x and v along z."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return vertices, faces, vertices[faces][..., [0, 2]]


def test_row_zero_is_the_top_of_the_texture():
    vertices, faces, uv = square_uv()
    maps = bake(vertices, faces, uv, lambda p: torch.stack((p[:, 0], p[:, 2], torch.zeros(len(p))), -1), 16)
    assert maps.coverage.all()
    linear = srgb_to_linear(maps.base_colour / 255)
    assert linear[0, 8, 1] > 0.95
    assert linear[-1, 8, 1] < 0.05
    assert linear[8, -1, 0] > 0.95
    assert maps.normal is None


@pytest.mark.parametrize("kind", ["torus", "sphere"])
def test_bake_round_trip_through_glb(kind):
    """Surface points read the colours of the field, through a GLB file and its own UVs."""
    vertices, faces, uv = unwrapped(kind)
    maps = bake(vertices, faces, uv, colours, 512)
    split = trimesh.Trimesh(vertices[faces].reshape(-1, 3).numpy(), np.arange(3 * len(faces)).reshape(-1, 3), process=False)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(maps.base_colour))
    split.visual = trimesh.visual.TextureVisuals(uv=uv.reshape(-1, 2).numpy(), material=material)
    loaded = trimesh.load(io.BytesIO(split.export(file_type="glb")), file_type="glb", force="mesh", process=False)
    texture = torch.tensor(np.asarray(loaded.visual.material.baseColorTexture.convert("RGB")))
    field = TextureField(texture, torch.tensor(np.asarray(loaded.visual.uv)[loaded.faces], dtype=torch.float32))
    face, bary, points = surface_samples(torch.tensor(loaded.vertices, dtype=torch.float32), torch.tensor(loaded.faces), 4000)
    error = (linear_to_srgb(field.at(face, bary)) - linear_to_srgb(colours(points))).abs()
    assert error.mean() < 0.004
    assert error.max() < 0.02


def test_without_the_seam_fill_the_round_trip_fails():
    vertices, faces, uv = unwrapped("torus")
    maps = bake(vertices, faces, uv, colours, 256)
    holes = maps.base_colour * maps.coverage[..., None].astype(np.uint8)
    face, bary, points = surface_samples(vertices, faces, 4000)
    error = (linear_to_srgb(TextureField(torch.tensor(holes), uv).at(face, bary)) - linear_to_srgb(colours(points))).abs()
    assert error.max() > 0.1


def test_a_constant_colour_is_the_same_byte_everywhere():
    display = torch.tensor([51, 128, 230])
    linear = srgb_to_linear(display / 255)
    vertices, faces, uv = unwrapped("torus")
    maps = bake(vertices, faces, uv, lambda p: linear.expand(len(p), 3), 64)
    assert (maps.base_colour == display.numpy()).all()


def test_texels_read_the_surface_before_decimation():
    vertices, faces, uv = unwrapped("sphere")
    inner = 0.9 * vertices
    asked = []

    def radius(points):
        asked.append(points.norm(dim=-1))
        return torch.zeros_like(points)

    bake(vertices, faces, uv, radius, 64, project_to=(inner, faces))
    distance = torch.cat(asked)
    assert distance.max() < 0.9 * 0.7 + 1e-4
    assert distance.min() > 0.9 * 0.7 * 0.97


def test_the_map_of_a_surface_onto_itself_is_flat():
    vertices, faces, uv = unwrapped("torus")
    normal = bake(vertices, faces, uv, colours, 128, project_to=(vertices, faces)).normal
    assert np.abs(normal.astype(int) - [128, 128, 255]).max() <= 1


def test_no_faces_give_black_textures():
    empty = bake(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 3, 2), colours, 8)
    assert (empty.base_colour == 0).all()
    assert not empty.coverage.any()


def test_tangents_run_along_u_and_green_along_v():
    vertices, faces, uv = square_uv()
    normals = vertex_normals(vertices, faces)
    torch.testing.assert_close(normals, torch.tensor([[0.0, -1, 0]]).expand(4, 3))
    for mirrored, sign in ((uv, 1.0), (torch.stack((1 - uv[..., 0], uv[..., 1]), -1), -1.0)):
        tangent, handed = corner_tangents(vertices, faces, mirrored, normals)
        torch.testing.assert_close(tangent, torch.tensor([sign, 0.0, 0.0]).expand(2, 3, 3), atol=1e-6, rtol=0)
        assert (handed == sign).all()
        # A normal leaning towards +z leans towards +v: green above one half, whichever way u runs.
        leaning = normalise(torch.tensor([[0.0, -1.0, 0.5]]))
        local = to_tangent_space(leaning, normals[:1], tangent[0, :1], handed[:1])[0]
        assert local[1] > 0.4
        assert abs(local[0]) < 1e-6


def test_unusable_uvs_still_give_unit_tangents_across_the_normal():
    vertices, faces, uv = square_uv()
    normals = vertex_normals(vertices, faces)
    tangent, _ = corner_tangents(vertices, faces, torch.zeros_like(uv), normals)
    torch.testing.assert_close(tangent.norm(dim=-1), torch.ones(2, 3))
    assert (tangent * normals[faces]).sum(-1).abs().max() < 1e-6


def test_tangent_space_inverts_the_shading_frame():
    generator = torch.Generator().manual_seed(0)
    normal, tangent, wanted = (normalise(torch.randn(200, 3, generator=generator)) for _ in range(3))
    wanted = normalise(normal + 0.5 * wanted)
    handed = torch.where(torch.rand(200, generator=generator) > 0.5, 1.0, -1.0)
    usable = torch.linalg.cross(normal, tangent).norm(dim=-1) > 0.3
    local = to_tangent_space(wanted, normal, tangent, handed)
    bitangent = handed[:, None] * torch.linalg.cross(normal, tangent)
    back = normalise(local[:, :1] * tangent + local[:, 1:2] * bitangent + local[:, 2:] * normal)
    shown = usable & (local[:, 2] < 0.9999)
    torch.testing.assert_close(back[shown], wanted[shown], atol=1e-4, rtol=0)
    behind = to_tangent_space(-normal, normal, tangent, handed)
    assert (behind == torch.tensor([0.0, 0.0, 1.0])).all()


def test_the_normal_map_brings_back_the_bumps_that_decimation_removed():
    def bumpy(points):
        direction = normalise(points)
        return direction * (0.7 + 0.015 * torch.sin(18 * direction).sum(-1, keepdim=True))

    fine = trimesh.creation.icosphere(subdivisions=5)
    fine_vertices, fine_faces = bumpy(torch.tensor(fine.vertices, dtype=torch.float32)), torch.tensor(fine.faces)
    _, faces, uv = unwrapped("sphere")
    vertices = bumpy(unwrapped("sphere")[0])
    normal_map = bake(vertices, faces, uv, colours, 512, project_to=(fine_vertices, fine_faces)).normal
    normals = vertex_normals(vertices, faces)
    tangents, handed = corner_tangents(vertices, faces, uv, normals)

    rasterizer, size = choose_rasterizer(), (128, 128)
    cameras = orbit([20.0, 200.0], 25.0, 35.0, 0.9, radius=0.75)
    lamp = Lights(
        torch.full((2,), 0.2), torch.full((2,), 0.8), torch.cat((cameras.position + torch.tensor([1.0, 1, 2]), torch.ones(2, 1)), -1)
    )
    clay = textureless(lamp, size)

    def mapped(points, flat, at):
        texel = lookup(torch.tensor(normal_map / 255.0, dtype=torch.float32), (uv[at.face] * at.bary[..., None]).sum(1)) * 2 - 1
        n, t = normalise(interpolate(normals, faces, at)), normalise((tangents[at.face] * at.bary[..., None]).sum(1))
        b = handed[at.face][:, None] * torch.linalg.cross(n, t)
        return clay(points, normalise(texel[:, :1] * t + texel[:, 1:2] * b + texel[:, 2:] * n), at)

    def picture(vertices, faces, shade):
        return shade_and_blend(rasterizer.prepare(Mesh(vertices, faces), clip(cameras, vertices), size), shade, torch.zeros(2, 3))

    truth = picture(fine_vertices, fine_faces, clay)
    plain, bumped = picture(vertices, faces, clay), picture(vertices, faces, mapped)
    both = (truth[..., 3] == 1) & (plain[..., 3] == 1)
    errors = [(shown - truth)[both][:, 0].square().mean().sqrt().item() for shown in (plain, bumped)]
    assert errors[1] < 0.5 * errors[0]


def test_lookup_repeats_and_keeps_the_far_border():
    texture = torch.zeros(4, 4, 1)
    texture[0, 3] = 1.0  # top right
    uv = torch.tensor([[1.0, 1.0], [0.875, 0.875], [1.875, -0.125], [0.0, 0.0]])
    assert lookup(texture, uv)[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert lookup(texture, uv[:0]).shape == (0, 1)


def test_texture_gradients_in_float64():
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(5, 5, 3, dtype=torch.float64, generator=generator).requires_grad_()
    uv = torch.rand(6, 2, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lookup, (texture, uv))


def test_a_textured_surface_is_a_colour_function_of_points():
    vertices, faces, uv = unwrapped("torus")
    maps = bake(vertices, faces, uv, colours, 256)
    frozen = TexturedSurface(vertices, faces, TextureField(torch.tensor(maps.base_colour), uv))
    _, _, points = surface_samples(vertices, faces, 500)
    # Charts of this unwrap lie side by side without gutters: at 256 px a few points see their neighbour.
    assert (frozen(points) - colours(points)).abs().quantile(0.99) < 0.02
