# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is selected as one surface in world space: evaluated objects, their instances, and strokes as tubes."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from protocol.errors import UserError
from protocol.version import FACES

from ..compat import GREASE_PENCIL_TYPES
from .domain import matrix_from, mirrors, moved
from .evaluated import Surface, read_surface, surface_of
from .strokes import curve_strokes, joined, pencil_strokes
from .tubes import Strokes, tubes

CURVE_RADIUS = 0.03
"""Radius of a curve without a bevel, as a share of the longest side of the sketch; the curve's own radius multiplies it."""

THINNEST = 0.0125
"""No stroke is read thinner than this share of the longest side: the shape of a run cannot hold less."""

WHOLE = frozenset({"CURVE", "SURFACE", "FONT", "META"})
"""Types that list their own surface among the instances."""


@dataclass(frozen=True)
class Gathered:
    """World space: vertices [V,3] float64, faces [F,3] int64, colours [V,3], keep [V]; the objects that gave something, and notes."""

    items: list[bpy.types.Object]
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    keep: np.ndarray
    keep_found: bool
    notes: tuple[str, ...]


def gather(chosen: list[bpy.types.Object], keep_group: str) -> Gathered:
    """All faces and strokes of the chosen objects. `keep_found`: whether one of them has the group."""
    items: list[bpy.types.Object] = []
    surfaces: list[Surface] = []
    pencils: list[Strokes] = []
    curves: list[Strokes] = []
    left_out: list[str] = []
    instances = _instances(set(chosen))
    for item in chosen:
        matrix = matrix_from(item.matrix_world)
        here = list(instances.get(item, []))
        lines = None
        if item.type in GREASE_PENCIL_TYPES:
            lines = pencil_strokes(item)
            pencils.append(lines)
        else:
            surface = surface_of(item, keep_group)
            if surface is not None and len(surface.faces):
                here.append(_in_world(surface, matrix))
            elif surface is not None and item.type in {"CURVE", "SURFACE", "FONT"}:
                lines = curve_strokes(item, surface, matrix)
                curves.append(lines)
        surfaces += here
        (items.append(item) if here or (lines is not None and len(lines.points)) else left_out.append(item.name))
    thickened = _add_tubes(surfaces, joined(pencils), joined(curves))
    notes = []
    if left_out and items:
        notes.append(f"Left out, as they have no shape: {', '.join(left_out)}.")
    if thickened:
        notes.append(f"{thickened} stroke points were thinner than the run can hold and were thickened.")
    return _as_one(items, surfaces, tuple(notes))


def _instances(chosen: set[bpy.types.Object]) -> dict[bpy.types.Object, list[Surface]]:
    """Surfaces in world space that the chosen objects show as instances (collections, faces, geometry nodes).

    Only data are read while the iterator lives: its objects are temporary, and `to_mesh` on them ends Blender 4.2.
    """
    found: dict[bpy.types.Object, list[Surface]] = {}
    known: dict[int, Surface] = {}
    total = 0
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if not instance.is_instance or instance.parent is None:
            continue
        owner, shown = instance.parent.original, instance.object
        if owner not in chosen or owner.type in WHOLE or shown.type != "MESH":
            continue
        key = shown.data.as_pointer()
        if key not in known:
            known[key] = read_surface(shown.data, shown, "")
        total += len(known[key].faces)
        if total > FACES:
            raise UserError(f"The instances have more than {FACES:,} triangles.", "Lower their number, or select fewer objects.")
        if len(known[key].faces):
            found.setdefault(owner, []).append(_in_world(known[key], matrix_from(instance.matrix_world)))
    return found


def _in_world(surface: Surface, matrix: np.ndarray) -> Surface:
    faces = surface.faces[:, ::-1] if mirrors(matrix) else surface.faces
    return Surface(moved(matrix, surface.vertices), faces, surface.colours, surface.keep)


def _add_tubes(surfaces: list[Surface], pencils: Strokes, curves: Strokes) -> int:
    """Turn the strokes into tubes; the number of points that had to be thickened."""
    points = np.concatenate([pencils.points, curves.points])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return 0
    everything = [points, *(surface.vertices[np.unique(surface.faces)] for surface in surfaces)]
    low = np.min([part.min(axis=0) for part in everything], axis=0)
    high = np.max([part.max(axis=0) for part in everything], axis=0)
    longest = float((high - low).max())
    if longest == 0.0:
        longest = 2 * float(np.append(pencils.radii, 0.0).max()) or 1.0
    thickened = int((pencils.radii < THINNEST * longest).sum())
    for strokes, radii in ((pencils, pencils.radii), (curves, CURVE_RADIUS * longest * curves.radii)):
        thick = Strokes(strokes.points, strokes.starts, strokes.cyclic, np.maximum(radii, THINNEST * longest), strokes.colours)
        vertices, faces, origin = tubes(thick)
        if len(faces):
            surfaces.append(Surface(vertices, faces, strokes.colours[origin]))
    return thickened


def _as_one(items: list[bpy.types.Object], surfaces: list[Surface], notes: tuple[str, ...]) -> Gathered:
    counts = [len(surface.vertices) for surface in surfaces]
    firsts = np.cumsum([0, *counts])
    keeps = [np.zeros(len(surface.vertices)) if surface.keep is None else surface.keep for surface in surfaces]
    return Gathered(
        items,
        np.concatenate([np.zeros((0, 3)), *(surface.vertices for surface in surfaces)]),
        np.concatenate([np.zeros((0, 3), np.int64), *(surface.faces + first for surface, first in zip(surfaces, firsts, strict=False))]),
        np.concatenate([np.zeros((0, 3)), *(surface.colours for surface in surfaces)]),
        np.concatenate([np.zeros(0), *keeps]),
        any(surface.keep is not None for surface in surfaces),
        notes,
    )
