# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Run": the one big button, and a row of its own for every run."""

import bpy

from protocol.events import Link

from ..core.lines import JobLine
from ..props.settings import active_settings
from . import shown
from .panel import SidebarPanel, icon_known, wrapped

BUTTON = {"sketch": ("Refine Sketch", "SHADERFX"), "prompt": ("Create from Prompt", "ADD"), "texture": ("Texture Mesh", "TEXTURE")}
DETAILS_SHOWN = 6


class SKETCHBRIDGE_PT_run(SidebarPanel, bpy.types.Panel):
    bl_label = "Run"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if shown.now.link is not Link.READY:
        row = layout.row()
        row.label(text=shown.now.headline[1], icon=shown.now.headline[0])
        row.operator("sketchbridge.connect", icon="LINKED")
    text, icon = BUTTON[active_settings(context).mode]
    row = layout.row()
    row.scale_y = 1.6
    row.operator("sketchbridge.submit", text=text, icon=icon)
    for line in shown.now.jobs:
        draw_job(layout.box(), context, line)
    if shown.now.earlier:
        layout.operator("sketchbridge.adopt_jobs", icon="FILE_FOLDER")


def draw_job(layout: bpy.types.UILayout, context: bpy.types.Context, line: JobLine) -> None:
    item = context.window_manager.sketchbridge_rows.get(line.job)
    if item is not None:
        layout.context_pointer_set("sketchbridge_row", item)
    row = layout.row()
    row.label(text=line.title, icon=icon_known(line.icon), translate=False)
    button(row, "report", "sketchbridge.copy_report", line, "COPYDOWN", text="")
    button(row, "remove", "sketchbridge.remove", line, "X", text="")
    if line.fraction is not None:
        layout.progress(factor=line.fraction, text=line.text, translate=False)
    else:
        layout.label(text=line.text, translate=False)
    small = [part for part in (line.place_text, line.eta_text) if part]
    if small:
        layout.label(text=", ".join(small), icon="TIME", translate=False)
    draw_error(layout, line)
    draw_buttons(layout, line)
    if "steer" in line.buttons and item is not None:
        row = layout.row(align=True)
        row.prop(item, "prompt", text="")
        row.operator("sketchbridge.steer", icon="CON_FOLLOWPATH").job = line.job
    column = layout.column(align=True)
    column.scale_y = 0.8
    for detail in line.detail[:DETAILS_SHOWN]:
        column.label(text=detail, icon="DOT", translate=False)


def draw_error(layout: bpy.types.UILayout, line: JobLine) -> None:
    if line.error:
        column = layout.column(align=True)
        column.alert = True
        for part in wrapped(line.error):
            column.label(text=part, translate=False)
    for part in wrapped(line.hint):
        layout.label(text=part, translate=False)


def draw_buttons(layout: bpy.types.UILayout, line: JobLine) -> None:
    if "accept" in line.buttons:
        row = layout.row()
        row.scale_y = 1.3
        button(row, "accept", "sketchbridge.accept", line, "CHECKMARK")
    row = layout.row(align=True)
    button(row, "pause", "sketchbridge.pause", line, "PAUSE")
    button(row, "resume", "sketchbridge.resume", line, "PLAY")
    if "stop" in line.buttons:
        row.operator_menu_enum("sketchbridge.stop", "how", text="Stop", icon="SNAP_FACE").job = line.job
    button(row, "retry", "sketchbridge.retry", line, "LOOP_BACK")
    button(row, "preview", "sketchbridge.show_preview", line, "HIDE_OFF")


def button(layout: bpy.types.UILayout, verb: str, operator: str, line: JobLine, icon: str, text: str | None = None) -> None:
    """The operator for this run, if the verb is possible."""
    if verb in line.buttons:
        words = {} if text is None else {"text": text}
        layout.operator(operator, icon=icon, **words).job = line.job


classes = (SKETCHBRIDGE_PT_run,)
