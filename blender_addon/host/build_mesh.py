# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles into a mesh datablock by `foreach_set`."""

from __future__ import annotations

import bpy
import numpy as np

UV_NAME = "SketchBridge"


def fill(mesh: bpy.types.Mesh, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Put vertices [V,3] and faces [F,3], checked before, into an empty mesh. Shaded smooth."""
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", flat32(vertices))
    mesh.loops.add(3 * len(faces))
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, dtype=np.int32).reshape(-1))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    mesh.update(calc_edges=True)


def set_uv(mesh: bpy.types.Mesh, uv: np.ndarray) -> None:
    """Write a UV map [L,2] called `UV_NAME` and make it the one that is shown and rendered."""
    layer = mesh.uv_layers.get(UV_NAME) or mesh.uv_layers.new(name=UV_NAME, do_init=False)
    layer.uv.foreach_set("vector", flat32(uv))
    mesh.uv_layers.active = mesh.uv_layers[UV_NAME]
    mesh.uv_layers[UV_NAME].active_render = True


def flat32(values: np.ndarray) -> np.ndarray:
    """The values as one row of float32, as `foreach_set` wants them."""
    return np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
