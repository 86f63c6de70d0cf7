# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Run": the one big button, and a row of its own for every run."""

import bpy
from bpy.app.translations import pgettext_iface as say

from protocol.events import Link

from ..core.lines import JobLine
from ..host.shading import missing_colours
from ..props.settings import active_settings, why_not_submit
from . import shown
from .panel import LIVE, SidebarPanel, icon_known, lines, paragraph

BUTTON = {"sketch": ("Refine Sketch", "SHADERFX"), "prompt": ("Create from Prompt", "ADD"), "texture": ("Texture Mesh", "TEXTURE")}
DETAILS_SHOWN = 6
BUTTONS_WIDTH = 44


class SKETCHBRIDGE_PT_run(SidebarPanel, bpy.types.Panel):
    bl_label = "Run"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if shown.now.link is not Link.READY:
        draw_way_out(layout)
    text, icon = BUTTON[active_settings(context).mode]
    row = layout.row()
    row.scale_y = 1.6
    row.operator("sketchbridge.submit", text=text, icon=icon)
    missing = why_not_submit(context)
    if missing and shown.now.link is Link.READY:
        paragraph(layout.column(align=True), say(missing), "INFO")
    if missing_colours(context, any(line.preview for line in shown.now.jobs)):
        layout.operator("sketchbridge.show_colours", icon="SHADING_TEXTURE")
    for line in shown.now.jobs:
        draw_job(layout.box(), context, line)
    if shown.now.earlier:
        layout.operator("sketchbridge.adopt_jobs", icon="FILE_FOLDER")


def draw_way_out(layout: bpy.types.UILayout) -> None:
    """Why nothing can be run yet, and the buttons that change it."""
    trouble = shown.now.link in (Link.LOST, Link.REFUSED) and shown.now.server
    icon, text = shown.now.headline if shown.now.link in LIVE or shown.now.local != "off" else ("UNLINKED", "Not connected")
    lines(layout, shown.now.server[:2] if trouble else (shown.ServerLine(icon, say(text)),))
    if shown.now.link in LIVE or shown.now.local == "starting":
        return
    row = layout.row(align=True)
    row.operator("sketchbridge.connect", icon="LINKED")
    if shown.now.local != "up":
        row.operator("sketchbridge.start_local_server", text="Start Server", icon="PLAY")


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
        split = layout.split(factor=0.7, align=True)
        split.prop(item, "prompt", text="")
        split.operator("sketchbridge.steer", text="Steer").job = line.job
    column = layout.column(align=True)
    column.scale_y = 0.8
    for detail in line.detail[:DETAILS_SHOWN]:
        paragraph(column, detail, "DOT")


def draw_title(layout: bpy.types.UILayout, line: JobLine) -> None:
    """What it is and, at the right, the small things: its report, its preview."""
    row = layout.row()
    column = row.column(align=True)
    paragraph(column, line.title, icon_known(line.icon), less=BUTTONS_WIDTH)
    buttons = row.row(align=True)
    buttons.alignment = "RIGHT"
    button(buttons, "report", "sketchbridge.copy_report", line, "COPYDOWN", text="")
    operator, icon = ("hide_preview", "HIDE_OFF") if line.preview else ("show_preview", "HIDE_ON")
    button(buttons, "preview", f"sketchbridge.{operator}", line, icon, text="")


def draw_buttons(layout: bpy.types.UILayout, line: JobLine) -> None:
    if "accept" in line.buttons and line.job not in shown.now.accepted:
        row = layout.row()
        row.scale_y = 1.3
        button(row, "accept", "sketchbridge.accept", line, "CHECKMARK")
    if not line.buttons & {"pause", "resume", "stop", "finish", "retry", "remove"}:
        return
    row = layout.row(align=True)
    button(row, "pause", "sketchbridge.pause", line, "PAUSE")
    button(row, "resume", "sketchbridge.resume", line, "PLAY")
    if "finish" in line.buttons:
        row.operator_menu_enum("sketchbridge.stop", "how", text="Stop", icon="SNAP_FACE").job = line.job
    elif "stop" in line.buttons:  # nothing exists yet that could be kept
        stop = row.operator("sketchbridge.stop", icon="SNAP_FACE")
        stop.job, stop.how = line.job, "discard"
    button(row, "retry", "sketchbridge.retry", line, "LOOP_BACK")
    button(row, "remove", "sketchbridge.remove", line, "X", text="Remove")


def button(layout: bpy.types.UILayout, verb: str, operator: str, line: JobLine, icon: str, text: str | None = None) -> None:
    """The operator for this run, if the verb is possible."""
    if verb in line.buttons:
        words = {} if text is None else {"text": text}
        layout.operator(operator, icon=icon, **words).job = line.job


classes = (SKETCHBRIDGE_PT_run,)
