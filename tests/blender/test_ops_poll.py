# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operator says whether it can be used, in every situation, and why not."""

from typing import Any

import bpy
import pytest
from recording_layout import why_disabled
from steps import cube, ticks

pytest_plugins = ("extension",)

OPERATORS = (
    "accept",
    "adopt_jobs",
    "connect",
    "copy_report",
    "disconnect",
    "hide_preview",
    "insert_word",
    "keep_clear",
    "keep_from_selection",
    "keep_invert",
    "open_log",
    "pause",
    "pin_version",
    "randomise_seed",
    "release_memory",
    "remove",
    "reset_parameter",
    "resume",
    "retry",
    "revert",
    "show_colours",
    "show_preview",
    "start_local_server",
    "steer",
    "stop",
    "stop_local_server",
    "submit",
)
FREE = {"connect", "insert_word", "open_log", "randomise_seed", "reset_parameter", "start_local_server"}


def asked() -> dict[str, str]:
    """Operator -> why it cannot be used, "" if it can."""
    found = {}
    for name in OPERATORS:
        operator = getattr(bpy.ops.sketchbridge, name)
        found[name] = "" if operator.poll() else why_disabled(operator)
        assert operator.poll() or found[name], f"{name} is disabled without a reason"
        assert not found[name].endswith("."), f"{name}: a reason has no full stop"
    return found


def usable() -> set[str]:
    return {name for name, reason in asked().items() if not reason}


def test_all_operators_are_here(addon):
    assert set(dir(bpy.ops.sketchbridge)) == set(OPERATORS)


def test_in_an_empty_file(addon):
    assert usable() == FREE


@pytest.mark.parametrize("mode", ["OBJECT", "EDIT", "SCULPT", "VERTEX_PAINT", "WEIGHT_PAINT", "TEXTURE_PAINT"])
def test_in_each_mode(addon, server, mode):
    cube()
    bpy.context.object.sketchbridge.prompt = "a red mug"
    bpy.ops.object.mode_set(mode=mode)
    reasons = asked()
    assert (reasons["submit"] == "") == (mode not in ("EDIT", "SCULPT"))
    assert (reasons["keep_from_selection"] == "") == (mode in ("OBJECT", "EDIT", "WEIGHT_PAINT"))
    bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize("kind", ["camera", "light", "empty", "curve", "none"])
def test_with_objects_of_other_kinds(addon, server, kind):
    if kind == "curve":
        bpy.ops.curve.primitive_bezier_curve_add()
    elif kind != "none":
        data = {"camera": bpy.data.cameras, "light": bpy.data.lights}.get(kind)
        block = data.new(kind, "POINT") if kind == "light" else data.new(kind) if data is not None else None
        item = bpy.data.objects.new(kind, block)
        bpy.context.scene.collection.objects.link(item)
        bpy.context.view_layer.objects.active = item
        item.select_set(True)
    (bpy.context.object.sketchbridge if kind == "curve" else bpy.context.scene.sketchbridge).prompt = "a red mug"
    reasons = asked()
    assert reasons["keep_from_selection"] == "Select a mesh first"
    assert (reasons["submit"] == "") == (kind in ("curve", "empty"))
    ticks(addon)


def test_with_a_linked_object(addon, server, tmp_path):
    cube("Far")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, there):
        there.objects = ["Far"]
    linked = bpy.data.objects["Far"]
    assert linked.library is not None
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    linked.select_set(True)
    ticks(addon)
    reasons = asked()
    assert reasons["keep_from_selection"] == "This mesh is linked from another file"
    assert "Prompt" in reasons["submit"]
    bpy.context.scene.sketchbridge.prompt = "a red mug"
    assert asked()["submit"] == ""


def test_with_two_users_of_one_mesh(addon, server):
    first = cube("First")
    second = bpy.data.objects.new("Second", first.data)
    bpy.context.scene.collection.objects.link(second)
    ticks(addon)
    from blender_addon.ui import shown

    assert any("shares its mesh" in line.text for line in shown.now.sketch)
    asked()


def test_what_is_still_to_be_done(addon, server):
    assert asked()["submit"] == "Type what it should become in the Prompt panel"
    bpy.context.scene.sketchbridge.prompt = "a red mug"
    assert asked()["submit"] == "Select a mesh, a curve or strokes first"
    bpy.context.scene.sketchbridge.mode = "prompt"
    assert asked()["submit"] == ""


def test_without_a_server(addon):
    cube().sketchbridge.prompt = "a red mug"
    assert asked()["submit"] == "Connect to a server first"


def with_row(name: str, row: Any) -> str:
    operator = getattr(bpy.ops.sketchbridge, name)
    with bpy.context.temp_override(sketchbridge_row=row):
        return "" if operator.poll() else why_disabled(operator)


def test_reasons_are_those_of_the_row(addon, server):
    """Two runs: one is at work, one has failed; each button answers for its own row."""
    from protocol.messages import Fault

    for _ in range(2):
        cube().sketchbridge.prompt = "a red mug"
        bpy.ops.sketchbridge.submit()
    first, second = server.submitted
    server.run(first, 40)
    server.fail(second, Fault(code="numerical", sentence="The numbers became infinite.", retryable=True))
    ticks(addon)
    rows = bpy.context.window_manager.sketchbridge_rows
    assert with_row("pause", rows[first]) == ""
    assert with_row("pause", rows[second]) != ""
    assert with_row("retry", rows[first]) != ""
    assert with_row("retry", rows[second]) == ""
    assert with_row("remove", rows[first]) != ""
    assert with_row("remove", rows[second]) == ""
    assert with_row("accept", rows[first]) != ""
