# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Run": the one big button, and a row of its own for every run."""

import bpy

from protocol.events import Link

from ..core.lines import JobLine
from ..props.settings import active_settings
from . import shown
from .panel import SidebarPanel, icon_known, paragraph

BUTTON = {"sketch": ("Refine Sketch", "SHADERFX"), "prompt": ("Create from Prompt", "ADD"), "texture": ("Texture Mesh", "TEXTURE")}
DETAILS_SHOWN = 6
BUTTONS_WIDTH = 66


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
    draw_title(layout, line)
    column = layout.column(align=True)
    paragraph(column, line.text)
    if line.fraction is not None:
        bar = "  ".join(part for part in (f"{line.fraction:.0%}", line.eta_text) if part)
        column.progress(factor=line.fraction, text=bar, translate=False)
    if line.error:
        paragraph(column, line.error, alert=True)
    if line.hint:
        paragraph(column, line.hint)
    draw_buttons(layout, line)
    if "steer" in line.buttons and item is not None:
        row = layout.row(align=True)
        row.prop(item, "prompt", text="")
        row.operator("sketchbridge.steer", text="Steer").job = line.job
    column = layout.column(align=True)
    column.scale_y = 0.8
    for detail in line.detail[:DETAILS_SHOWN]:
        paragraph(column, detail, "DOT")


def draw_title(layout: bpy.types.UILayout, line: JobLine) -> None:
    """What it is and, at the right, what takes it off the list."""
    row = layout.row()
    column = row.column(align=True)
    paragraph(column, line.title, icon_known(line.icon), less=BUTTONS_WIDTH)
    buttons = row.row(align=True)
    buttons.alignment = "RIGHT"
    button(buttons, "report", "sketchbridge.copy_report", line, "COPYDOWN", text="")
    button(buttons, "hide", "sketchbridge.hide_preview", line, "HIDE_OFF", text="")
    button(buttons, "preview", "sketchbridge.show_preview", line, "HIDE_ON", text="")
    button(buttons, "remove", "sketchbridge.remove", line, "X", text="")


def draw_buttons(layout: bpy.types.UILayout, line: JobLine) -> None:
    if "accept" in line.buttons:
        row = layout.row()
        row.scale_y = 1.3
        button(row, "accept", "sketchbridge.accept", line, "CHECKMARK")
    row = layout.row(align=True)
    button(row, "pause", "sketchbridge.pause", line, "PAUSE")
    button(row, "resume", "sketchbridge.resume", line, "PLAY")
    if "finish" in line.buttons:
        row.operator_menu_enum("sketchbridge.stop", "how", text="Stop", icon="SNAP_FACE").job = line.job
    elif "stop" in line.buttons:  # nothing exists yet that could be kept
        stop = row.operator("sketchbridge.stop", icon="SNAP_FACE")
        stop.job, stop.how = line.job, "discard"
    button(row, "retry", "sketchbridge.retry", line, "LOOP_BACK")


def button(layout: bpy.types.UILayout, verb: str, operator: str, line: JobLine, icon: str, text: str | None = None) -> None:
    """The operator for this run, if the verb is possible."""
    if verb in line.buttons:
        words = {} if text is None else {"text": text}
        layout.operator(operator, icon=icon, **words).job = line.job


classes = (SKETCHBRIDGE_PT_run,)
