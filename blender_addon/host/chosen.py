# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist means by "this": the selection, or the sketch that a preview stands in for."""

from __future__ import annotations

import bpy

from .identity import UID
from .preview import PREVIEW, SOURCES
from .stored import stored


def chosen_objects(view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The selected objects without previews. Reads only, fit for `draw`.

    Where nothing is selected and the active object is hidden behind a preview, the sketch of that preview: a variant of it can then be
    started without unhiding anything.
    """
    selected = [item for item in view_layer.objects.selected if not item.get(PREVIEW)]
    active = view_layer.objects.active
    if selected or active is None or not active.hide_get(view_layer=view_layer):
        return selected
    for preview in view_layer.objects:
        sources = (stored(preview, SOURCES, list[str]) or []) if preview.get(PREVIEW) else []
        if active.get(UID) in sources:
            return [item for item in view_layer.objects if item.get(UID) in sources]
    return []
