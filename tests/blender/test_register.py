# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering is repeatable, opens nothing, and leaves nothing behind."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from steps import only_main_thread, ticks, until

import blender_addon
from blender_addon import runtime
from blender_addon.core import words
from blender_addon.props import offer

PROPERTIES = ((bpy.types.Object, "sketchbridge"), (bpy.types.Scene, "sketchbridge"), (bpy.types.WindowManager, "sketchbridge_rows"))


@pytest.fixture
def entry() -> Iterator[Any]:
    made = bpy.context.preferences.addons.new()
    made.module = "blender_addon"
    yield made
    if bpy.app.timers.is_registered(runtime.tick):
        blender_addon.unregister()
    bpy.context.preferences.addons.remove(made)


def traces() -> set[str]:
    """Everything of the extension that Blender can see."""
    found = {name for name in dir(bpy.types) if name.startswith("SKETCHBRIDGE_")}
    found |= {f"operator {name}" for name in dir(bpy.ops.sketchbridge)}
    found |= {f"property {name} of {owner.__name__}" for owner, name in PROPERTIES if hasattr(owner, name)}
    for name in dir(bpy.app.handlers):
        for handler in getattr(bpy.app.handlers, name) if isinstance(getattr(bpy.app.handlers, name), list) else ():
            if getattr(handler, "__module__", "").startswith("blender_addon"):
                found.add(f"handler {name}")
    if bpy.app.timers.is_registered(runtime.tick):
        found.add("timer")
    return found


def sockets() -> int:
    """Sockets that this process has open."""
    folder = Path("/proc/self/fd")
    return sum(os.readlink(folder / name).startswith("socket:") for name in os.listdir(folder) if (folder / name).is_symlink())


def test_twice_on_and_off_leaves_nothing(entry):
    before, open_before = traces(), sockets()
    assert not before
    seen = []
    for _ in range(2):
        blender_addon.register()
        seen.append(traces())
        blender_addon.unregister()
        assert traces() == before
    assert seen[0] == seen[1]
    assert {"timer", "handler load_pre", "handler load_post", "handler undo_post", "SKETCHBRIDGE_PT_run"} <= seen[0]
    assert sockets() == open_before


def test_a_preference_is_kept_over_off_and_on(entry):
    blender_addon.register()
    runtime.preferences().address = "127.0.0.1:7001"
    blender_addon.unregister()
    blender_addon.register()
    assert runtime.preferences().address == "tcp://127.0.0.1:7001"
    blender_addon.unregister()


def test_nothing_is_opened_before_the_user_acts(entry, tmp_path):
    blender_addon.register()
    open_before = sockets()
    ticks(runtime)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    ticks(runtime)
    assert sockets() == open_before
    assert runtime.tick() is None  # nothing to wait for: the timer ends
    blender_addon.unregister()


def test_unregister_shuts_a_connection(entry):
    """A program that takes connections and says nothing: the attempt is under way, and gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        open_before = sockets()
        blender_addon.register()
        runtime.preferences().address = f"127.0.0.1:{mute.getsockname()[1]}"
        bpy.ops.sketchbridge.connect()
        until(runtime, lambda: sockets() > open_before)
        assert bpy.app.timers.is_registered(runtime.tick)
        blender_addon.unregister()
        assert not bpy.app.timers.is_registered(runtime.tick)
        until_closed(open_before)
        only_main_thread()


def test_nothing_listening_is_named(entry):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    blender_addon.register()
    runtime.preferences().address = f"127.0.0.1:{port}"
    bpy.ops.sketchbridge.connect()
    until(runtime, lambda: runtime.session().link.link.value == "lost")
    assert runtime.session().link.kind == "nothing_listening"


def until_closed(count: int) -> None:
    """ZeroMQ's own threads close the descriptors a moment after the call."""
    end = time.monotonic() + 5
    while sockets() > count:
        assert time.monotonic() < end, "a socket stayed open"
        time.sleep(0.01)


def test_auto_connect_is_off_until_it_is_asked_for(entry):
    blender_addon.register()
    ticks(runtime)
    assert runtime.present() is None
    runtime.preferences().auto_connect = True
    blender_addon.unregister()
    blender_addon.register()
    runtime.tick()
    assert runtime.present() is not None
    assert runtime.present().link.link.value != "off"
    blender_addon.unregister()


def test_a_server_started_here_is_ended(entry, tmp_path):
    """A program that says where it listens and then waits."""
    script = tmp_path / "serve.py"
    script.write_text(
        "import sys, time\nport = sys.argv[sys.argv.index('--port') + 1]\n"
        'print(\'{"address": "tcp://127.0.0.1:%s"}\' % port, flush=True)\ntime.sleep(60)\n'
    )
    blender_addon.register()
    runtime.preferences().command = f"{sys.executable} {script}"
    bpy.ops.sketchbridge.start_local_server()
    until(runtime, lambda: runtime.local_state().state == "up")
    assert not bpy.ops.sketchbridge.start_local_server.poll()
    pid = runtime._state.local.pid
    os.kill(pid, 0)
    until(runtime, lambda: runtime.present() is not None and runtime.present().link.link.value != "off")
    blender_addon.unregister()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def test_words_are_english_again_and_offers_forgotten(entry):
    blender_addon.register()
    blender_addon.unregister()
    assert words.say(words.PROMPT_EMPTY) == words.PROMPT_EMPTY
    assert offer.welcome is None
