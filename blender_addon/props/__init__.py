# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the artist sets: on objects and the scene (travels with the work), in the preferences (stays on this machine)."""

import bpy

from . import parameter, preferences, row, settings

classes = (
    parameter.SKETCHBRIDGE_PG_parameter,
    settings.SKETCHBRIDGE_PG_settings,
    row.SKETCHBRIDGE_PG_row,
    preferences.SKETCHBRIDGE_AP_preferences,
)


def register() -> None:
    for cls in classes:
        bpy.utils.register_class(cls)
    bpy.types.Object.sketchbridge = bpy.props.PointerProperty(type=settings.SKETCHBRIDGE_PG_settings)
    bpy.types.Scene.sketchbridge = bpy.props.PointerProperty(type=settings.SKETCHBRIDGE_PG_settings)
    bpy.types.WindowManager.sketchbridge_rows = bpy.props.CollectionProperty(type=row.SKETCHBRIDGE_PG_row)


def unregister() -> None:
    del bpy.types.WindowManager.sketchbridge_rows
    del bpy.types.Scene.sketchbridge
    del bpy.types.Object.sketchbridge
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
