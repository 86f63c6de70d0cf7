# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepting a result changes the mesh and nothing else of the object; every older state can be had back."""

import bpy
import numpy as np
import pytest
from host_samples import (
    add,
    add_cube,
    add_mesh,
    add_sphere,
    asset,
    blocks,
    deselect,
    diagonal,
    edge_use,
    grid_sphere,
    placed,
    png,
    read,
    record,
    volume,
    world,
)

from blender_addon.host import history
from blender_addon.host.preview import BlenderPreviews
from blender_addon.host.sketch import BlenderSketchReader
from blender_addon.host.versions import BlenderVersions
from blender_addon.ports import JobRecord
from protocol.errors import UserError

HOST = BlenderVersions()


def faces_of(mesh: bpy.types.Mesh) -> np.ndarray:
    return np.array([polygon.vertices[:] for polygon in mesh.polygons])


@pytest.mark.parametrize("scale", [(1, 1, 1), (0.5, 2, 1), (-0.3, -2, -1)])
def test_the_result_stands_where_the_sketch_stood(scale: tuple[float, float, float]) -> None:
    parent = add(bpy.data.objects.new("Parent", None))
    parent.location, parent.rotation_euler = (300, -20, 5), (0.3, 0.1, 1)
    item = add_sphere()
    item.parent = parent
    item.location, item.rotation_euler, item.scale = (1000, 2000, -500), (0.5, 0.2, 1.1), scale
    item["own"] = "mine"
    deselect()
    item.select_set(True)
    bpy.context.view_layer.update()
    matrix = item.matrix_world.copy()
    made, job = asset(), record(read())
    accepted = HOST.accept(job, made)
    expected = placed(job, made.arrays["vertices"])
    assert np.abs(world(item) - expected).max() < 1e-5 * diagonal(expected)
    assert item.matrix_world == matrix and item.parent == parent and item["own"] == "mine"
    assert volume(np.array([vertex.co[:] for vertex in item.data.vertices]), faces_of(item.data)) > 0
    layer = item.data.uv_layers["SketchBridge"].uv
    faces, uv = made.arrays["faces"], made.arrays["loop_uv"].reshape(-1, 3, 2)
    for number in (0, 100, len(faces) - 1):
        polygon = item.data.polygons[number]
        for corner in polygon.loop_indices:
            place = faces[number].tolist().index(item.data.loops[corner].vertex_index)
            assert layer[corner].vector[:] == pytest.approx(uv[number, place])
    assert accepted.object_name == item.name and accepted.uid == item["sketchbridge_uid"] == job.target
    assert [version.label for version in HOST.versions(accepted.uid)] == ["Sketch", "Version 1"]
    HOST.revert(accepted.uid, 0)
    back = world(item)
    assert np.abs(back - placed(job, read().arrays["vertices"])).max() < 1e-5 * diagonal(expected)


def test_the_result_follows_an_object_that_moved_meanwhile() -> None:
    item = add_sphere()
    job, made = record(read()), asset()
    item.location, item.scale = (5, 0, 0), (2, 2, 2)
    HOST.accept(job, made)
    assert world(item).mean(axis=0) == pytest.approx((5, 0, 0), abs=1e-3)
    assert np.abs(world(item)[:, 1]).max() == pytest.approx(np.abs(placed(job, made.arrays["vertices"])[:, 1]).max() * 2, rel=1e-4)


