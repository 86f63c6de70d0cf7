# SPDX-License-Identifier: GPL-3.0-or-later
"""Hiding with the eye of the outliner, which Alt+H brings back. An object outside the view layer is left alone."""

from __future__ import annotations

import bpy


def hidden(item: bpy.types.Object) -> bool:
    """Whether the eye of the object is closed in this view layer; an object that is not part of it counts as hidden."""
    return _outside(item) or item.hide_get()


def set_hidden(item: bpy.types.Object, hide: bool) -> None:
    """Close or open the eye of the object."""
    if not _outside(item) and item.hide_get() != hide:
        item.hide_set(hide)


def _outside(item: bpy.types.Object) -> bool:
    return all(other != item for other in bpy.context.view_layer.objects)
