# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves without a bevel and Grease Pencil strokes become closed tubes of the right thickness and colour."""

import math
from typing import Any

import bpy
import numpy as np
import pytest
from host_samples import add, add_cube, diagonal, edge_use, placed, read, volume

from blender_addon.host.gathering import CURVE_RADIUS, THINNEST
from blender_addon.host.tubes import Strokes, tubes

OLD_DATA = not hasattr(bpy.data, "grease_pencils_v3") and bpy.app.version < (5, 0, 0)


def one(points: np.ndarray, radius: float, cyclic: bool) -> Strokes:
    return Strokes(points, np.array([0]), np.array([cyclic]), np.full(len(points), radius), np.zeros((len(points), 3)))


@pytest.mark.parametrize("cyclic", [False, True])
def test_a_tube_is_closed_and_as_thick_as_asked(cyclic: bool) -> None:
    turn = np.linspace(0, 2 * np.pi, 81)[: 80 if cyclic else 60]
    points = np.stack([3 * np.cos(turn), 2 * np.sin(turn), 0.5 * np.sin(2 * turn)], axis=1)
    steps = np.diff(points, axis=0, append=points[:1]) if cyclic else np.diff(points, axis=0)
    length = np.linalg.norm(steps, axis=1).sum()
    vertices, faces, origin = tubes(one(points, 0.2, cyclic))
    expected = math.pi * 0.04 * length + (0 if cyclic else 4 / 3 * math.pi * 0.008)
    assert edge_use(faces) == (0, 0)
    assert volume(vertices, faces) == pytest.approx(expected, rel=0.06)
    distance = np.linalg.norm(vertices[:, None] - points[None], axis=-1).min(axis=1)
    assert distance.max() < 0.2 * 1.02 and len(origin) == len(vertices)


def test_dots_doubles_and_hairpins() -> None:
    dot = tubes(one(np.ones((3, 3)), 0.1, True))
    assert edge_use(dot[1]) == (0, 0) and np.abs(dot[0] - 1).max() == pytest.approx(0.1, abs=1e-9)
    hairpin = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 5, 0]], float)
    vertices, faces, _ = tubes(one(hairpin, 0.1, False))
    assert np.isfinite(vertices).all() and edge_use(faces) == (0, 0)


def test_many_strokes_at_once() -> None:
    generator = np.random.default_rng(3)
    points = np.cumsum(generator.normal(size=(900, 3)), axis=0)
    starts = np.array([0, 1, 3, 400, 400, 899])
    strokes = Strokes(points, starts, np.array([False, True, False, False, True, True]), np.full(900, 0.2), np.zeros((900, 3)))
    vertices, faces, _ = tubes(strokes)
    assert np.isfinite(vertices).all() and edge_use(faces) == (0, 0) and volume(vertices, faces) > 0


def curve(kind: str, bevel: float = 0.0) -> bpy.types.Object:
    data = bpy.data.curves.new("Line", "CURVE")
    data.dimensions, data.bevel_depth = "3D", bevel
    spline = data.splines.new(kind)
    if kind == "BEZIER":
        spline.bezier_points.add(2)
        for index, point in enumerate(spline.bezier_points):
            point.co, point.radius = (2 * index, 0, index % 2), 1 + index
            point.handle_left_type = point.handle_right_type = "AUTO"
    else:
        spline.points.add(2)
        for index, point in enumerate(spline.points):
            point.co, point.radius = (2 * index, 0, 0, 1), 1 + index
    return add(bpy.data.objects.new("Line", data))


def test_a_bare_curve_becomes_a_tube() -> None:
    item = curve("POLY")
    item.location = (10, 0, 0)
    item.color = (1, 0, 0, 1)
    found = read()
    there = placed(found, found.arrays["vertices"])
    assert found.target == "" and found.reason == ""
    assert edge_use(found.arrays["faces"]) == (0, 0)
    thick = [np.abs(there[np.abs(there[:, 0] - x) < 0.01, 1]).max() for x in (10, 12, 14)]
    assert thick == pytest.approx([CURVE_RADIUS * 4 * factor for factor in (1, 2, 3)], rel=0.02)


def test_curves_with_modifiers_and_bevel() -> None:
    item = curve("BEZIER", bevel=0.25)
    bevelled = read().arrays
    assert len(bevelled["faces"]) > 50 and "colours" not in bevelled
    item.data.bevel_depth = 0
    item.modifiers.new("Copies", "ARRAY").count = 2
    bpy.context.view_layer.update()
    assert edge_use(read().arrays["faces"]) == (0, 0)


def test_a_curve_beside_a_mesh_shares_the_scale() -> None:
    line = curve("POLY")
    box = add_cube()
    line.select_set(True)
    box.location = (20, 0, 0)
    found = read()
    there = placed(found, found.arrays["vertices"])
    assert np.abs(there[there[:, 0] < 0.01, 1]).max() == pytest.approx(CURVE_RADIUS * 21, rel=0.1)


