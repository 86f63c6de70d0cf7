import numpy as np
import pytest
import torch

from backend.colour import linear_to_srgb, srgb_to_linear
from backend.render.cameras import clip, orbit
from backend.render.contract import Fragments
from backend.render.rasterizer import choose_rasterizer
from backend.render.shading import Lights, albedo, camera_lights, lambert, normal, textureless, unlit
from backend.render.sheet import cut, display_pictures, render_sheet, sheet_cameras, tile
from backend.render.silhouette import silhouette_iou

from .shapes import rig, sphere, torus

SIZE = (4, 4)
RASTERIZER = choose_rasterizer("auto", "cpu")


def one_fragment_per_view(views: int) -> Fragments:
    pixel = torch.arange(views) * 16 + 5
    return Fragments(pixel, torch.zeros_like(pixel), torch.full((views, 3), 1 / 3), torch.zeros(views))


def lights(position, ambient=0.25, key=0.5) -> Lights:
    position = torch.tensor(position)
    return Lights(torch.full((len(position),), ambient), torch.full((len(position),), key), position)


UP = torch.tensor([[0.0, 0.0, 1.0]])


def test_lambert_follows_the_formula_for_point_and_directional_lights():
    points = torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3)
    rig_of_lights = lights([[1.0, 0.0, 2.0, 1.0], [3.0, 0.0, 4.0, 0.0], [1.0, 0.0, -2.0, 1.0]])
    colour = torch.tensor([0.2, 0.4, 0.8])
    shaded = lambert(lambda p: colour.expand(len(p), 3), rig_of_lights, SIZE)(points, UP.expand(3, 3), one_fragment_per_view(3))
    expected = torch.tensor([0.25 + 0.5, 0.25 + 0.5 * 0.8, 0.25])[:, None] * colour
    torch.testing.assert_close(shaded, expected)


def test_views_mix_albedo_lit_and_clay_in_one_batch():
    plain, lit = unlit(1), lights([[0.0, 0.0, 1.0, 0.0]] * 2)
    mixed = Lights(*(torch.cat(pair) for pair in zip(plain, lit, strict=True)))
    shade = lambert(lambda p: torch.full_like(p, 0.9), mixed, SIZE, clay=torch.tensor([False, False, True]), clay_albedo=0.4)
    shaded = shade(torch.zeros(3, 3), UP.expand(3, 3), one_fragment_per_view(3))
    torch.testing.assert_close(shaded[:, 0], torch.tensor([0.9, 0.9 * 0.75, 0.4 * 0.75]))


def test_surfaces_are_one_sided_unless_told_where_the_eyes_are():
    away, at = -UP, one_fragment_per_view(1)
    overhead = lights([[0.0, 0.0, 5.0, 1.0]])
    dark = textureless(overhead, SIZE)(torch.zeros(1, 3), away, at)
    bright = textureless(overhead, SIZE, eyes=torch.tensor([[0.0, 0.0, 3.0]]))(torch.zeros(1, 3), away, at)
    assert bright[0, 0] == pytest.approx(3 * dark[0, 0].item())


def test_camera_lights_turn_with_the_camera():
    cameras = orbit([0.0, 90.0], 0.0, 35.0, 0.8, radius=1.0)
    one = torch.ones(2)
    placed = camera_lights(one, one, torch.tensor([[0.0, 0.0, 2.0]]).expand(2, 3), cameras.camera_to_world)
    torch.testing.assert_close(placed.position, torch.tensor([[0.0, -2.0, 0.0, 1.0], [2.0, 0.0, 0.0, 1.0]]), atol=1e-6, rtol=0)


