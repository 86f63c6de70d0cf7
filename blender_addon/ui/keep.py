# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Keep": which vertices must not move."""

import bpy
from bpy.app.translations import pgettext_iface as say

from ..props.settings import active_settings
from .panel import SidebarPanel, paragraph


class SKETCHBRIDGE_PT_keep(SidebarPanel, bpy.types.Panel):
    bl_label = "Keep"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    active = context.view_layer.objects.active
    settings = active_settings(context)
    if settings.mode != "sketch":
        text = say("The whole shape is kept") if settings.mode == "texture" else say("Nothing to keep: a new object is made")
        paragraph(layout.column(align=True), text, "INFO")
        return
    if active is None or active.type != "MESH" or active.library is not None:
        paragraph(layout.column(align=True), say("Select a mesh to keep parts of it"), "INFO")
        return
    layout.prop_search(settings, "keep_group", active, "vertex_groups", text="", icon="GROUP_VERTEX")
    layout.operator("sketchbridge.keep_from_selection", icon="RESTRICT_SELECT_OFF")
    row = layout.row(align=True)
    row.operator("sketchbridge.keep_invert", text="Invert")
    row.operator("sketchbridge.keep_clear", text="Clear")


classes = (SKETCHBRIDGE_PT_keep,)
