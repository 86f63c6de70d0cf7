# SPDX-License-Identifier: GPL-3.0-or-later
"""Hiding with the eye of the outliner, which Alt+H brings back. View layers without the object are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy


def hidden(item: bpy.types.Object) -> bool:
    """Whether the eye of the object is closed in this view layer; an object that is not part of it counts as hidden."""
    return _outside(item) or item.hide_get()


def set_hidden(item: bpy.types.Object, hide: bool) -> None:
    """Close the eye of the object in all view layers of this scene; open it in those of every scene, whichever it was closed in."""
    scenes = (bpy.context.scene,) if hide else item.users_scene
    for layer in [layer for scene in scenes for layer in scene.view_layers]:
        if any(other == item for other in layer.objects) and item.hide_get(view_layer=layer) != hide:
            item.hide_set(hide, view_layer=layer)


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