def test_versions_list_and_metadata() -> None:
    item = add_sphere()
    sketch = item.data
    job = record(read())
    uid = HOST.accept(job, asset()).uid
    second = record(read(), prompt="a blue apple", settings="")
    HOST.accept(second, asset(colour=(0, 0, 255)))
    listed = HOST.versions(uid)
    assert [(version.label, version.current) for version in listed] == [("Sketch", False), ("Version 1", False), ("Version 2", True)]
    assert (listed[1].prompt, listed[1].method, listed[1].seed, listed[1].job) == ("a red apple", "bridge", 7, job.job)
    assert listed[2].made_at > 1.7e9 and sketch.use_fake_user
    HOST.revert(uid, 1)
    assert [version.current for version in HOST.versions(uid)] == [False, True, False]
    assert item.data.materials[0].name == job.name or item.data.materials[0].name.startswith(job.name)
    HOST.revert(uid, 0)
    assert item.data == sketch
    with pytest.raises(UserError, match="no version 3"):
        HOST.revert(uid, 3)
    assert HOST.knows(uid) and not HOST.knows("0" * 32) and HOST.uids() == (uid,)
    assert HOST.versions("0" * 32) == ()


def test_the_same_job_twice_is_one_version() -> None:
    item = add_sphere()
    job, made = record(read()), asset()
    uid = HOST.accept(job, made).uid
    HOST.revert(uid, 0)
    again = HOST.accept(job, made)
    assert len(HOST.versions(uid)) == 2 and again.uid == uid and "before" in again.notes[0]
    assert len(item.data.vertices) == len(made.arrays["vertices"])


def test_uv_material_and_shading() -> None:
    item = add_sphere()
    own = bpy.data.materials.new("Own")
    item.data.materials.append(own)
    made = asset(colour=(0, 255, 0))
    HOST.accept(record(read()), made)
    mesh = item.data
    uv = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["SketchBridge"].uv.foreach_get("vector", uv)
    assert np.array_equal(uv.reshape(-1, 2), made.arrays["loop_uv"])
    assert mesh.uv_layers["SketchBridge"].active_render and mesh.polygons[0].use_smooth
    assert mesh.materials[1] == own and {polygon.material_index for polygon in mesh.polygons} == {0}
    nodes = mesh.materials[0].node_tree.nodes
    images = {node.image.colorspace_settings.name: node.image for node in nodes if node.type == "TEX_IMAGE"}
    assert set(images) == {"sRGB", "Non-Color"} and all(image.packed_file for image in images.values())
    assert images["sRGB"].pixels[:4] == pytest.approx((0, 1, 0, 1)) and images["sRGB"].size[:] == (4, 4)
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    assert shader.inputs["Base Color"].links[0].from_node.image == images["sRGB"]
    assert shader.inputs["Normal"].links[0].from_node.inputs["Color"].links[0].from_node.image == images["Non-Color"]
    assert {node.uv_map for node in nodes if hasattr(node, "uv_map")} == {"SketchBridge"}


