# SPDX-License-Identifier: GPL-3.0-or-later
"""The vertex group that marks what must not move: made, inverted, cleared."""

import bmesh
import bpy
import numpy as np
from bpy.app.translations import pgettext_iface as say

from ..host.weights import read_weights, write_weights
from ..props.settings import active_settings
from .reporting import UNDOABLE, refuse, reporting

KEEP = "SketchBridge Keep"
MODES = ("OBJECT", "EDIT", "WEIGHT_PAINT")


class KeepOperator:
    """An operator about the keep group of the active mesh."""

    bl_options = UNDOABLE
    needs_group = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        item = context.view_layer.objects.active
        if item is None or item.type != "MESH":
            return refuse(cls, "Select a mesh first")
        if item.library is not None or item.data.library is not None:
            return refuse(cls, "This mesh is linked from another file")
        if item.mode not in MODES:
            return refuse(cls, "Use Object, Edit or Weight Paint Mode")
        missing = cls.needs_group and item.sketchbridge.keep_group not in item.vertex_groups
        return refuse(cls, "Choose or make a keep group first" if missing else "")


class SKETCHBRIDGE_OT_keep_from_selection(KeepOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.keep_from_selection"
    bl_label = "Make Keep Group from Selection"
    bl_description = "Keep the vertices that are selected in Edit Mode where they are"
    needs_group = False

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        item = context.view_layer.objects.active
        chosen = selected(item)
        if not chosen.any():
            self.report({"ERROR"}, say("No vertex is selected. Select vertices in Edit Mode and press it again."))
            return {"CANCELLED"}
        group = item.vertex_groups.get(KEEP) or item.vertex_groups.new(name=KEEP)
        write(item, group, chosen.astype(np.float32))
        active_settings(context).keep_group = group.name
        return {"FINISHED"}


class SKETCHBRIDGE_OT_keep_invert(KeepOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.keep_invert"
    bl_label = "Invert Keep Group"
    bl_description = "Keep what was free, and free what was kept"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        item = context.view_layer.objects.active
        group = item.vertex_groups[item.sketchbridge.keep_group]
        write(item, group, 1 - read(item, group))
        return {"FINISHED"}


class SKETCHBRIDGE_OT_keep_clear(KeepOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.keep_clear"
    bl_label = "Clear Keep Group"
    bl_description = "Keep nothing: every vertex may move again"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        item = context.view_layer.objects.active
        name = item.sketchbridge.keep_group
        if name == KEEP:
            item.vertex_groups.remove(item.vertex_groups[name])
        item.sketchbridge.keep_group = ""
        return {"FINISHED"}


def selected(item: bpy.types.Object) -> np.ndarray:
    """Which vertices are selected [V], those of the edit mesh while it is edited."""
    if item.mode == "EDIT":
        return np.array([vertex.select for vertex in bmesh.from_edit_mesh(item.data).verts], dtype=bool)
    found = np.zeros(len(item.data.vertices), dtype=bool)
    item.data.vertices.foreach_get("select", found)
    return found


def read(item: bpy.types.Object, group: bpy.types.VertexGroup) -> np.ndarray:
    """Weights of a group [V]."""
    if item.mode != "EDIT":
        return read_weights(item.data, len(item.vertex_groups))[group.index]
    work = bmesh.from_edit_mesh(item.data)
    layer = work.verts.layers.deform.verify()
    return np.array([vertex[layer].get(group.index, 0.0) for vertex in work.verts], dtype=np.float32)


def write(item: bpy.types.Object, group: bpy.types.VertexGroup, weights: np.ndarray) -> None:
    """Replace the weights of a group; a vertex of weight zero leaves it."""
    if item.mode != "EDIT":
        group.remove(range(len(item.data.vertices)))
        write_weights(group, weights)
        item.data.update()
        return
    work = bmesh.from_edit_mesh(item.data)
    layer = work.verts.layers.deform.verify()
    for vertex, weight in zip(work.verts, weights, strict=True):
        if weight > 0:
            vertex[layer][group.index] = weight
        elif group.index in vertex[layer]:
            del vertex[layer][group.index]
    bmesh.update_edit_mesh(item.data, loop_triangles=False, destructive=False)


classes = (SKETCHBRIDGE_OT_keep_from_selection, SKETCHBRIDGE_OT_keep_invert, SKETCHBRIDGE_OT_keep_clear)
