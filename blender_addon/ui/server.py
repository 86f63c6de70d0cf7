# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Server": the state in the header, so that it can stay closed."""

import bpy

from protocol.events import Link

from ..props.preferences import preferences
from . import shown
from .panel import CLOSED, LIVE, SidebarPanel, lines


class SKETCHBRIDGE_PT_server(SidebarPanel, bpy.types.Panel):
    bl_label = "Server"
    bl_options = CLOSED

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        draw_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout)


def draw_header(layout: bpy.types.UILayout) -> None:
    icon, text = shown.now.headline
    row = layout.row()
    row.alert = shown.now.link in (Link.LOST, Link.REFUSED)
    row.label(text=text, icon=icon)


def draw(layout: bpy.types.UILayout) -> None:
    lines(layout, shown.now.server)
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(preferences(), "address")
    row = layout.row(align=True)
    if shown.now.link in LIVE:
        row.operator("sketchbridge.disconnect", icon="UNLINKED")
    else:
        row.operator("sketchbridge.connect", icon="LINKED")
    if shown.now.local in ("starting", "up"):
        row.operator("sketchbridge.stop_local_server", text="Stop Server", icon="CANCEL")
    elif shown.now.link not in LIVE:
        row.operator("sketchbridge.start_local_server", text="Start Server", icon="PLAY")
    if shown.now.link is Link.READY:
        layout.operator("sketchbridge.release_memory", icon="MEMORY")
    layout.operator("sketchbridge.open_log", icon="TEXT")


classes = (SKETCHBRIDGE_PT_server,)
