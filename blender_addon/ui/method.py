# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Method": recipe, gradient, freedom and size of the result. The defaults are good enough for a first run."""

import bpy
from bpy.app.translations import pgettext_iface as say

from ..props.parameter import SKETCHBRIDGE_PG_parameter
from ..props.settings import active_settings
from .panel import CLOSED, SidebarPanel

SHOWN_AS = {"float": "value_float", "int": "value_int", "bool": "value_bool", "choice": "value_choice", "text": "value_text"}


class SKETCHBRIDGE_PT_method(SidebarPanel, bpy.types.Panel):
    bl_label = "Method"
    bl_options = CLOSED

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = active_settings(context)
    layout.use_property_split = True
    layout.use_property_decorate = False
    column = layout.column(align=True)
    column.prop(settings, "preset_menu")
    column.prop(settings, "method_menu")
    if settings.parameters:
        box = layout.box().column(align=True)
        for item in settings.parameters:
            draw_parameter(box, item)
    if settings.mode != "texture":
        layout.prop(settings, "slack", slider=True)
    column = layout.column(align=True)
    row = column.row(align=True)
    row.prop(settings, "seed")
    row.operator("sketchbridge.randomise_seed", text="", icon="FILE_REFRESH")
    column.prop(settings, "steps", text=say("Steps") if settings.steps else say("Steps (Preset)"), translate=False)
    column = layout.column(align=True)
    if settings.mode != "texture":
        column.prop(settings, "faces")
    column.prop(settings, "texture_px")
    if settings.mode != "texture":
        layout.prop(settings, "symmetric")
    layout.prop(settings, "front_deg")
    layout.prop(settings, "prior_menu")


def draw_parameter(layout: bpy.types.UILayout, item: SKETCHBRIDGE_PG_parameter) -> None:
    row = layout.row(align=True)
    row.prop(item, SHOWN_AS[item.kind], text=item.title)
    row.operator("sketchbridge.reset_parameter", text="", icon="LOOP_BACK", emboss=False).name = item.name


classes = (SKETCHBRIDGE_PT_method,)
