# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension, registered for one test, and a scripted server behind it."""

from collections.abc import Iterator
from typing import Any

import bpy
import pytest
from scripted_server import ScriptedServer
from steps import only_main_thread, ticks

import blender_addon


@pytest.fixture
def addon() -> Iterator[Any]:
    """The extension as enabled in the preferences; afterwards nothing of it is left."""
    entry = bpy.context.preferences.addons.new()
    entry.module = "blender_addon"
    blender_addon.register()
    from blender_addon import runtime

    yield runtime
    only_main_thread()
    blender_addon.unregister()
    if "blender_addon" in bpy.context.preferences.addons:  # a test that loads the factory settings takes it away
        bpy.context.preferences.addons.remove(bpy.context.preferences.addons["blender_addon"])
    only_main_thread()


@pytest.fixture
def server(addon: Any) -> ScriptedServer:
    """Connected and ready."""
    from blender_addon.core.connect import connect

    made = ScriptedServer()
    connect(addon.session(), made)
    ticks(addon)
    assert addon.session().ready
    return made
