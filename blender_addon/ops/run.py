# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a run, and everything that can be asked of one."""

import platform

import bpy
from bpy.app.translations import pgettext_iface as say

from .. import runtime
from ..core import jobs
from ..core.report import report
from ..core.submit import submit
from ..host.preview import BlenderPreviews
from ..host.shading import missing_colours, show_colours
from ..props.settings import active_settings, why_not_submit
from .reporting import UNDOABLE, UNDOABLE_IN_PANEL, JobOperator, refuse, reporting, why_offline


class SKETCHBRIDGE_OT_submit(bpy.types.Operator):
    bl_idname = "sketchbridge.submit"
    bl_label = "Refine Sketch"
    bl_description = "Send the selection and the prompt to the server and watch the result grow in place"
    bl_options = UNDOABLE

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse(cls, why_offline() or why_not_submit(context))

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        chosen = active_settings(context)
        settings, session = chosen.values(), runtime.session()
        if settings.mode == "prompt":
            sketch = session.ports.reader.at_cursor(settings.prompt, chosen.size)
        else:
            sketch = session.ports.reader.read(settings.mode, settings.keep_group)
        submit(session, sketch, settings, bpy.data.filepath)
        for note in sketch.notes:
            self.report({"INFO"}, note)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_pause(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.pause"
    bl_label = "Pause"
    bl_description = "Hold this job and free its device"
    verb = "pause"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.pause(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_resume(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.resume"
    bl_label = "Resume"
    bl_description = "Let this job go on"
    verb = "resume"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.resume(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_stop(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.stop"
    bl_label = "Stop"
    bl_description = "End this job"
    verb = "stop"

    how: bpy.props.EnumProperty(
        name="How",
        description="What becomes of the job",
        items=(
            ("finish", "Keep What Exists", "Stop here and make an asset of what there is", "CHECKMARK", 0),
            ("discard", "Discard", "Stop here and keep nothing", "TRASH", 1),
        ),
    )

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.stop(runtime.session(), self.job, self.how)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_steer(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.steer"
    bl_label = "Steer"
    bl_description = "Give this job the prompt typed beside the button"
    verb = "steer"

    prompt: bpy.props.StringProperty(name="Prompt", description="What the job should become", options={"SKIP_SAVE"})

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        row = context.window_manager.sketchbridge_rows.get(self.job)
        jobs.steer(runtime.session(), self.job, self.prompt or (row.prompt if row is not None else ""))
        return {"FINISHED"}


class SKETCHBRIDGE_OT_retry(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.retry"
    bl_label = "Retry"
    bl_description = "Run it again from where it was saved last"
    verb = "retry"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.retry(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_remove(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.remove"
    bl_label = "Remove Job"
    bl_description = "Take this job off the list, with its preview and its files at the server"
    bl_options = UNDOABLE_IN_PANEL
    verb = "remove"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.remove(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_show_preview(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.show_preview"
    bl_label = "Show Preview"
    bl_description = "Show in the viewport how this job is going, and hide the sketch"
    bl_options = UNDOABLE_IN_PANEL
    verb = "preview"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.show_preview(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_hide_preview(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.hide_preview"
    bl_label = "Hide Preview"
    bl_description = "Show the sketch again; the job goes on"
    bl_options = UNDOABLE_IN_PANEL
    verb = "preview"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.hide_preview(runtime.session(), self.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_show_colours(bpy.types.Operator):
    bl_idname = "sketchbridge.show_colours"
    bl_label = "Show Colors"
    bl_description = "Show the colors of previews and results in this viewport, without leaving solid shading"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse(cls, "" if missing_colours(context, bool(BlenderPreviews().jobs())) else "This view shows all colors already")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return {"FINISHED"} if show_colours(context, bool(BlenderPreviews().jobs())) else {"CANCELLED"}


class SKETCHBRIDGE_OT_copy_report(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.copy_report"
    bl_label = "Copy Report"
    bl_description = "Copy everything that helps to find a fault, without names, keys and paths"
    verb = "report"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse(cls, "" if runtime.present() is not None else "There is nothing to report yet")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        versions = {"Blender": bpy.app.version_string, "Python": platform.python_version(), "System": platform.system()}
        context.window_manager.clipboard = report(runtime.session(), self.job, versions)
        self.report({"INFO"}, say("The report is on the clipboard"))
        return {"FINISHED"}


classes = (
    SKETCHBRIDGE_OT_submit,
    SKETCHBRIDGE_OT_pause,
    SKETCHBRIDGE_OT_resume,
    SKETCHBRIDGE_OT_stop,
    SKETCHBRIDGE_OT_steer,
    SKETCHBRIDGE_OT_retry,
    SKETCHBRIDGE_OT_remove,
    SKETCHBRIDGE_OT_show_preview,
    SKETCHBRIDGE_OT_hide_preview,
    SKETCHBRIDGE_OT_show_colours,
    SKETCHBRIDGE_OT_copy_report,
)
