# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to this machine: where the server is and how to start one. Nothing secret, nothing in the .blend."""

import bpy

from protocol.errors import UserError
from protocol.version import DEFAULT_PORT

from ..core.connect import normalise_address
from ..link.local_server import DEFAULT_COMMAND

ROOT = __package__.rpartition(".")[0]
"""Name of the extension's package: the key of its preferences and of its translations."""


def _address_changed(self: "SKETCHBRIDGE_AP_preferences", context: bpy.types.Context) -> None:
    """Show the full address back; what cannot be read stays as typed, and connecting says what is wrong."""
    try:
        full = normalise_address(self.address)
    except UserError:
        return
    if full != self.address:
        self.address = full


class SKETCHBRIDGE_AP_preferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = ROOT

    address: bpy.props.StringProperty(
        name="Address",
        description="Where the server listens: a host, a host with a port, or a full address",
        default=f"tcp://127.0.0.1:{DEFAULT_PORT}",
        update=_address_changed,
    )
    auto_connect: bpy.props.BoolProperty(name="Connect on Start", description="Connect to the server when Blender starts", default=False)
    command: bpy.props.StringProperty(
        name="Server Command", description="Command that starts a server on this machine", default=DEFAULT_COMMAND
    )

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "address")
        column.prop(self, "auto_connect")
        column.separator()
        column.prop(self, "command")
        row = self.layout.row()
        row.operator("sketchbridge.start_local_server")
        row.operator("sketchbridge.stop_local_server")
        row.operator("sketchbridge.open_log")


def preferences() -> SKETCHBRIDGE_AP_preferences:
    """The preferences. Errors: UserError where the extension is registered without being enabled."""
    entry = bpy.context.preferences.addons.get(ROOT)
    if entry is None or entry.preferences is None:
        raise UserError("SketchBridge is not enabled in this Blender.", "Enable it in Preferences, Add-ons.")
    return entry.preferences
