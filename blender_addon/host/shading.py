# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether solid shading shows the colours of previews and results in a 3D view, and how it does."""

from __future__ import annotations

import bpy

from .material import MARK


def missing_colours(context: bpy.types.Context, previews: bool) -> str:
    """The `color_type` that solid shading of this view lacks; "" where colours show or there are none. `previews`: there are some."""
    space = context.space_data
    if space is None or space.type != "VIEW_3D" or space.shading.type != "SOLID":
        return ""
    active = context.view_layer.objects.active
    material = active.active_material if active is not None and active.type == "MESH" else None
    wanted = "VERTEX" if previews else "TEXTURE" if material is not None and MARK in material else ""
    return "" if wanted == space.shading.color_type else wanted


def show_colours(context: bpy.types.Context, previews: bool) -> bool:
    """Let this view show vertex colours while there are previews, else textures; False where it lacks none."""
    missing = missing_colours(context, previews)
    if missing:
        context.space_data.shading.color_type = missing
    return bool(missing)
