# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

import blf
import bpy

from protocol.events import Link

from . import shown

CLOSED = {"DEFAULT_CLOSED"}
"""`bl_options` of the panels that a first run does not need."""


LIVE = (Link.CONNECTING, Link.HANDSHAKING, Link.READY)
"""There is a connection, or soon will be."""


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
        paragraph(column, line.text, icon_known(line.icon), line.level == "error")


def paragraph(column: bpy.types.UILayout, text: str, icon: str = "NONE", alert: bool = False, less: int = 0) -> None:
    """A text in as many labels as it needs, the icon before the first. `less`: points taken by what stands beside it."""
    for number, part in enumerate(wrapped(text, less + (0 if icon == "NONE" else ICON_WIDTH))):
        row = column.row()
        row.alert = alert
        row.label(text=part, icon="BLANK1" if number and icon != "NONE" else icon, translate=False)


FONT_SIZE = 11
ICON_WIDTH = 20
BORDERS = 64
"""Of the region, the panel and a box, in points, with a margin for fonts of another width."""
NARROW = 170
"""Width of the text where no region is known, in points."""


def wrapped(text: str, less: int = 0) -> list[str]:
    """The text in lines that fit the sidebar as wide as it is now, less so many points; Blender cuts longer labels off."""
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale or 1.0
    room = (region.width / scale - BORDERS if region is not None else NARROW) - less
    blf.size(0, FONT_SIZE)
    made, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and blf.dimensions(0, longer)[0] > room:
            made.append(line)
            line = word
        else:
            line = longer
    return [*made, line] if line else made
