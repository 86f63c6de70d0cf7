# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as it is, for texturing: polygons and corners, read and never changed."""

from __future__ import annotations

import zlib

import bpy
import numpy as np

from .domain import matrix_from, mirrors, moved
from .evaluated import positions


def corner_arrays(item: bpy.types.Object) -> tuple[dict[str, np.ndarray], np.ndarray, str]:
    """`corner_vertex` [L] and `polygon_start` [P] int32, `uv` [L,2] float32 if there is a map; vertices in the world [V,3]; the map's name.

    Where the object's scale mirrors it, the corners of every polygon run backwards, so that its outside is outside.
    """
    mesh = item.data
    corner, start = np.empty(len(mesh.loops), np.int32), np.empty(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    mesh.polygons.foreach_get("loop_start", start)
    matrix = matrix_from(item.matrix_world)
    order = reversed_corners(start, len(corner)) if mirrors(matrix) else np.arange(len(corner))
    arrays = {"corner_vertex": corner[order], "polygon_start": start}
    layer = next((layer for layer in mesh.uv_layers if layer.active_render), mesh.uv_layers.active)
    if layer is not None:
        uv = np.empty(len(corner) * 2, np.float32)
        layer.uv.foreach_get("vector", uv)
        if np.isfinite(uv).all():
            arrays["uv"] = uv.reshape(-1, 2)[order]
    return arrays, moved(matrix, positions(mesh)), layer.name if "uv" in arrays else ""


def polygon_digest(mesh: bpy.types.Mesh) -> str:
    """Changes when polygons are added, removed or cut anew, not when vertices move."""
    corner, start = np.empty(len(mesh.loops), np.int32), np.empty(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    mesh.polygons.foreach_get("loop_start", start)
    return f"{zlib.crc32(start, zlib.crc32(corner)):08x}"


def reversed_corners(start: np.ndarray, corners: int) -> np.ndarray:
    """Which corner stands where when every polygon runs the other way round [L]. Applied twice it changes nothing."""
    size = np.diff(np.append(start, corners))
    return np.repeat(2 * start.astype(np.int64) + size - 1, size) - np.arange(corners)
