# SPDX-License-Identifier: GPL-3.0-or-later
"""The real server, started by the button of the panel; the cost of a tick; the preferences."""

import sys
import time
from pathlib import Path

import bpy
import pytest
from recording_layout import RecordingLayout
from steps import cube, ticks, until

pytest_plugins = ("extension",)
PROGRAM = Path(__file__).parents[2] / ".venv" / ("Scripts" if sys.platform == "win32" else "bin") / "sketchbridge"


@pytest.mark.skipif(not PROGRAM.exists(), reason="the backend's environment .venv is not there")
def test_the_button_starts_a_server_and_connects(addon, tmp_path):
    from blender_addon.ui import shown

    addon.preferences().command = f"'{PROGRAM}' serve --data '{tmp_path}'"
    settings = cube().sketchbridge
    assert bpy.ops.sketchbridge.start_local_server() == {"FINISHED"}
    ticks(addon, 1)
    assert shown.now.headline[1] in ("Starting", "Ready")
    until(addon, lambda: addon.present() is not None and addon.present().ready, 60)
    ticks(addon)
    assert shown.now.headline[1] == "Ready" and shown.now.example
    for kind in ("preset", "method", "prior"):
        from blender_addon.props.choices import items

        offered = items(kind, getattr(settings, kind))
        assert len(offered) >= 1 and not any("not on this server" in item[1] for item in offered), kind
    settings.method_menu = "sds"
    assert settings.parameters
    bpy.ops.sketchbridge.disconnect()
    ticks(addon)
    assert shown.now.headline[1] == "Off"
    bpy.ops.sketchbridge.connect()
    bpy.ops.sketchbridge.stop_local_server()
    until(addon, lambda: addon.local_state().state == "off", 20)
    until(addon, lambda: addon.tick() is None, 5)


def test_a_command_that_does_not_exist_is_named(addon):
    addon.preferences().command = "no-such-program serve"
    with pytest.raises(RuntimeError, match="no-such-program"):
        bpy.ops.sketchbridge.start_local_server()
    assert addon.local_state().state == "off"


def test_a_server_that_ends_at_once_is_named(addon, tmp_path):
    from blender_addon.ui import shown

    script = tmp_path / "broken.py"
    script.write_text("print('The port is taken.')\nraise SystemExit(3)\n")
    addon.preferences().command = f"{sys.executable} {script}"
    bpy.ops.sketchbridge.start_local_server()
    until(addon, lambda: addon.local_state().state == "ended")
    ticks(addon)
    assert shown.now.headline[1] == "Server Ended"
    assert any("The port is taken." in line.text for line in shown.now.server)
    assert bpy.ops.sketchbridge.start_local_server.poll()


def test_a_file_that_cannot_be_opened_keeps_the_jobs_here(addon, server, tmp_path):
    cube().sketchbridge.prompt = "a red mug"
    bpy.ops.sketchbridge.submit()
    ticks(addon)
    (tmp_path / "broken.blend").write_bytes(b"not a blend file")
    with pytest.raises(RuntimeError):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "broken.blend"))
    ticks(addon)
    (row,) = addon.session().rows.values()
    assert row.here and row.preview


def test_a_tick_does_not_grow_with_the_scene(addon, server):
    """Preparing everything the panel shows of ten jobs, in a scene of ten objects and of five hundred more."""
    for _ in range(10):
        cube().sketchbridge.prompt = "a red mug"
        bpy.ops.sketchbridge.submit()
    ticks(addon)

    def fastest_s():
        times = []
        for number in range(20):
            for job in server.submitted:
                server.run(job, number)
            began = time.thread_time()
            ticks(addon, 1)
            times.append(time.thread_time() - began)
        return min(times)

    small = fastest_s()
    mesh = cube().data
    for number in range(500):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"Part {number}", mesh.copy()))
    bpy.context.view_layer.update()
    large = fastest_s()
    assert large < 3 * small


def test_an_error_in_a_tick_does_not_end_the_timer(addon, server):
    cube().sketchbridge.prompt = "a red mug"
    bpy.ops.sketchbridge.submit()
    versions = addon.session().ports.versions
    addon.session().ports.versions = None
    bpy.context.object["sketchbridge_uid"] = "1" * 32
    addon._state.drawn_at = 0.0
    assert addon.tick() is not None
    assert addon._state.failures == 1
    addon.session().ports.versions = versions
    ticks(addon)


def test_the_preferences_are_drawn(addon):
    class Drawn:
        layout = RecordingLayout()

    bpy.types.AddonPreferences.bl_rna_get_subclass_py("SKETCHBRIDGE_AP_preferences").draw(_with_layout(addon, Drawn), bpy.context)
    assert {"Address", "Connect on Start", "Server Command", "Start Local Server"} <= set(Drawn.layout.texts())


def _with_layout(addon, drawn):
    preferences = addon.preferences()
    drawn.bl_rna = preferences.bl_rna
    for name in ("address", "auto_connect", "command"):
        setattr(drawn, name, getattr(preferences, name))
    return drawn
