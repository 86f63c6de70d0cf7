# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operators share: errors become reports, reasons become poll messages."""

import functools
from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as say

from protocol.errors import SketchBridgeError

from .. import runtime
from ..core import jobs

UNDOABLE = {"REGISTER", "UNDO"}
UNDOABLE_IN_PANEL = {"UNDO", "INTERNAL"}
IN_PANEL = {"INTERNAL"}
"""`bl_options`. What stands in a row of the panel makes no sense in the search menu: INTERNAL keeps it out."""

CONNECT_FIRST = "Connect to a server first"
NO_JOB = "There is no job yet"


def reporting(execute: Callable[[Any, bpy.types.Context], set[str]]) -> Callable[[Any, bpy.types.Context], set[str]]:
    """`execute` with errors meant for a person reported in their own words. The panel is prepared anew afterwards."""

    @functools.wraps(execute)
    def wrapped(self: Any, context: bpy.types.Context) -> set[str]:
        try:
            return execute(self, context)
        except SketchBridgeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            runtime.wake()

    return wrapped


def refuse(cls: Any, reason: str) -> bool:
    """False with the reason, translated, shown under the button; True where there is none."""
    if reason:
        cls.poll_message_set(say(reason).removesuffix("."))
    return not reason


def why_offline() -> str:
    """Why nothing can be asked of a server now; "" while the connection is ready."""
    session = runtime.present()
    return "" if session is not None and session.ready else CONNECT_FIRST


class JobOperator:
    """An operator about one job: the one named by `job`, or the one whose row the button stands in."""

    bl_options = IN_PANEL
    verb = ""

    job: bpy.props.StringProperty(name="Job", description="Which job", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        session = runtime.present()
        if session is None or not session.rows:
            return refuse(cls, NO_JOB)
        row = getattr(context, "sketchbridge_row", None)
        return row is None or refuse(cls, jobs.why_not(session, row.name, cls.verb))
