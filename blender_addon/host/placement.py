# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a result goes that becomes an object of its own: scale 1, its origin where the sketch had it."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from .domain import LONGEST_SIDE, matrix_from, moved

FAR = 10.0
"""An origin farther from the shape than so many of its diagonals would cost precision and is not taken over."""


def object_matrix(to_world: np.ndarray, vertices: np.ndarray, source: bpy.types.Object | None) -> np.ndarray:
    """The new object's matrix: rotation of `to_world`, scale 1, origin of the source or, without one, under the middle of the shape."""
    axes = to_world[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = axes / np.cbrt(abs(np.linalg.det(axes)))
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    foot = moved(to_world, np.array([[(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]]))[0]
    matrix[:3, 3] = foot
    if source is not None:
        origin = matrix_from(source.matrix_world)[:3, 3]
        diagonal = np.linalg.norm(high - low) * np.cbrt(abs(np.linalg.det(axes)))
        if np.linalg.norm(origin - foot) <= FAR * diagonal:
            matrix[:3, 3] = origin
    return matrix_from(Matrix(matrix.tolist()))


def standing(to_world: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """`to_world` moved so that the shape stands on the middle of the domain's floor (the 3D cursor), wherever in it the shape grew."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    foot = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved_to = to_world.copy()
    moved_to[:3, 3] += to_world[:3, :3] @ (np.array([0.0, 0.0, -LONGEST_SIDE / 2]) - foot)
    return moved_to


def add_object(name: str, mesh: bpy.types.Mesh, matrix: np.ndarray, source: bpy.types.Object | None) -> bpy.types.Object:
    """A new object in the source's collection, or the active one where that cannot be used."""
    item = bpy.data.objects.new(name, mesh)
    collection_for(source).objects.link(item)
    item.matrix_world = Matrix(matrix.tolist())
    return item


def collection_for(source: bpy.types.Object | None) -> bpy.types.Collection:
    """The first collection of the source that this file owns and the view layer shows, else the active one."""
    shown = set(bpy.context.view_layer.layer_collection.collection.children_recursive) | {bpy.context.scene.collection}
    own = [collection for collection in (source.users_collection if source is not None else ()) if collection in shown]
    return next((collection for collection in own if collection.library is None), bpy.context.collection)


def make_active(item: bpy.types.Object) -> None:
    """Select the item alone, as after adding an object by hand."""
    for other in list(bpy.context.selected_objects):
        other.select_set(False)
    if any(other == item for other in bpy.context.view_layer.objects):  # by name one could get a linked object
        item.select_set(True)
        bpy.context.view_layer.objects.active = item
