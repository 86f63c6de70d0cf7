# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection, and a server on this machine."""

import bpy

from protocol.events import Link

from .. import runtime
from ..core import adopt, connect, jobs
from .reporting import refuse, reporting, why_offline


class SKETCHBRIDGE_OT_connect(bpy.types.Operator):
    bl_idname = "sketchbridge.connect"
    bl_label = "Connect"
    bl_description = "Connect to the server at the address given"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = runtime.present()
        open_already = session is not None and session.link.link not in (Link.OFF, Link.LOST, Link.REFUSED)
        return refuse(cls, "The connection is open already" if open_already else "")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime.open_link()
        return {"FINISHED"}


class SKETCHBRIDGE_OT_disconnect(bpy.types.Operator):
    bl_idname = "sketchbridge.disconnect"
    bl_label = "Disconnect"
    bl_description = "Close the connection; jobs go on at the server"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = runtime.present()
        return refuse(cls, "There is no connection" if session is None or session.link.link is Link.OFF else "")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        connect.disconnect(runtime.session())
        return {"FINISHED"}


class SKETCHBRIDGE_OT_start_local_server(bpy.types.Operator):
    bl_idname = "sketchbridge.start_local_server"
    bl_label = "Start Local Server"
    bl_description = "Start a server on this machine with the command from the preferences, and connect to it"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        running = runtime.local_state().state in ("starting", "up")
        return refuse(cls, "A server started here is running already" if running else "")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime.start_local()
        return {"FINISHED"}


class SKETCHBRIDGE_OT_stop_local_server(bpy.types.Operator):
    bl_idname = "sketchbridge.stop_local_server"
    bl_label = "Stop Local Server"
    bl_description = "End the server started here; its jobs can be resumed when it is started again"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        running = runtime.local_state().state in ("starting", "up")
        return refuse(cls, "" if running else "No server was started here")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime.stop_local()
        return {"FINISHED"}


class SKETCHBRIDGE_OT_release_memory(bpy.types.Operator):
    bl_idname = "sketchbridge.release_memory"
    bl_label = "Release Memory"
    bl_description = "Let idle devices of the server give their memory back, so that rendering can have it"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return refuse(cls, why_offline())

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.release_memory(runtime.session())
        return {"FINISHED"}


class SKETCHBRIDGE_OT_adopt_jobs(bpy.types.Operator):
    bl_idname = "sketchbridge.adopt_jobs"
    bl_label = "Show Earlier Jobs"
    bl_description = "List the jobs that were started from other files on this machine"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = runtime.present()
        return refuse(cls, why_offline() or ("" if adopt.others(session) else "There are no earlier jobs"))

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        for record in adopt.others(runtime.session()):
            adopt.adopt(runtime.session(), record.job)
        return {"FINISHED"}


class SKETCHBRIDGE_OT_open_log(bpy.types.Operator):
    bl_idname = "sketchbridge.open_log"
    bl_label = "Open Log"
    bl_description = "Open the folder that holds the log of this extension"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        return bpy.ops.wm.path_open(filepath=str(runtime.folder()))


classes = (
    SKETCHBRIDGE_OT_connect,
    SKETCHBRIDGE_OT_disconnect,
    SKETCHBRIDGE_OT_start_local_server,
    SKETCHBRIDGE_OT_stop_local_server,
    SKETCHBRIDGE_OT_release_memory,
    SKETCHBRIDGE_OT_adopt_jobs,
    SKETCHBRIDGE_OT_open_log,
)
