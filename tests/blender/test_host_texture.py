# SPDX-License-Identifier: GPL-3.0-or-later
"""Texturing gives a mesh a material and leaves everything else of it as it is."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from host_samples import add_cube, deselect, diagonal, placed, png, read, record, volume, world

from blender_addon.host.versions import BlenderVersions
from blender_addon.ports import Asset
from protocol.errors import UserError

HOST = BlenderVersions()


def state(mesh: bpy.types.Mesh) -> tuple[bytes, ...]:
    """Everything that texturing must not touch, as bytes."""
    co, corner = np.empty(len(mesh.vertices) * 3, np.float32), np.empty(len(mesh.loops), np.int32)
    start, uv = np.empty(len(mesh.polygons), np.int32), np.empty(len(mesh.loops) * 2, np.float32)
    mesh.vertices.foreach_get("co", co)
    mesh.loops.foreach_get("vertex_index", corner)
    mesh.polygons.foreach_get("loop_start", start)
    mesh.uv_layers["UVMap"].uv.foreach_get("vector", uv)
    return co.tobytes(), corner.tobytes(), start.tobytes(), uv.tobytes()


def textured(**arrays: np.ndarray) -> Asset:
    return Asset(arrays, {"base_colour.png": png(10, 20, 30)})


def test_what_is_read() -> None:
    item = add_cube()
    item.location, item.rotation_euler, item.scale = (5, 6, 7), (0.1, 0.2, 0.3), (1, 2, 3)
    item.modifiers.new("Soft", "SUBSURF")
    bpy.context.view_layer.update()
    before = state(item.data)
    found = read("texture")
    assert state(item.data) == before and found.target == item["sketchbridge_uid"]
    assert {name: (array.shape, array.dtype.name) for name, array in found.arrays.items()} == {
        "vertices": ((8, 3), "float32"),
        "corner_vertex": ((24,), "int32"),
        "polygon_start": ((6,), "int32"),
        "uv": ((24, 2), "float32"),
    }
    assert np.abs(placed(found, found.arrays["vertices"]) - world(item)).max() < 1e-5 * diagonal(world(item))
    assert "Modifiers were left out" in found.notes[0]
    item.data.uv_layers.remove(item.data.uv_layers[0])
    assert "uv" not in read("texture").arrays


def test_the_own_map_is_used() -> None:
    item = add_cube()
    item.data.uv_layers.new(name="Second")
    item.shape_key_add(name="Basis")
    old, before = item.data, state(item.data)
    group = item.vertex_groups.new(name="Group")
    group.add([0], 0.5, "REPLACE")
    accepted = HOST.accept(record(read("texture"), "texture"), textured())
    assert item.data != old and state(item.data) == before == state(old)
    assert accepted.not_carried == () and item.data.shape_keys is not None and item.vertex_groups[0].weight(0) == 0.5
    nodes = item.data.materials[0].node_tree.nodes
    assert {node.uv_map for node in nodes if hasattr(node, "uv_map")} == {"UVMap"}
    assert len(item.data.uv_layers) == 2 and len(old.materials) == 0
    HOST.revert(accepted.uid, 0)
    assert item.data == old


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_new_map_beside_the_old(mirrored: bool) -> None:
    item = add_cube()
    item.scale.x = -1 if mirrored else 1
    bpy.context.view_layer.update()
    before = state(item.data)
    sketch = read("texture")
    corners = sketch.arrays["corner_vertex"]
    quads = corners.reshape(-1, 4)
    assert volume(sketch.arrays["vertices"], np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])) > 0
    uv = np.stack([corners, np.repeat(np.arange(6), 4)], axis=1).astype(np.float32)  # says which corner it was made for
    HOST.accept(record(sketch, "texture"), textured(loop_uv=uv))
    assert state(item.data) == before
    layer = item.data.uv_layers["SketchBridge"]
    for polygon in item.data.polygons:
        for corner in polygon.loop_indices:
            assert layer.uv[corner].vector[:] == (item.data.loops[corner].vertex_index, polygon.index)


def test_material_slots_move_back() -> None:
    item = add_cube()
    own = bpy.data.materials.new("Own")
    item.data.materials.append(own)
    item.data.materials.append(None)
    item.data.polygons.foreach_set("material_index", np.array([0, 1, 0, 1, 0, 1], np.int32))
    uid = HOST.accept(record(read("texture"), "texture"), textured()).uid
    assert [material and material.name for material in item.data.materials][1:] == ["Own", None]
    assert {polygon.material_index for polygon in item.data.polygons} == {0}
    HOST.revert(uid, 0)
    assert [polygon.material_index for polygon in item.data.polygons] == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("with_map", [True, False])
def test_the_mesh_was_changed_meanwhile(with_map: bool) -> None:
    """Its own map would still be there, so a texture of other polygons could be put on it."""
    item = add_cube()
    job = record(read("texture"), "texture")
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.subdivide()
    bpy.ops.object.mode_set(mode="OBJECT")
    made = textured(loop_uv=np.zeros((24, 2), np.float32)) if with_map else textured()
    with pytest.raises(UserError, match="changed since"):
        HOST.accept(job, made)
    assert not bpy.data.images and HOST.versions(item["sketchbridge_uid"]) == ()


def test_the_map_was_removed_meanwhile() -> None:
    item = add_cube()
    job = record(read("texture"), "texture")
    item.data.uv_layers.remove(item.data.uv_layers[0])
    with pytest.raises(UserError, match="no UV map"):
        HOST.accept(job, textured())
    assert not bpy.data.images


def test_a_texture_of_the_sketch_does_not_fit_the_shape_that_replaced_it() -> None:
    from host_samples import asset

    item = add_cube()
    texture, shape = record(read("texture"), "texture"), record(read())
    uid = HOST.accept(shape, asset()).uid
    with pytest.raises(UserError, match="changed since"):
        HOST.accept(texture, textured())
    HOST.revert(uid, 0)
    HOST.accept(texture, textured())
    assert len(item.data.polygons) == 6 and [version.current for version in HOST.versions(uid)] == [False, False, True]


def test_what_was_read_for_a_sketch_is_not_forgotten_over_a_texture() -> None:
    item = add_cube()
    item.modifiers.new("Cut", "TRIANGULATE")
    shape = record(read())
    read("texture")  # at the same place, with the modifiers left out
    from host_samples import asset

    HOST.accept(shape, asset())
    assert not item.modifiers["Cut"].show_viewport


def test_which_selection() -> None:
    add_cube()
    first = bpy.context.object
    add_cube("Second")
    first.select_set(True)
    with pytest.raises(UserError, match="2 meshes"):
        read("texture")
    deselect()
    bpy.context.object.select_set(True)
    bpy.context.object.data.clear_geometry()
    with pytest.raises(UserError, match="no faces"):
        read("texture")


def linked(tmp_path: Path) -> bpy.types.Object:
    """A cube linked from another file, selected."""
    item = add_cube("Library Box")
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {item})
    bpy.data.objects.remove(item)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    with bpy.data.libraries.load(path, link=True) as (source, target):
        target.objects = source.objects
    item = bpy.data.objects["Library Box"]
    bpy.context.collection.objects.link(item)
    item.select_set(True)
    bpy.context.view_layer.objects.active = item
    return item


def test_a_linked_object_is_copied(tmp_path: Path) -> None:
    item = linked(tmp_path)
    sketch = read("texture")
    assert sketch.target == "" and "linked" in sketch.reason and sketch.sources == read("texture").sources
    accepted = HOST.accept(record(sketch, "texture"), textured())
    made = bpy.data.objects[accepted.object_name]
    assert made.library is None and made.data.library is None and made.data.materials[0] is not None
    assert len(item.data.materials) == 0 and item.hide_get()
    HOST.revert(accepted.uid, 0)
    assert made.hide_get() and not item.hide_get()


def test_a_linked_sketch_becomes_a_new_object(tmp_path: Path) -> None:
    from host_samples import asset

    linked(tmp_path)
    sketch = read()
    assert sketch.target == "" and "linked" in sketch.reason and len(sketch.sources) == 1
    accepted = HOST.accept(record(sketch), asset())
    active = bpy.context.view_layer.objects.active
    assert active.library is None and active["sketchbridge_uid"] == accepted.uid and active.select_get()
    assert bpy.data.objects[accepted.object_name].library is None
