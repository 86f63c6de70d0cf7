# SPDX-License-Identifier: GPL-3.0-or-later
"""Accept is one undo step; what was accepted survives saving, reopening and appending."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from host_samples import add_cube, add_sphere, asset, deselect, diagonal, grid_sphere, placed, read, record, world

from blender_addon.host.identity import find, uid_of
from blender_addon.host.preview import BlenderPreviews
from blender_addon.host.versions import BlenderVersions
from blender_addon.ports import Asset, JobRecord
from protocol.errors import UserError

HOST = BlenderVersions()
PREVIEWS = BlenderPreviews()
STEP: dict[str, Any] = {}


class SKETCHBRIDGE_OT_test_step(bpy.types.Operator):
    bl_idname = "sketchbridge.test_step"
    bl_label = "Test Step"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: bpy.types.Context) -> set[str]:
        STEP["result"] = STEP["do"]()
        return {"FINISHED"}


@pytest.fixture(autouse=True)
def operator():
    bpy.utils.register_class(SKETCHBRIDGE_OT_test_step)
    yield
    bpy.utils.unregister_class(SKETCHBRIDGE_OT_test_step)


def step(do: Any) -> Any:
    STEP["do"] = do
    bpy.ops.sketchbridge.test_step("EXEC_DEFAULT", True)
    return STEP["result"]


def base() -> None:
    bpy.ops.ed.undo_push(message="Base")


def ball() -> bpy.types.Object:
    return bpy.data.objects["Ball"]


def same(item: bpy.types.Object, job: JobRecord, made: Asset) -> bool:
    expected = placed(job, made.arrays["vertices"])
    there = world(item)
    return there.shape == expected.shape and bool(np.abs(there - expected).max() < 1e-5 * diagonal(expected))


def test_accept_undo_redo_undo() -> None:
    add_sphere().vertex_groups.new(name="Group").add([0], 1.0, "REPLACE")
    sketch = world(ball())
    job, made = record(read()), asset()
    base()
    uid = step(lambda: HOST.accept(job, made)).uid
    assert same(ball(), job, made) and len(HOST.versions(uid)) == 2
    for _ in range(2):
        bpy.ops.ed.undo()
        assert np.array_equal(world(ball()), sketch) and HOST.versions(uid) == () and HOST.knows(uid)
        assert ball().vertex_groups[0].weight(0) == 1.0
        bpy.ops.ed.redo()
        assert same(ball(), job, made) and HOST.versions(uid)[1].current
        assert ball().data.materials[0].node_tree.nodes and ball().vertex_groups[0].name == "Group"
    step(lambda: HOST.revert(uid, 0))
    assert np.array_equal(world(ball()), sketch)
    bpy.ops.ed.undo()
    assert same(ball(), job, made)
    bpy.ops.ed.undo()
    late = record(read())
    step(lambda: HOST.accept(late, made))
    assert same(ball(), late, made) and [version.label for version in HOST.versions(uid)] == ["Sketch", "Version 1"]


def test_undo_past_the_submission_finds_the_object_again() -> None:
    add_sphere()
    base()
    step(lambda: setattr(ball(), "location", (3, 0, 0)))
    job, made = record(read()), asset()
    bpy.ops.ed.undo()
    assert HOST.knows(job.target) and find(job.target) == ball() and ball().location.x == 0
    step(lambda: HOST.accept(job, made))
    assert world(ball()).shape == made.arrays["vertices"].shape and len(HOST.versions(job.target)) == 2


def test_undo_of_a_new_object_shows_the_sources() -> None:
    first = add_sphere()
    second = add_sphere("Second")
    first.select_set(True)
    job, made = record(read(), name="Both"), asset()
    base()
    name = step(lambda: HOST.accept(job, made)).object_name
    assert bpy.data.objects["Second"].hide_get()
    bpy.ops.ed.undo()
    assert name not in bpy.data.objects and not bpy.data.objects["Second"].hide_get() and not ball().hide_render
    bpy.ops.ed.redo()
    assert same(bpy.data.objects[name], job, made) and ball().hide_get()
    assert second is not None


def test_a_preview_that_undo_took_is_not_made_again() -> None:
    add_sphere()
    job = record(read())
    vertices, faces = grid_sphere(12, 16)
    colours = np.zeros((len(vertices), 3), np.uint8)
    base()
    step(lambda: PREVIEWS.show(job))
    assert PREVIEWS.update(job.job, vertices, faces, colours, False) and ball().hide_get()
    bpy.ops.ed.undo()
    assert not PREVIEWS.update(job.job, vertices, faces, colours, True)
    assert PREVIEWS.jobs() == () and not ball().hide_get()
    bpy.ops.ed.redo()
    assert PREVIEWS.update(job.job, vertices, faces, colours, True)  # redo brought an empty one back: the faces are filled in
    assert len(bpy.data.objects[f"SketchBridge Preview {job.job[:8]}"].data.polygons) == len(faces)


def test_save_and_reopen(tmp_path: Path) -> None:
    item = add_sphere()
    item.location, item.scale = (10, 20, 30), (2, 1, 1)
    item.vertex_groups.new(name="Group").add(list(range(60)), 1.0, "REPLACE")
    bpy.context.view_layer.update()
    job, made = record(read()), asset(colour=(0, 0, 255))
    uid = HOST.accept(job, made).uid
    late, later = record(read()), asset(*grid_sphere(20, 20))
    path = str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert not HOST.knows(uid)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert same(ball(), job, made) and HOST.uids() == (uid,)
    listed = HOST.versions(uid)
    assert [(version.label, version.current) for version in listed] == [("Sketch", False), ("Version 1", True)]
    assert listed[1].prompt == "a red apple" and listed[1].job == job.job
    nodes = ball().data.materials[0].node_tree.nodes
    images = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    assert len(images) == 2 and all(image.packed_file is not None for image in images)
    blue = next(image for image in images if image.colorspace_settings.name == "sRGB")
    assert blue.pixels[:4] == pytest.approx((0, 0, 1, 1))
    assert [group.name for group in ball().vertex_groups] == ["Group"]
    assert max(entry.weight for vertex in ball().data.vertices for entry in vertex.groups) == 1
    HOST.revert(uid, 0)
    assert ball().vertex_groups[0].weight(59) == 1.0 and len(ball().data.polygons) == 12 * 9 * 2
    HOST.revert(uid, 1)
    HOST.accept(late, later)  # a result that arrives after reopening still knows where its sketch stood
    assert same(ball(), late, later)


def test_append_brings_the_versions(tmp_path: Path) -> None:
    add_sphere()
    job, made = record(read()), asset()
    uid = HOST.accept(job, made).uid
    path = str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=False) as (_, target):
        target.objects = ["Ball"]
    bpy.context.collection.objects.link(ball())
    HOST.revert(uid, 0)
    assert len(ball().data.polygons) == 12 * 9 * 2
    HOST.revert(uid, 1)
    assert same(ball(), job, made)


def test_a_version_whose_mesh_was_deleted() -> None:
    add_sphere()
    uid = HOST.accept(record(read()), asset()).uid
    mesh = ball().data
    HOST.revert(uid, 0)
    bpy.data.meshes.remove(mesh)
    with pytest.raises(UserError, match="not in this file"):
        HOST.revert(uid, 1)
    assert HOST.versions(uid)[0].current


@pytest.mark.parametrize("key", ["sketchbridge_versions", "sketchbridge_readings"])
@pytest.mark.parametrize("told", ["nonsense", "{}", '{"current": 9, "entries": []}', '[{"to_world": "x"}]', 7])
def test_properties_of_a_damaged_file_are_passed_over(key: str, told: object) -> None:
    damaged = add_sphere()
    uid_of(damaged)
    damaged[key] = told
    deselect()
    add_cube()
    HOST.accept(record(read()), asset())
    deselect()
    damaged.select_set(True)
    bpy.context.view_layer.objects.active = damaged
    assert HOST.versions(damaged["sketchbridge_uid"]) == ()
    accepted = HOST.accept(record(read()), asset())
    assert accepted.object_name == damaged.name and [version.label for version in HOST.versions(accepted.uid)] == ["Sketch", "Version 1"]
