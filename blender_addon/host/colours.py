# SPDX-License-Identifier: GPL-3.0-or-later
"""What colour a sketch has: the active colour attribute, else the material's. Linear, NaN where nothing says."""

from __future__ import annotations

import bpy
import numpy as np

from ..compat import shader_nodes

UNKNOWN = np.full(3, np.nan)
UNTOUCHED = (0.8, 0.8, 0.8)
"""The viewport colour of a material nobody has set."""


def vertex_colours(mesh: bpy.types.Mesh, materials: list[bpy.types.Material | None]) -> np.ndarray:
    """Colours [V,3] float64 of an evaluated mesh with the materials of its object's slots."""
    painted = painted_colours(mesh)
    return painted if painted is not None else _material_colours(mesh, materials)


def painted_colours(mesh: bpy.types.Mesh) -> np.ndarray | None:
    """The active colour attribute per vertex [V,3]; corners of a vertex are averaged. None without one."""
    attribute = mesh.color_attributes.active_color
    if attribute is None or attribute.domain not in {"POINT", "CORNER"} or len(attribute.data) == 0:
        return None
    values = np.empty(len(attribute.data) * 4, dtype=np.float32)
    attribute.data.foreach_get("color", values)
    rgb = values.reshape(-1, 4)[:, :3].astype(np.float64)
    return rgb if attribute.domain == "POINT" else _mean_per_vertex(mesh, rgb)


def _material_colours(mesh: bpy.types.Mesh, materials: list[bpy.types.Material | None]) -> np.ndarray:
    table = np.array([material_colour(material) for material in materials] or [UNKNOWN])
    if len(table) == 1 or not len(mesh.polygons):
        return np.broadcast_to(table[0], (len(mesh.vertices), 3)).copy()
    slot, total = np.empty(len(mesh.polygons), np.int32), np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slot)
    mesh.polygons.foreach_get("loop_total", total)
    return _mean_per_vertex(mesh, np.repeat(table[np.clip(slot, 0, len(table) - 1)], total, axis=0))


def material_colour(material: bpy.types.Material | None) -> np.ndarray:
    """Base colour [3], linear: what the Principled node says where nothing is plugged in, else the viewport colour if somebody set it."""
    if material is None:
        return UNKNOWN
    tree = shader_nodes(material)
    shaders = [node for node in tree.nodes if node.type == "BSDF_PRINCIPLED"] if tree else []
    plugged = [shader.inputs["Base Color"] for shader in shaders]
    for socket in plugged:
        if not socket.is_linked:
            return np.array(socket.default_value[:3], dtype=np.float64)
    viewport = np.array(material.diffuse_color[:3], dtype=np.float64)
    return UNKNOWN if plugged and np.allclose(viewport, UNTOUCHED) else viewport


def _mean_per_vertex(mesh: bpy.types.Mesh, corner_rgb: np.ndarray) -> np.ndarray:
    """Mean of the known corner colours at each vertex."""
    corner = np.empty(len(mesh.loops), dtype=np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    known = np.isfinite(corner_rgb).all(axis=1)
    count = np.bincount(corner[known], minlength=len(mesh.vertices)).astype(np.float64)
    total = [np.bincount(corner[known], weights=channel[known], minlength=len(mesh.vertices)) for channel in corner_rgb.T]
    with np.errstate(invalid="ignore"):
        return np.where(count[:, None] > 0, np.stack(total, axis=1) / count[:, None], np.nan)
