# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between the Blender versions 4.2 to 5.2 that the host has to know."""

from __future__ import annotations

import bpy

GREASE_PENCIL_TYPES = frozenset({"GPENCIL", "GREASEPENCIL"})
"""Object types: the old data (4.2) and the new (4.3 and later)."""

NODES_ALWAYS = (5, 0, 0)
"""From here every material has a node tree and `use_nodes` is deprecated."""


def has_drawings(frame: bpy.types.ID) -> bool:
    """Whether a Grease Pencil frame is of the new kind, whose points are attributes of a drawing."""
    return hasattr(frame, "drawing")


def shown_frame(layer: object) -> object | None:
    """The Grease Pencil frame that is visible now, None before a layer's first."""
    return layer.current_frame() if hasattr(layer, "current_frame") else layer.active_frame


def only_fills(ink: bpy.types.MaterialGPencilStyle) -> bool:
    """Whether a Grease Pencil material shows fills and no strokes; from 5.2 on that is no matter of the material."""
    return bpy.app.version < (5, 2, 0) and ink.show_fill and not ink.show_stroke


def with_nodes(material: bpy.types.Material) -> bpy.types.ShaderNodeTree:
    """The material's node tree, switched on where it can be off."""
    if bpy.app.version < NODES_ALWAYS:
        material.use_nodes = True
    return material.node_tree


def shader_nodes(material: bpy.types.Material) -> bpy.types.ShaderNodeTree | None:
    """The node tree that the renderer uses; None for a material without."""
    if bpy.app.version < NODES_ALWAYS and not material.use_nodes:
        return None
    return material.node_tree


def rendering() -> bool:
    """Whether a render job runs."""
    return bool(bpy.app.is_job_running("RENDER"))


def modal_operators(window: bpy.types.Window) -> tuple[str, ...]:
    """Identifiers of the modal operators that run in a window."""
    return tuple(operator.bl_idname for operator in window.modal_operators)
