# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

import bpy

from . import shown

CLOSED = {"DEFAULT_CLOSED"}
"""`bl_options` of the panels that a first run does not need."""


class SidebarPanel:
    """A panel of the SketchBridge tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "SketchBridge"


def icon_known(name: str) -> str:
    """The icon's name if this Blender has it, else a blank of the same width."""
    return name if name in ICONS else "BLANK1"


ICONS = frozenset(bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items.keys())


def lines(layout: bpy.types.UILayout, written: tuple[shown.ServerLine, ...]) -> None:
    """Lines under each other, errors marked."""
    column = layout.column(align=True)
    for line in written:
        for number, part in enumerate(wrapped(line.text)):
            row = column.row()
            row.alert = line.level == "error"
            row.label(text=part, icon="BLANK1" if number else icon_known(line.icon), translate=False)


def wrapped(text: str, width: int = 40) -> list[str]:
    """The text in lines that fit a sidebar; Blender cuts longer ones off."""
    made, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            made.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*made, line] if line else made
