# SPDX-License-Identifier: GPL-3.0-or-later
"""Polylines of Grease Pencil objects (old and new data) and of curves without a bevel, in world space."""

from __future__ import annotations

import bpy
import numpy as np

from ..compat import has_drawings, only_fills, shown_frame
from .colours import UNKNOWN, material_colour
from .domain import matrix_from, moved
from .evaluated import Surface
from .tubes import Strokes

OLD_RADIUS = 1 / 2000
"""Scene units per unit of an old stroke's thickness: half a thousandth."""
INK = 0.002
"""Linear value up to which a stroke is drawn with Blender's own black pencil, whatever it will become."""


def pencil_strokes(item: bpy.types.Object) -> Strokes:
    """The visible strokes of a Grease Pencil object with its modifiers, in world space; radii in scene units."""
    evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    pencil = evaluated.data
    inks = [_ink(slot.material) for slot in evaluated.material_slots]
    parts = []
    for layer in pencil.layers:
        frame = None if layer.hide else shown_frame(layer)
        if frame is None:
            continue
        matrix = _layer_matrix(layer, matrix_from(evaluated.matrix_world))
        read = _new_strokes if has_drawings(frame) else _old_strokes
        parts += read(frame, layer, pencil, matrix, inks)
    return joined(parts)


def curve_strokes(item: bpy.types.Object, surface: Surface, matrix: np.ndarray) -> Strokes:
    """The lines of a curve that has no surface, in world space. Radii are the curve's own factors: the caller scales them."""
    if not len(surface.edges):
        return joined([])
    head, tail = surface.edges[:-1, 1], surface.edges[1:, 0]
    cuts = np.flatnonzero(head != tail) + 1
    parts = []
    chains = np.split(surface.edges, cuts)
    splines = list(item.data.splines) if getattr(item.data, "splines", None) and len(item.data.splines) == len(chains) else []
    for number, chain in enumerate(chains):
        closed = len(chain) > 2 and chain[-1, 1] == chain[0, 0]
        index = chain[:, 0] if closed else np.append(chain[:, 0], chain[-1, 1])
        radii = _spline_radii(splines[number], len(index), closed) if splines else np.ones(len(index))
        parts.append(_stroke(moved(matrix, surface.vertices[index]), closed, radii, surface.colours[index]))
    return joined(parts)


def joined(parts: list[Strokes]) -> Strokes:
    """All strokes as one table."""
    counts = np.array([len(part.points) for part in parts], dtype=np.int64)
    firsts = np.cumsum(counts) - counts
    return Strokes(
        np.concatenate([np.zeros((0, 3)), *(part.points for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.starts + first for part, first in zip(parts, firsts, strict=True))]),
        np.concatenate([np.zeros(0, bool), *(part.cyclic for part in parts)]),
        np.concatenate([np.zeros(0), *(part.radii for part in parts)]),
        np.concatenate([np.zeros((0, 3)), *(part.colours for part in parts)]),
    )


def _stroke(points: np.ndarray, closed: bool, radii: np.ndarray, colours: np.ndarray) -> Strokes:
    return Strokes(points, np.zeros(1, np.int64), np.array([closed]), radii, colours)


def _ink(material: bpy.types.Material | None) -> tuple[bool, np.ndarray]:
    """Whether a Grease Pencil material is shown, and its colour: the stroke's, else the fill's. Black is ink: it says no colour."""
    pencil = getattr(material, "grease_pencil", None)
    if pencil is None:
        return True, material_colour(material)
    colour = pencil.fill_color if only_fills(pencil) else pencil.color
    rgb = np.array(colour[:3], dtype=np.float64)
    return not pencil.hide, rgb if rgb.max() > INK else UNKNOWN


def _of_slot(inks: list[tuple[bool, np.ndarray]], slot: int) -> tuple[bool, np.ndarray]:
    return inks[slot] if 0 <= slot < len(inks) else (True, UNKNOWN)


