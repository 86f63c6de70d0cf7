# SPDX-License-Identifier: GPL-3.0-or-later
"""Modifiers that a sketch was read with are part of the result, and are switched off for it; each version has its own switches."""

from __future__ import annotations

import bpy

HARMLESS = frozenset(
    {
        "ARMATURE",
        "COLLISION",
        "PARTICLE_INSTANCE",
        "PARTICLE_SYSTEM",
        "UV_PROJECT",
        "UV_WARP",
        "VERTEX_WEIGHT_EDIT",
        "VERTEX_WEIGHT_MIX",
        "VERTEX_WEIGHT_PROXIMITY",
        "WEIGHTED_NORMAL",
    }
)
"""Types that do not change the shape, or move it after it is made."""

Switches = dict[str, list[bool]]
"""Modifier name -> [shown in the viewport, shown in renders]."""


def switches(item: bpy.types.Object) -> Switches:
    """How the modifiers are switched now."""
    return {modifier.name: [modifier.show_viewport, modifier.show_render] for modifier in item.modifiers}


def set_switches(item: bpy.types.Object, wanted: Switches) -> None:
    """Switch the modifiers that are named and still there."""
    for name, (viewport, render) in wanted.items():
        modifier = item.modifiers.get(name)
        if modifier is not None:
            modifier.show_viewport, modifier.show_render = viewport, render


def baked(item: bpy.types.Object, read_with: tuple[str, ...] | None) -> list[bpy.types.Modifier]:
    """Modifiers whose effect is in the sketch already: those it was read with, or all that are shown if that is not known."""
    return [
        modifier
        for modifier in item.modifiers
        if modifier.type not in HARMLESS and (modifier.show_viewport if read_with is None else modifier.name in read_with)
    ]
