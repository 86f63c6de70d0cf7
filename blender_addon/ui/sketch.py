# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Sketch": what the run works on."""

import bpy

from ..props.settings import active_settings
from . import shown
from .panel import SidebarPanel, lines


class SKETCHBRIDGE_PT_sketch(SidebarPanel, bpy.types.Panel):
    bl_label = "Sketch"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = active_settings(context)
    layout.column(align=True).prop(settings, "mode", expand=True)
    lines(layout, shown.now.sketch)
    if settings.mode == "prompt":
        row = layout.row()
        row.use_property_split = True
        row.use_property_decorate = False
        row.prop(settings, "size")


classes = (SKETCHBRIDGE_PT_sketch,)