def test_normals_are_shown_as_display_values():
    at = one_fragment_per_view(2)
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    world = linear_to_srgb(normal(SIZE)(torch.zeros(2, 3), normals, at))
    torch.testing.assert_close(world, torch.tensor([[0.5, 0.5, 1.0], [0.5, 0.0, 0.5]]), atol=1e-6, rtol=0)
    # Seen from the front, -Y points at the viewer: the camera's +Z.
    view = orbit(0.0, 0.0, 35.0, 0.8, radius=1.0).view.expand(2, 4, 4)
    torch.testing.assert_close(
        linear_to_srgb(normal(SIZE, view)(torch.zeros(2, 3), normals, at)),
        torch.tensor([[0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]),
        atol=1e-6,
        rtol=0,
    )


@pytest.mark.parametrize("detached", [True, False])
def test_where_colours_are_read_moves_the_shape_only_if_asked(detached):
    points = torch.full((1, 3), 0.3, requires_grad=True)
    shade = albedo(lambda p: p.sin(), detach_points=detached)
    assert shade(points, UP, one_fragment_per_view(1)).requires_grad != detached


def test_lambert_gradients_in_float64():
    generator = torch.Generator().manual_seed(0)
    points, normals = torch.rand(2, 3, 3, dtype=torch.float64, generator=generator).requires_grad_().unbind(0)
    lamp = Lights(*(value.double() for value in lights([[1.0, 2.0, 3.0, 1.0]] * 3)))
    shade = lambert(lambda p: p.sin(), lamp, SIZE, detach_points=False)
    inputs = (points.detach().requires_grad_(), normals.detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda p, n: shade(p, n, one_fragment_per_view(3)), inputs)


def test_a_constant_colour_keeps_its_display_value_in_every_picture():
    """The same bytes at the encoder's input, in the preview and in a sheet."""
    display = np.array([51, 128, 230], np.uint8)
    linear = srgb_to_linear(torch.tensor(display / 255.0, dtype=torch.float32))
    mesh = sphere(2)

    def field(points):
        return linear.expand(len(points), 3)

    cameras = rig(1)
    picture = RASTERIZER.render(mesh, clip(cameras, mesh.vertices), (32, 32), albedo(field), torch.ones(1, 3))
    assert display_pictures(picture[..., :3])[0, 16, 16].tolist() == display.tolist()
    sheet = render_sheet(mesh, field, RASTERIZER, size_px=32, lit=False)
    assert (sheet[:, 16, 16] == display).all()


def test_sheet_shows_eight_views_with_the_front_first():
    mesh = sphere(2)
    sheet = render_sheet(mesh, lambda p: (p[:, 1:2] < 0).float().expand(-1, 3), RASTERIZER, size_px=24, background=0.5, lit=False)
    assert sheet.shape == (8, 24, 24, 3)
    assert sheet.dtype == np.uint8
    assert (sheet[0, 12, 12] == 255).all()  # the -Y half is white
    assert (sheet[3, 12, 12] == 0).all()
    assert (sheet[:, 0, 0] == 128).all()
    assert len(sheet_cameras(1.0).position) == 8
    clay = render_sheet(mesh, None, RASTERIZER, size_px=24)
    assert (clay[:, 12, 12, 0] == clay[:, 12, 12, 2]).all()


def test_tile_puts_rows_of_different_length_on_one_sheet():
    rows = [("first", np.zeros((3, 8, 8, 3), np.uint8)), ("second", np.full((1, 16, 16, 3), 90, np.uint8))]
    sheet = tile(rows, gap_px=2, title_px=12)
    assert sheet.shape == (8 + 12 + 4 + 16 + 12 + 4, 3 * 10 + 2, 3)
    assert (sheet[14 + 1, 3] == 0).all()
    with pytest.raises(ValueError, match="row"):
        tile([])


def test_a_picture_is_cut_out_of_its_sheet():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
    sheet = tile([("first", pictures[0]), ("second", pictures[1])])
    assert all((cut(sheet, row, column, 8) == pictures[row, column]).all() for row in range(2) for column in range(3))


def test_silhouette_iou():
    ball, ring = sphere(3, 0.6), torus()
    assert silhouette_iou(ball, ball, RASTERIZER) == 1.0
    smaller = ball._replace(vertices=0.8 * ball.vertices)
    assert silhouette_iou(smaller, ball, RASTERIZER) == pytest.approx(0.64, abs=0.02)
    assert silhouette_iou(ring, ball, RASTERIZER) < 0.7
    nothing = ball._replace(vertices=torch.zeros(0, 3), faces=torch.zeros(0, 3, dtype=torch.int64), edges=None)
    assert silhouette_iou(nothing, ball, RASTERIZER) == 0.0
    assert silhouette_iou(nothing, nothing, RASTERIZER) == 1.0
