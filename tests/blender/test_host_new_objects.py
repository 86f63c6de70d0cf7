# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that become objects of their own: of several sources, of strokes, of a shared mesh, at the cursor."""

from dataclasses import replace

import bpy
import numpy as np
import pytest
from host_samples import (
    add_cube,
    add_sphere,
    asset,
    diagonal,
    grid_sphere,
    placed,
    read,
    record,
    world,
)

from blender_addon.host.sketch import BlenderSketchReader
from blender_addon.host.versions import BlenderVersions

HOST = BlenderVersions()


def test_several_sources_become_a_new_object() -> None:
    house = bpy.data.collections.new("House")
    bpy.context.scene.collection.children.link(house)
    ball, box = add_sphere(), add_cube()
    house.objects.link(box)
    bpy.context.scene.collection.objects.unlink(box)
    box.location, box.rotation_euler = (3, 0, 0), (0, 0, 1)
    ball.select_set(True)
    ball.hide_render = True
    bpy.context.view_layer.objects.active = box
    job, made = record(read(), name="Result"), asset()
    accepted = HOST.accept(job, made)
    item = bpy.data.objects[accepted.object_name]
    assert item.location[:] == pytest.approx((3, 0, 0)) and item.scale[:] == (1, 1, 1) and item.rotation_euler[:] == (0, 0, 0)
    assert item.users_collection[0] == house and bpy.context.view_layer.objects.active == item
    assert np.abs(world(item) - placed(job, made.arrays["vertices"])).max() < 1e-5 * diagonal(world(item))
    assert ball.hide_get() and box.hide_get() and box.hide_render
    HOST.revert(accepted.uid, 0)
    assert item.hide_get() and item.hide_render and not box.hide_get() and not box.hide_render and ball.hide_render
    HOST.revert(accepted.uid, 1)
    assert not item.hide_get() and not item.hide_render and box.hide_get()
    item.location.x += 2
    second = replace(job, job="b" * 32)
    assert HOST.accept(second, made).uid == accepted.uid
    assert len(HOST.versions(accepted.uid)) == 3
    assert world(item) - placed(job, made.arrays["vertices"]) == pytest.approx(np.tile([2, 0, 0], (len(world(item)), 1)), abs=1e-5)


def test_a_shared_mesh_is_left_to_the_others() -> None:
    item = add_sphere()
    item.vertex_groups.new(name="Bone").add([0, 1, 2], 1.0, "REPLACE")
    twin = bpy.data.objects.new("Twin", item.data)
    bpy.context.collection.objects.link(twin)
    mesh = item.data
    accepted = HOST.accept(record(read()), asset())
    made = bpy.data.objects[accepted.object_name]
    assert made not in (item, twin) and item.data == twin.data == mesh and item.hide_get() and not twin.hide_get()
    assert [group.name for group in made.vertex_groups] == ["Bone"]


def test_a_mesh_that_became_shared_after_submitting() -> None:
    item = add_sphere()
    job = record(read())
    twin = bpy.data.objects.new("Twin", item.data)
    bpy.context.collection.objects.link(twin)
    accepted = HOST.accept(job, asset())
    assert accepted.object_name not in (item.name, "Twin") and "shares its mesh" in accepted.notes[0]


def test_the_target_is_gone() -> None:
    item = add_sphere()
    job = record(read())
    bpy.data.objects.remove(item)
    accepted = HOST.accept(job, asset())
    assert accepted.object_name in bpy.data.objects and "gone" in accepted.notes[0]


def test_an_asset_at_the_cursor() -> None:
    bpy.context.scene.cursor.location, bpy.context.scene.cursor.rotation_euler = (1, 2, 3), (1.5, 0, 0.5)
    made = asset()
    job = record(BlenderSketchReader().at_cursor("Vase", 3.2), "prompt")
    item = bpy.data.objects[HOST.accept(job, made).object_name]
    assert item.name == "Vase" and item.scale[:] == pytest.approx((1, 1, 1)) and item.rotation_euler[:] == pytest.approx((0, 0, 0))
    assert item.location[:] == pytest.approx((1, 2, 3), abs=1e-5)  # the sphere fills the domain: its foot is on the cursor
    assert np.abs(world(item) - placed(job, made.arrays["vertices"])).max() < 1e-5 * 5
    assert world(item)[:, 2].min() == pytest.approx(3, abs=1e-4)


def test_an_asset_from_words_stands_on_the_cursor_wherever_it_grew() -> None:
    vertices, faces = grid_sphere(12, 16, 0.3)
    bpy.context.scene.cursor.location = (1, 2, 3)
    job = record(BlenderSketchReader().at_cursor("Vase", 3.2), "prompt")
    item = bpy.data.objects[HOST.accept(job, asset(vertices + np.float32([0.2, 0.1, 0.4]), faces)).object_name]
    assert item.location[:] == pytest.approx((1, 2, 3), abs=1e-5)
    low, high = world(item).min(axis=0), world(item).max(axis=0)
    assert [*((low + high)[:2] / 2), low[2]] == pytest.approx((1, 2, 3), abs=1e-4)
