# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a result, and go between the versions of an object."""

import bpy
from bpy.app.translations import pgettext_iface as say

from protocol.job import decode_job

from .. import runtime
from ..core.accept import accept, revert
from ..core.rows import Row
from ..host.identity import find
from .reporting import UNDOABLE, UNDOABLE_IN_PANEL, JobOperator, refuse, reporting


class SKETCHBRIDGE_OT_accept(JobOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.accept"
    bl_label = "Accept Result"
    bl_description = "Put the result into the scene; what was there stays as a version"
    bl_options = UNDOABLE_IN_PANEL
    verb = "accept"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        accepted = accept(runtime.session(), self.job)
        hand_down(runtime.session().rows[self.job], find(accepted.uid))
        if accepted.not_carried:
            self.report({"WARNING"}, say("Not carried over: {names}").format(names=", ".join(accepted.not_carried)))
        for note in accepted.notes:
            self.report({"INFO"}, note)
        return {"FINISHED"}


def hand_down(row: Row, item: bpy.types.Object) -> None:
    """An object that a run made starts with the settings of that run, as it was steered, so that it can be refined further."""
    if row.record is not None and not item.sketchbridge.prompt:
        item.sketchbridge.take(decode_job(row.record.settings))
        if row.state is not None and row.state.prompt:
            item.sketchbridge.prompt = row.state.prompt


class VersionOperator:
    """An operator about one version of the active object."""

    bl_options = UNDOABLE

    index: bpy.props.IntProperty(name="Version", description="Number in the list; 0 is what was drawn", min=0)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        active = context.view_layer.objects.active
        if active is None:
            return refuse(cls, "Select an object first")
        if active.mode != "OBJECT":
            return refuse(cls, "Leave the editing mode first")
        return refuse(cls, "" if active.get("sketchbridge_uid") else "This object has no versions yet")


class SKETCHBRIDGE_OT_revert(VersionOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.revert"
    bl_label = "Revert to Version"
    bl_description = "Show this version of the object again; the others stay in the list"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        revert(runtime.session(), context.view_layer.objects.active["sketchbridge_uid"], self.index)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_pin_version(VersionOperator, bpy.types.Operator):
    bl_idname = "sketchbridge.pin_version"
    bl_label = "Pin Version"
    bl_description = "Keep this version when the list grows too long, or let it go again"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        uid, versions = context.view_layer.objects.active["sketchbridge_uid"], runtime.session().ports.versions
        listed = versions.versions(uid)
        versions.pin(uid, self.index, not (self.index < len(listed) and listed[self.index].pinned))
        return {"FINISHED"}


classes = (SKETCHBRIDGE_OT_accept, SKETCHBRIDGE_OT_revert, SKETCHBRIDGE_OT_pin_version)
