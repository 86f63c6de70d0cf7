# SPDX-License-Identifier: GPL-3.0-or-later
"""Hiding with the eye of the outliner, which Alt+H brings back. An object outside the view layer is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy


def hidden(item: bpy.types.Object) -> bool:
    """Whether the eye of the object is closed in this view layer; an object that is not part of it counts as hidden."""
    return _outside(item) or item.hide_get()


def set_hidden(item: bpy.types.Object, hide: bool) -> None:
    """Close or open the eye of the object."""
    if not _outside(item) and item.hide_get() != hide:
        item.hide_set(hide)


@contextmanager
def shown(items: list[bpy.types.Object]) -> Iterator[None]:
    """With the eyes of the objects open, since Blender evaluates no modifiers of what is hidden; afterwards they are as they were."""
    closed = [item for item in items if not _outside(item) and item.hide_get()]
    for item in closed:
        item.hide_set(False)
    bpy.context.view_layer.update()
    try:
        yield
    finally:
        for item in closed:
            item.hide_set(True)


def _outside(item: bpy.types.Object) -> bool:
    return all(other != item for other in bpy.context.view_layer.objects)
