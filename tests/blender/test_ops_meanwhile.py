# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist does to the scene while a run is under way, and where its result ends."""

from pathlib import Path

import bpy
import pytest
from steps import cube, ticks, undo_step

pytest_plugins = ("extension",)


def submit(runtime, **settings: object) -> str:
    """Refine the selection; the id of the job."""
    item = bpy.context.view_layer.objects.active
    for name, value in ({"prompt": "a red mug"} | settings).items():
        setattr(item.sketchbridge, name, value)
    before = set(runtime.session().rows)
    assert bpy.ops.sketchbridge.submit("EXEC_DEFAULT", True) == {"FINISHED"}
    return (set(runtime.session().rows) - before).pop()


def finish(runtime, server, job: str) -> None:
    server.run(job, 40)
    server.preview(job, 0.5)
    ticks(runtime)
    server.finish(job)
    ticks(runtime)
    assert runtime.session().rows[job].asset is not None


def test_a_duplicate_does_not_take_the_result_after_the_file_was_reopened(addon, server, tmp_path: Path) -> None:
    item = cube("Zebra")  # names decide in which order objects come back from a file
    undo_step("base")
    job = submit(addon)
    copy = item.copy()
    copy.data, copy.name = item.data.copy(), "Ape"
    bpy.context.scene.collection.objects.link(copy)
    path = str(tmp_path / "zoo.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    ticks(addon)
    finish(addon, server, job)
    assert bpy.ops.sketchbridge.accept("EXEC_DEFAULT", True, job=job) == {"FINISHED"}
    assert (len(bpy.data.objects["Zebra"].data.vertices), len(bpy.data.objects["Ape"].data.vertices)) == (4, 8)


def test_a_result_is_not_accepted_into_another_scene(addon, server) -> None:
    boxes = [cube("A"), cube("B")]
    for box in boxes:
        box.select_set(True)
    undo_step("base")
    here, there = bpy.context.scene, bpy.data.scenes.new("Other")
    job = submit(addon)
    finish(addon, server, job)
    bpy.context.window.scene = there
    with pytest.raises(RuntimeError, match=f"Switch to '{here.name}' and accept again"):
        bpy.ops.sketchbridge.accept("EXEC_DEFAULT", True, job=job)
    assert not there.objects and not boxes[0].hide_render
    bpy.context.window.scene = here
    assert bpy.ops.sketchbridge.accept("EXEC_DEFAULT", True, job=job) == {"FINISHED"}
