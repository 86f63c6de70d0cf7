# SPDX-License-Identifier: GPL-3.0-or-later
"""The keep group from what is selected, in Edit Mode and out of it; inverted, cleared, undone, sent."""

import bmesh
import bpy
import numpy as np
import pytest
from steps import cube, undo_step

pytest_plugins = ("extension",)
KEEP = "SketchBridge Keep"


def weights(item: bpy.types.Object) -> list[float]:
    group = item.vertex_groups[KEEP].index
    return [next((entry.weight for entry in vertex.groups if entry.group == group), 0.0) for vertex in item.data.vertices]


def select(item: bpy.types.Object, chosen: list[int]) -> None:
    """In Edit Mode: exactly these vertices."""
    work = bmesh.from_edit_mesh(item.data)
    for index, vertex in enumerate(work.verts):
        vertex.select = index in chosen
    bmesh.update_edit_mesh(item.data)


@pytest.mark.parametrize("stay", [True, False], ids=["in edit mode", "in object mode"])
def test_from_selection_invert_clear(addon, stay):
    item = cube()
    bpy.ops.object.mode_set(mode="EDIT")
    select(item, [0, 1, 5])
    if not stay:
        bpy.ops.object.mode_set(mode="OBJECT")
    assert bpy.ops.sketchbridge.keep_from_selection() == {"FINISHED"}
    assert item.sketchbridge.keep_group == KEEP
    bpy.ops.object.mode_set(mode="OBJECT")
    assert weights(item) == [1, 1, 0, 0, 0, 1, 0, 0]
    if stay:
        bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.sketchbridge.keep_invert()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert weights(item) == [0, 0, 1, 1, 1, 0, 1, 1]
    bpy.ops.sketchbridge.keep_clear()
    assert item.sketchbridge.keep_group == "" and KEEP not in item.vertex_groups


def test_nothing_selected_says_so(addon):
    item = cube()
    item.data.vertices.foreach_set("select", np.zeros(8, dtype=bool))
    with pytest.raises(RuntimeError, match="Select vertices in Edit Mode"):
        bpy.ops.sketchbridge.keep_from_selection()
    assert not item.vertex_groups


def test_a_group_of_the_artist_is_never_removed(addon):
    item = cube()
    item.vertex_groups.new(name="Bones").add([0, 1], 0.25, "REPLACE")
    item.sketchbridge.keep_group = "Bones"
    bpy.ops.sketchbridge.keep_clear()
    assert item.sketchbridge.keep_group == "" and "Bones" in item.vertex_groups


def test_each_is_one_undo_step(addon):
    item = cube()
    undo_step("base")
    item.data.vertices.foreach_set("select", np.arange(8) < 3)
    bpy.ops.sketchbridge.keep_from_selection("EXEC_DEFAULT", True)
    bpy.ops.sketchbridge.keep_invert("EXEC_DEFAULT", True)
    bpy.ops.ed.undo()
    assert weights(bpy.data.objects["Cube"]) == [1, 1, 1, 0, 0, 0, 0, 0]
    bpy.ops.ed.undo()
    assert not bpy.data.objects["Cube"].vertex_groups


def test_the_mask_is_sent(addon, server):
    item = cube()
    item.sketchbridge.prompt = "a red mug"
    item.data.vertices.foreach_set("select", np.arange(8) < 3)
    bpy.ops.sketchbridge.keep_from_selection()
    bpy.ops.sketchbridge.submit()
    ((_, arrays),) = server.submitted.values()
    assert arrays["keep"].sum() == 3
