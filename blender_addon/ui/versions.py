# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Versions": what the active object was and is."""

import bpy
from bpy.app.translations import pgettext_iface as say

from ..ports import Version
from . import shown
from .panel import SidebarPanel, paragraph

PIN_WIDTH, REVERT_WIDTH = 24, 60


class SKETCHBRIDGE_PT_versions(SidebarPanel, bpy.types.Panel):
    bl_label = "Versions"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout)


def draw(layout: bpy.types.UILayout) -> None:
    if not shown.now.versions:
        paragraph(layout.column(align=True), say("Accepted results are kept here"), "INFO")
        return
    column = layout.column(align=True)
    for index, version in enumerate(shown.now.versions):
        draw_version(column.row(align=True), index, version)


def draw_version(row: bpy.types.UILayout, index: int, version: Version) -> None:
    name = version.label if not version.prompt else f"{index}: {version.prompt}"
    marked = say("{name} (check the kept part)").format(name=name) if version.warning else name
    icon, beside = ("RADIOBUT_ON", PIN_WIDTH) if version.current else ("RADIOBUT_OFF", PIN_WIDTH + REVERT_WIDTH)
    paragraph(row.column(align=True), marked, icon, less=beside)
    buttons = row.row(align=True)
    buttons.alignment = "RIGHT"
    if not version.current:
        buttons.operator("sketchbridge.revert", text="Revert").index = index
    pinned = buttons.operator("sketchbridge.pin_version", text="", icon="PINNED" if version.pinned else "UNPINNED")
    pinned.index = index


classes = (SKETCHBRIDGE_PT_versions,)
