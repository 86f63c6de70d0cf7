# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be sent if the button were pressed now: a cheap count, no mesh is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy
from bpy.app.translations import pgettext_iface as say

from ..core.server_lines import ServerLine
from ..host.chosen import chosen_objects
from ..host.sketch import why_not_in_place
from ..props.settings import SKETCHABLE

if TYPE_CHECKING:
    from ..props.settings import SKETCHBRIDGE_PG_settings

Lines = tuple[ServerLine, ...]


def outlook(view_layer: bpy.types.ViewLayer, settings: SKETCHBRIDGE_PG_settings) -> Lines:
    """One line on what is read, one on what becomes of it."""
    if settings.mode == "prompt":
        return (ServerLine("CURSOR", say("New object at the 3D cursor")),)
    selected = chosen_objects(view_layer)
    if settings.mode == "texture":
        return _texture(view_layer, [item for item in selected if item.type == "MESH"])
    return _sketch(view_layer, [item for item in selected if item.type in SKETCHABLE])


def _sketch(view_layer: bpy.types.ViewLayer, selected: list[bpy.types.Object]) -> Lines:
    if not selected:
        return (ServerLine("INFO", say("Select a mesh, a curve or strokes")),)
    meshes = [item for item in selected if item.type == "MESH"]
    strokes = len(selected) - len(meshes)
    parts = []
    if meshes:
        parts.append(say("{count:,} triangles").format(count=sum(triangles(item, view_layer.depsgraph) for item in meshes)))
    if strokes:
        parts.append(say("1 stroke object") if strokes == 1 else say("{count} stroke objects").format(count=strokes))
    if strokes == len(selected) == 1:
        parts = [say("strokes")]
    name = selected[0].name if len(selected) == 1 else say("{count} objects").format(count=len(selected))
    return (ServerLine("OUTLINER_OB_MESH", f"{name}: {', '.join(parts)}"), _becomes(selected))


def _texture(view_layer: bpy.types.ViewLayer, meshes: list[bpy.types.Object]) -> Lines:
    if len(meshes) != 1:
        return (ServerLine("INFO", say("Select one mesh") if not meshes else say("Select only one mesh")),)
    count = triangles(meshes[0], view_layer.depsgraph)
    line = say("{name}: {count:,} triangles").format(name=meshes[0].name, count=count)
    return (ServerLine("OUTLINER_OB_MESH", line), ServerLine("TEXTURE", say("Gets a new material, keeps its shape")))


def _becomes(selected: list[bpy.types.Object]) -> ServerLine:
    """Whether the object is replaced, and if not, why."""
    if len(selected) > 1:
        return ServerLine("ADD", say("New object: several objects become one"))
    if selected[0].type != "MESH":
        return ServerLine("ADD", say("New object, the strokes stay"))
    reason = why_not_in_place(selected[0])
    if reason:
        return ServerLine("ADD", reason)
    return ServerLine("FILE_REFRESH", say("Replaces '{name}', the old mesh stays as a version").format(name=selected[0].name))


def triangles(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None) -> int:
    """Triangles of a mesh object with its modifiers, as last evaluated."""
    mesh = item.evaluated_get(depsgraph).data if depsgraph is not None else item.data
    return len(mesh.loops) - 2 * len(mesh.polygons)