def _layer_matrix(layer: object, world: np.ndarray) -> np.ndarray:
    """From a layer's coordinates to the world; the layer may hang on another object.

    Evaluated strokes of the old data lie in the object's own coordinates already.
    """
    if not hasattr(layer, "matrix_local"):
        return world
    local = matrix_from(layer.matrix_local)
    if layer.parent is None:
        return world @ local
    parent = layer.parent.matrix_world
    if layer.parent_bone and layer.parent.type == "ARMATURE" and layer.parent_bone in layer.parent.pose.bones:
        parent = parent @ layer.parent.pose.bones[layer.parent_bone].matrix
    return matrix_from(parent) @ matrix_from(layer.matrix_parent_inverse) @ local


def _scale(matrix: np.ndarray) -> float:
    return float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))


def _tinted(ink: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """Ink [3] under vertex paint [N,4], whose alpha says how much of it covers the ink; an unknown ink gives way to full paint only."""
    cover = paint[:, 3:4].astype(np.float64)
    mixed = np.where(cover >= 1, paint[:, :3], ink * (1 - cover) + paint[:, :3] * cover)
    return np.where(cover > 0, mixed, ink)


def _new_strokes(frame: object, layer: object, pencil: object, matrix: np.ndarray, inks: list[tuple[bool, np.ndarray]]) -> list[Strokes]:
    drawing = frame.drawing
    attributes = drawing.attributes
    if not len(drawing.strokes):
        return []
    offsets = np.empty(len(drawing.curve_offsets), np.int32)
    drawing.curve_offsets.foreach_get("value", offsets)
    total = int(offsets[-1])
    points = moved(matrix, _column(attributes, "position", "vector", total, 3, 0.0))
    radii = (_column(attributes, "radius", "value", total, 1, 0.01)[:, 0] + layer.radius_offset) * _scale(matrix)
    paint = _column(attributes, "vertex_color", "color", total, 4, 0.0)
    slots = [stroke.material_index for stroke in drawing.strokes]
    closed = [stroke.cyclic for stroke in drawing.strokes]
    parts = []
    for slot, cyclic, start, end in zip(slots, closed, offsets[:-1], offsets[1:], strict=True):
        shown, ink = _of_slot(inks, slot)
        if shown and end > start:
            parts.append(_stroke(points[start:end], cyclic, radii[start:end], _tinted(ink, paint[start:end])))
    return parts


def _column(attributes: object, name: str, field: str, count: int, width: int, default: float) -> np.ndarray:
    """A point attribute of a drawing [count,width]; `default` where it was never set."""
    attribute = attributes.get(name)
    if attribute is None or len(attribute.data) != count:
        return np.full((count, width), default, dtype=np.float32)
    values = np.empty(count * width, dtype=np.float32)
    attribute.data.foreach_get(field, values)
    return values.reshape(count, width)


def _old_strokes(frame: object, layer: object, pencil: object, matrix: np.ndarray, inks: list[tuple[bool, np.ndarray]]) -> list[Strokes]:
    parts = []
    unit = OLD_RADIUS * (pencil.pixel_factor if pencil.stroke_thickness_space == "WORLDSPACE" else 1.0) * _scale(matrix)
    for stroke in frame.strokes:
        shown, ink = _of_slot(inks, stroke.material_index)
        count = len(stroke.points)
        if not shown or count == 0:
            continue
        points, pressure, paint = (np.empty(count * width, np.float32) for width in (3, 1, 4))
        stroke.points.foreach_get("co", points)
        stroke.points.foreach_get("pressure", pressure)
        stroke.points.foreach_get("vertex_color", paint)
        radii = np.maximum(stroke.line_width + layer.line_change, 1) * pressure.astype(np.float64) * unit
        parts.append(_stroke(moved(matrix, points.reshape(-1, 3)), stroke.use_cyclic, radii, _tinted(ink, paint.reshape(-1, 4))))
    return parts


def _spline_radii(spline: bpy.types.Spline, count: int, closed: bool) -> np.ndarray:
    """The radius factor at each of `count` points spread evenly over a spline's control points."""
    points = spline.bezier_points if spline.type == "BEZIER" else spline.points
    radii = np.empty(len(points), np.float32)
    points.foreach_get("radius", radii)
    radii = np.append(radii, radii[0]) if closed else radii
    return np.interp(np.linspace(0, len(radii) - 1, count, endpoint=not closed), np.arange(len(radii)), radii)