def test_an_edited_material_is_left_alone() -> None:
    item = add_sphere()
    HOST.accept(record(read()), asset())
    HOST.accept(record(read()), asset())
    assert len(item.data.materials) == 1
    edited = item.data.materials[0]
    next(node for node in edited.node_tree.nodes if node.type == "BSDF_PRINCIPLED").inputs["Roughness"].default_value = 0.123
    HOST.accept(record(read()), asset())
    assert len(item.data.materials) == 2 and item.data.materials[1] == edited
    shader = next(node for node in edited.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert shader.inputs["Roughness"].default_value == pytest.approx(0.123)


def test_groups_attributes_and_properties_are_carried() -> None:
    item = add_mesh("Ball", *grid_sphere(40, 60, 1.0))
    height = np.array([vertex.co.z for vertex in item.data.vertices])
    for name in ("Empty", "Upper"):
        item.vertex_groups.new(name=name)
    item.vertex_groups["Upper"].add(np.flatnonzero(height > 0).tolist(), 1.0, "REPLACE")
    item.vertex_groups["Upper"].lock_weight = True
    item.vertex_groups.active_index = 1
    item.data.attributes.new("Height", "FLOAT", "POINT").data.foreach_set("value", height.astype(np.float32))
    item.data.attributes.new("Side", "INT", "POINT").data.foreach_set("value", np.sign(height).astype(np.int32))
    item.data.attributes.new("Top", "BOOLEAN", "POINT").data.foreach_set("value", height > 0)
    item.data.attributes.new("Edge Mark", "FLOAT", "EDGE")
    item.data.uv_layers.new(name="Old Map")
    item.data["shelf"] = "fruit"
    made = asset(*grid_sphere(50, 50))
    accepted = HOST.accept(record(read()), made)
    mesh = item.data
    z = made.arrays["vertices"][:, 2] / 0.8
    assert [group.name for group in item.vertex_groups] == ["Empty", "Upper"] and item.vertex_groups.active_index == 1
    assert item.vertex_groups["Upper"].lock_weight
    weights = np.array([sum(entry.weight for entry in vertex.groups if entry.group == 1) for vertex in mesh.vertices])
    assert weights[z > 0.1].min() > 0.999 and weights[z < -0.1].max() == 0
    values = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes["Height"].data.foreach_get("value", values)
    assert np.abs(values - z).max() < 0.01
    side, top = np.empty(len(z), np.int32), np.empty(len(z), bool)
    mesh.attributes["Side"].data.foreach_get("value", side)
    mesh.attributes["Top"].data.foreach_get("value", top)
    assert (side[np.abs(z) > 0.1] == np.sign(z)[np.abs(z) > 0.1]).all() and (top[np.abs(z) > 0.1] == (z > 0)[np.abs(z) > 0.1]).all()
    assert mesh["shelf"] == "fruit"
    assert set(accepted.not_carried) == {"edge attribute 'Edge Mark'", "UV map 'Old Map'"}


def test_maps_survive_where_the_topology_did() -> None:
    vertices, faces = grid_sphere(10, 12)
    item = add_mesh("Ball", vertices, faces)
    layer = item.data.uv_layers.new(name="Old Map")
    uv = np.random.default_rng(2).random(len(faces) * 6, dtype=np.float32)
    layer.uv.foreach_set("vector", uv)
    accepted = HOST.accept(record(read()), asset(vertices * 0.9, faces))
    kept = np.empty_like(uv)
    item.data.uv_layers["Old Map"].uv.foreach_get("vector", kept)
    assert np.array_equal(kept, uv) and accepted.not_carried == ()
    assert item.data.uv_layers.active.name == "SketchBridge"


def test_modifiers_are_switched_off_and_back_on() -> None:
    item = add_sphere()
    half = item.modifiers.new("Half", "MIRROR")
    soft = item.modifiers.new("Soft", "SUBSURF")
    off = item.modifiers.new("Off", "BEVEL")
    off.show_viewport = False
    job = record(read())
    later = item.modifiers.new("Later", "DECIMATE")
    accepted = HOST.accept(job, asset())
    assert (half.show_viewport, half.show_render, soft.show_viewport, soft.show_render) == (False, False, False, False)
    assert off.show_render and later.show_viewport
    assert "Half, Soft" in accepted.notes[0]
    HOST.revert(accepted.uid, 0)
    assert half.show_viewport and soft.show_render and not off.show_viewport
    HOST.revert(accepted.uid, 1)
    assert not half.show_viewport and not soft.show_render


def test_material_links_of_the_object() -> None:
    item = add_sphere()
    item.data.materials.append(None)
    own = bpy.data.materials.new("On The Object")
    item.material_slots[0].link = "OBJECT"
    item.material_slots[0].material = own
    uid = HOST.accept(record(read()), asset()).uid
    assert item.material_slots[0].link == "DATA" and item.material_slots[0].material != own and item.material_slots[1].material == own
    HOST.revert(uid, 0)
    assert item.material_slots[0].link == "OBJECT" and item.material_slots[0].material == own


def test_kept_parts_that_moved_are_told() -> None:
    item = add_mesh("Ball", *grid_sphere(20, 24))
    upper = [vertex.index for vertex in item.data.vertices if vertex.co.z > 0]
    item.vertex_groups.new(name="Keep").add(upper, 1.0, "REPLACE")
    sketch = read(keep="Keep")
    still = HOST.accept(record(sketch), asset(*grid_sphere(20, 24)))
    assert still.kept_moved is not None and still.kept_moved < 1e-5
    assert HOST.versions(still.uid)[-1].warning == ""
    HOST.revert(still.uid, 0)
    vertices, faces = grid_sphere(20, 24)
    vertices[:, 2] += np.where(vertices[:, 2] > 0.6, 0.1, 0).astype(np.float32)
    raised = HOST.accept(record(sketch), asset(vertices, faces))
    assert raised.kept_moved == pytest.approx(0.1 / diagonal(vertices), rel=0.15)
    assert "Kept parts moved" in HOST.versions(raised.uid)[-1].warning
    HOST.revert(raised.uid, 0)
    assert HOST.accept(record(read()), asset()).kept_moved is None


def test_old_versions_are_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    item = add_sphere()
    uid = HOST.accept(record(read()), asset()).uid
    HOST.pin(uid, 1, True)
    for _ in range(4):
        HOST.accept(record(read()), asset())
    labels = [version.label for version in HOST.versions(uid)]
    assert labels == ["Sketch", "Version 1", "Version 4", "Version 5"]
    assert len(bpy.data.meshes) == 4 and len(bpy.data.materials) == 3 and len(bpy.data.images) == 6
    assert [version.pinned for version in HOST.versions(uid)] == [False, True, False, False]
    monkeypatch.setattr(history, "KEPT_BYTES", 1)
    HOST.accept(record(read()), asset())
    assert [version.label for version in HOST.versions(uid)] == ["Sketch", "Version 1", "Version 6"]
    assert HOST.versions(uid)[-1].current and item.data == history.mesh_of(item, history.load(item).entries[-1])


def test_a_duplicated_object_has_versions_of_its_own() -> None:
    item = add_sphere()
    uid = HOST.accept(record(read()), asset()).uid
    bpy.ops.object.duplicate()
    copy = bpy.context.object
    sketch = read()
    assert sketch.target not in ("", uid)
    HOST.revert(sketch.target, 0)
    HOST.revert(uid, 0)
    assert copy.data != item.data and len(copy.data.vertices) == len(item.data.vertices)
    HOST.revert(sketch.target, 1)
    HOST.revert(uid, 1)
    assert copy.data != item.data and len(copy.data.polygons) == len(item.data.polygons)


def test_a_mesh_put_in_by_hand_becomes_a_version() -> None:
    item = add_sphere()
    uid = HOST.accept(record(read()), asset()).uid
    own = bpy.data.meshes.new("Own")
    item.data = own
    HOST.revert(uid, 0)
    assert [version.label for version in HOST.versions(uid)] == ["Sketch", "Version 1", "Own Mesh"]
    HOST.revert(uid, 2)
    assert item.data == own


def test_nothing_is_accepted_while_editing() -> None:
    add_sphere()
    job = record(read())
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(UserError, match="Object Mode"):
        HOST.accept(job, asset())


@pytest.mark.parametrize("order", ["preview first", "accept first"])
def test_sources_stay_hidden_after_the_preview_went(order: str) -> None:
    ball, box = add_sphere(), add_cube()
    ball.select_set(True)
    job, previews = record(read()), BlenderPreviews()
    previews.show(job)
    if order == "preview first":
        previews.remove(job.job)
    uid = HOST.accept(job, asset()).uid
    previews.remove(job.job)
    assert ball.hide_get() and box.hide_get()
    HOST.revert(uid, 0)
    assert not ball.hide_get() and not box.hide_get() and not box.hide_render


BROKEN = {
    "not finite": lambda arrays, files: arrays["vertices"].__setitem__((3, 1), np.nan),
    "infinite": lambda arrays, files: arrays["vertices"].__setitem__((3, 1), np.inf),
    "far away": lambda arrays, files: arrays["vertices"].__setitem__((3, 1), 1e30),
    "index too high": lambda arrays, files: arrays["faces"].__setitem__((0, 0), 10**6),
    "index negative": lambda arrays, files: arrays["faces"].__setitem__((0, 0), -1),
    "flat vertices": lambda arrays, files: arrays.update(vertices=arrays["vertices"].reshape(-1)),
    "float faces": lambda arrays, files: arrays.update(faces=arrays["faces"].astype(np.float32)),
    "no faces": lambda arrays, files: arrays.update(faces=arrays["faces"][:0]),
    "faces are points": lambda arrays, files: arrays.update(faces=arrays["faces"] * 0),
    "half a map": lambda arrays, files: arrays.update(loop_uv=arrays["loop_uv"][:7]),
    "map not finite": lambda arrays, files: arrays["loop_uv"].__setitem__((0, 0), np.nan),
    "no map": lambda arrays, files: arrays.pop("loop_uv"),
    "no vertices": lambda arrays, files: arrays.pop("vertices"),
    "no picture": lambda arrays, files: files.pop("base_colour.png"),
    "not a picture": lambda arrays, files: files.update({"base_colour.png": b"GIF89a" + b"\0" * 40}),
    "empty picture": lambda arrays, files: files.update({"normal.png": b""}),
    "half a picture": lambda arrays, files: files.update({"normal.png": png(1, 2, 3)[:40]}),
    "huge picture": lambda arrays, files: files.update({"normal.png": png(1, 2, 3)[:16] + b"\x7f\xff\xff\xff" * 2 + png(1, 2, 3)[24:]}),
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_broken_result_changes_nothing(fault: str) -> None:
    item = add_sphere()
    job: JobRecord = record(read())
    made = asset()
    BROKEN[fault](made.arrays, made.files)
    before, mesh, keys = blocks(), item.data, dict(item.items())
    with pytest.raises(UserError) as error:
        HOST.accept(job, made)
    assert error.value.hint and blocks() == before and item.data == mesh and dict(item.items()) == keys


def test_faces_without_area_are_dropped() -> None:
    item = add_sphere()
    made = asset()
    made.arrays["faces"][5] = 3
    accepted = HOST.accept(record(read()), made)
    assert len(item.data.polygons) == len(made.arrays["faces"]) - 1 and "1 faces" in accepted.notes[-1]
    assert edge_use(faces_of(item.data))[0] == 0


def test_a_flat_object_becomes_a_new_one() -> None:
    item = add_cube()
    item.scale.z = 0
    bpy.context.view_layer.update()
    sketch = read()
    assert sketch.target == "" and "scale of zero" in sketch.reason
    assert len(bpy.data.objects[HOST.accept(record(sketch), asset()).object_name].data.polygons)


@pytest.mark.parametrize("made_of", ["strokes", "words"])
def test_there_is_no_going_back_to_a_sketch_that_is_gone(made_of: str) -> None:
    boxes = [add_cube("A"), add_cube("B")]
    for box in boxes:
        box.select_set(True)
    job = record(read()) if made_of == "strokes" else record(BlenderSketchReader().at_cursor("Vase", 2.0), "prompt")
    accepted = HOST.accept(job, asset())
    for box in boxes:
        bpy.data.objects.remove(box)
    item = bpy.data.objects[accepted.object_name]
    with pytest.raises(UserError, match="no sketch of"):
        HOST.revert(accepted.uid, 0)
    assert not item.hide_get() and HOST.versions(accepted.uid)[1].current


def test_a_map_that_finds_no_room_is_told() -> None:
    item = add_mesh("Ball", *grid_sphere(12, 16))
    for number in range(8):
        item.data.uv_layers.new(name=f"Map {number}")
    accepted = HOST.accept(record(read()), asset())
    assert accepted.not_carried == ("UV map 'Map 7'",)
    assert [layer.name for layer in item.data.uv_layers] == ["SketchBridge", *(f"Map {number}" for number in range(7))]