def pencil(points: np.ndarray, radius: float, colour: tuple[float, float, float]) -> bpy.types.Object:
    """A Grease Pencil object with two strokes, old or new data as this Blender has them; half of the second is painted blue."""
    kind = bpy.data.grease_pencils_v3 if hasattr(bpy.data, "grease_pencils_v3") else bpy.data.grease_pencils
    data: Any = kind.new("Strokes")
    ink = bpy.data.materials.new("Ink")
    bpy.data.materials.create_gpencil_data(ink)
    ink.grease_pencil.color = (*colour, 1)
    data.materials.append(ink)
    layer = data.layers.new("Lines")
    frame = layer.frames.new(1)
    count = len(points)
    if hasattr(frame, "drawing"):
        drawing = frame.drawing
        drawing.add_strokes([count, count])
        drawing.attributes["position"].data.foreach_set("vector", np.tile(points, (2, 1)).astype(np.float32).reshape(-1))
        both = [*drawing.strokes[0].points, *drawing.strokes[1].points]
        for index, point in enumerate(both):
            point.radius = radius
            point.vertex_color = (0, 0, 1, 1 if index >= 3 * count // 2 else 0)
        for point in drawing.strokes[1].points:
            point.position[2] += 1
        drawing.tag_positions_changed()
    else:
        data.pixel_factor = 1
        for height in (0, 1):
            stroke = frame.strokes.new()
            stroke.line_width = 100
            stroke.points.add(count, pressure=radius * 20)
            stroke.points.foreach_set("co", (points + [0, 0, height]).astype(np.float32).reshape(-1))
            for index, point in enumerate(stroke.points):
                point.vertex_color = (0, 0, 1, 1 if height and index >= count // 2 else 0)
    return add(bpy.data.objects.new("Strokes", data))


LINE = np.stack([np.linspace(0, 2, 40), np.zeros(40), np.zeros(40)], axis=1)


def test_grease_pencil_strokes_become_tubes() -> None:
    item = pencil(LINE, 0.1, (0.6, 0.2, 0.1))
    assert item.type == ("GPENCIL" if OLD_DATA else "GREASEPENCIL")
    item.location, item.scale = (5, 6, 7), (2, 2, 2)
    found = read()
    there = placed(found, found.arrays["vertices"])
    assert edge_use(found.arrays["faces"]) == (0, 0)
    assert there.min(axis=0) == pytest.approx((4.8, 5.8, 6.8), abs=0.01) and there.max(axis=0) == pytest.approx((9.2, 6.2, 9.2), abs=0.01)
    colours = found.arrays["colours"]
    painted = (there[:, 2] > 8) & (there[:, 0] > 7.2)
    assert colours[painted] == pytest.approx(np.tile([0, 0, 1], (painted.sum(), 1)), abs=1e-4)
    plain = there[:, 2] < 8
    assert colours[plain] == pytest.approx(np.tile([0.6, 0.2, 0.1], (plain.sum(), 1)), abs=1e-4)
    assert found.target == "" and found.notes == ()


def test_thin_strokes_are_thickened_and_said_so() -> None:
    pencil(LINE, 0.001, (0, 0, 0))
    found = read()
    there = placed(found, found.arrays["vertices"])
    assert there[:, 1].max() == pytest.approx(THINNEST * 2, rel=0.03)
    assert "thickened" in found.notes[0]
    painted = found.arrays["colours"][:, 2] == 1
    assert np.isnan(found.arrays["colours"][~painted]).all(), "black ink says no colour"


def test_grease_pencil_modifiers_layers_and_hiding() -> None:
    item = pencil(LINE, 0.1, (0, 0, 0))
    plain = placed(read(), read().arrays["vertices"])
    layer = item.data.layers[0]
    handle = bpy.data.objects.new("Handle", None)
    bpy.context.collection.objects.link(handle)
    handle.location = (0, 0, 9)
    layer.parent = handle
    if OLD_DATA:
        layer.location = (1, 0, 0)
    else:
        layer.translation = (1, 0, 0)
    bpy.context.view_layer.update()
    hung = placed(read(), read().arrays["vertices"])
    assert hung.mean(axis=0) - plain.mean(axis=0) == pytest.approx((1, 0, 9), abs=0.02)
    layer.parent = None
    if OLD_DATA:
        item.grease_pencil_modifiers.new("Move", "GP_OFFSET").location = (0, 3, 0)
        item.data.layers[0].location = (0, 0, 4)
    else:
        item.modifiers.new("Move", "GREASE_PENCIL_OFFSET").location = (0, 3, 0)
        item.data.layers[0].translation = (0, 0, 4)
    bpy.context.view_layer.update()
    moved = placed(read(), read().arrays["vertices"])
    assert moved.mean(axis=0) - plain.mean(axis=0) == pytest.approx((0, 3, 4), abs=0.02)
    assert diagonal(moved) == pytest.approx(diagonal(plain), rel=1e-3)
    item.data.layers[0].hide = True
    with pytest.raises(Exception, match="no faces and no strokes"):
        read()


def test_a_drawing_is_read_while_drawing() -> None:
    item = pencil(LINE, 0.1, (0, 0, 0))
    bpy.ops.object.mode_set(mode="PAINT_GPENCIL" if OLD_DATA else "PAINT_GREASE_PENCIL")
    assert item.mode != "OBJECT" and len(read().arrays["faces"]) > 100
