# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object looks like with its modifiers, as arrays in the object's own space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import bpy
import numpy as np

from .colours import vertex_colours
from .weights import read_weights

Result = TypeVar("Result")
SHAPED = frozenset({"MESH", "CURVE", "SURFACE", "FONT", "META"})
"""Object types that Blender can turn into a mesh."""


@dataclass
class Surface:
    """Triangles of one object: vertices [V,3] float64, faces [F,3] int64, colours [V,3] (NaN unknown), `keep` [V] or None if it has none.

    `edges` [E,2] are filled only where there are no faces (a bare curve).
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    keep: np.ndarray | None = None
    edges: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))


def with_mesh(item: bpy.types.Object, use: Callable[[bpy.types.Mesh, bpy.types.Object], Result]) -> Result | None:
    """What `use` makes of the evaluated mesh and the evaluated object; None where the object has no mesh to give."""
    if item.type not in SHAPED:
        return None
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = item.evaluated_get(depsgraph)
    mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=depsgraph)
    try:
        return use(mesh, evaluated)
    finally:
        evaluated.to_mesh_clear()


def surface_of(item: bpy.types.Object, keep_group: str) -> Surface | None:
    """The evaluated surface of an object, None where it has none."""
    return with_mesh(item, lambda mesh, evaluated: read_surface(mesh, evaluated, keep_group))


def read_surface(mesh: bpy.types.Mesh, evaluated: bpy.types.Object, keep_group: str) -> Surface:
    """Arrays of an evaluated mesh."""
    vertices, faces = positions(mesh), triangles(mesh)
    materials = [slot.material for slot in evaluated.material_slots]
    surface = Surface(vertices, faces, vertex_colours(mesh, materials), keep_weights(mesh, evaluated, keep_group))
    if not len(faces):
        edges = np.empty(len(mesh.edges) * 2, dtype=np.int32)
        mesh.edges.foreach_get("vertices", edges)
        surface.edges = edges.reshape(-1, 2).astype(np.int64)
    return surface


def positions(mesh: bpy.types.Mesh) -> np.ndarray:
    """Vertex positions [V,3] float64, local."""
    values = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", values)
    return values.reshape(-1, 3).astype(np.float64)


def triangles(mesh: bpy.types.Mesh) -> np.ndarray:
    """Vertex triples [F,3] int64 of the polygons, cut as Blender draws them."""
    mesh.calc_loop_triangles()
    values = np.empty(len(mesh.loop_triangles) * 3, dtype=np.int32)
    mesh.loop_triangles.foreach_get("vertices", values)
    return values.reshape(-1, 3).astype(np.int64)


def keep_weights(mesh: bpy.types.Mesh, evaluated: bpy.types.Object, name: str) -> np.ndarray | None:
    """Weights [V] of the vertex group or, in its absence, of the point attribute of this name; None if there is neither."""
    if not name:
        return None
    group = evaluated.vertex_groups.get(name) if evaluated.type == "MESH" else None
    if group is not None:
        return read_weights(mesh, len(evaluated.vertex_groups))[group.index]
    attribute = mesh.attributes.get(name)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type != "FLOAT":
        return None
    values = np.empty(len(attribute.data), dtype=np.float32)
    attribute.data.foreach_get("value", values)
    return np.clip(values, 0, 1)
