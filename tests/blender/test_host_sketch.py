# SPDX-License-Identifier: GPL-3.0-or-later
"""The selection becomes one sketch in the domain, and the matrix takes it back to where it stood."""

import math

import bpy
import numpy as np
import pytest
from host_samples import add, add_cube, add_mesh, add_sphere, deselect, diagonal, edge_use, placed, read, volume, world

from blender_addon.host import gathering, sketch
from blender_addon.host.identity import find, uid_of
from blender_addon.host.sketch import BlenderSketchReader
from protocol.errors import UserError


def stood(item: bpy.types.Object) -> np.ndarray:
    """World positions of the evaluated mesh."""
    evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    matrix = np.array(item.matrix_world, dtype=np.float64)
    return np.array([vertex.co[:] for vertex in mesh.vertices], dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize("scale", [(1, 1, 1), (0.5, 2, 1), (-1, 1, 1), (-0.3, -2, 1)])
def test_round_trip_far_from_the_origin(scale: tuple[float, float, float]) -> None:
    parent = add(bpy.data.objects.new("Parent", None))
    parent.location, parent.rotation_euler = (300, -20, 5), (0.3, 0.1, 1)
    item = add_sphere()
    item.parent = parent
    item.location, item.rotation_euler, item.scale = (1000, 2000, -500), (0.5, 0.2, 1.1), scale
    item.modifiers.new("Smooth", "SUBSURF")
    deselect()
    item.select_set(True)
    bpy.context.view_layer.update()
    found = read()
    vertices = found.arrays["vertices"]
    there = stood(item)
    assert np.abs(placed(found, vertices) - there).max() < 1e-5 * diagonal(there)
    assert (vertices.max(axis=0) - vertices.min(axis=0)).max() == pytest.approx(1.6, abs=1e-5)
    assert np.abs(vertices.max(axis=0) + vertices.min(axis=0)).max() < 1e-5
    assert volume(vertices, found.arrays["faces"]) > 0
    assert edge_use(found.arrays["faces"]) == (0, 0)
    assert vertices.dtype == np.float32 and found.arrays["faces"].dtype == np.int32
    assert found.target == item["sketchbridge_uid"] and found.sources == (found.target,)


def test_several_objects_become_one() -> None:
    ball, box = add_sphere(), add_cube()
    box.location = (4, 0, 0)
    text = bpy.data.curves.new("Text", "FONT")
    text.body, text.extrude = "A", 0.1
    letter = add(bpy.data.objects.new("Letter", text))
    light = add(bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN")))
    for item in (ball, box, letter, light):
        item.select_set(True)
    bpy.context.view_layer.objects.active = box
    found = read()
    assert found.target == "" and len(found.sources) == 3 and found.sources[0] == box["sketchbridge_uid"]
    assert "Sun" in found.notes[0]
    deselect()
    letter.select_set(True)
    assert len(found.arrays["faces"]) == len(ball.data.polygons) + 12 + len(read().arrays["faces"])
    assert found.arrays["vertices"][:, 0].min() == pytest.approx(-0.8, abs=1e-5)


def test_metaballs_and_surfaces() -> None:
    meta = bpy.data.metaballs.new("Meta")
    meta.elements.new()
    add(bpy.data.objects.new("Meta", meta))
    assert volume(read().arrays["vertices"], read().arrays["faces"]) > 0.5
    deselect()
    bpy.ops.surface.primitive_nurbs_surface_sphere_add()
    assert len(read().arrays["faces"]) > 50


def test_polygons_are_cut_and_loose_points_left_out() -> None:
    ring = [(math.cos(angle), math.sin(angle), 0) for angle in np.linspace(0, 2 * math.pi, 8, endpoint=False)]
    add_mesh("Octagon", [*ring, (90, 90, 90)], [range(8)])
    found = read()
    assert found.arrays["faces"].shape == (6, 3) and len(found.arrays["vertices"]) == 8


def test_instances_of_a_collection() -> None:
    box = add_cube()
    group = bpy.data.collections.new("Group")
    group.objects.link(box)
    deselect()
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", group
    add(empty).location = (10, 0, 0)
    found = read()
    assert found.arrays["faces"].shape == (12, 3)
    assert placed(found, found.arrays["vertices"])[:, 0].min() == pytest.approx(9, abs=1e-5)


def test_instances_of_geometry_nodes() -> None:
    item = add_cube()
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeInstanceOnPoints", "GeometryNodeMeshCube", "NodeGroupOutput")
    start, spread, box, end = (tree.nodes.new(kind) for kind in kinds)
    tree.links.new(start.outputs[0], spread.inputs["Points"])
    tree.links.new(box.outputs["Mesh"], spread.inputs["Instance"])
    tree.links.new(spread.outputs["Instances"], end.inputs[0])
    item.modifiers.new("Scatter", "NODES").node_group = tree
    assert read().arrays["faces"].shape == (8 * 12, 3)


def test_colours_of_attribute_and_materials() -> None:
    item = add_cube()
    item.data.polygons.foreach_set("material_index", np.array([0, 0, 0, 1, 1, 1], np.int32))
    red, plain = bpy.data.materials.new("Red"), bpy.data.materials.new("Plain")
    if bpy.app.version < (5, 0, 0):
        red.use_nodes = True
    red.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.7, 0.1, 0.2, 1)
    item.data.materials.append(red)
    item.data.materials.append(None)
    colours = read().arrays["colours"]
    assert np.isfinite(colours).all()  # every corner of a cube touches the red half
    assert colours[0] == pytest.approx((0.7, 0.1, 0.2), abs=1e-5)
    item.data.materials.clear()
    assert "colours" not in read().arrays
    item.data.materials.append(plain)
    plain.diffuse_color = (0.1, 0.2, 0.3, 1)
    if bpy.app.version < (5, 0, 0):
        assert read().arrays["colours"][3] == pytest.approx((0.1, 0.2, 0.3), abs=1e-5)
    layer = item.data.color_attributes.new("Paint", "BYTE_COLOR", "CORNER")
    layer.data.foreach_set("color_srgb", np.tile(np.array([1, 0.5, 0, 1], np.float32), 24))
    item.data.color_attributes.active_color = layer
    assert read().arrays["colours"][5] == pytest.approx((1, 0.214, 0), abs=3e-3)


def test_a_textured_material_says_no_colour() -> None:
    item = add_cube()
    material = bpy.data.materials.new("Wood")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    image = tree.nodes.new("ShaderNodeTexImage")
    tree.links.new(image.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    item.data.materials.append(material)
    assert "colours" not in read().arrays


def test_keep_group_follows_the_modifiers() -> None:
    item = add_sphere()
    upper = [vertex.index for vertex in item.data.vertices if vertex.co.z > 0.3]
    item.vertex_groups.new(name="Other").add([0], 1.0, "REPLACE")
    item.vertex_groups.new(name="Keep").add(upper, 1.0, "REPLACE")
    assert int((read(keep="Keep").arrays["keep"] == 1).sum()) == len(upper)
    item.modifiers.new("More", "SUBSURF").levels = 1
    found = read(keep="Keep")
    keep, height = found.arrays["keep"], found.arrays["vertices"][:, 2]
    assert keep.dtype == np.float32 and len(keep) == len(height) > len(item.data.vertices)
    assert keep[height > 0.5].min() == 1 and keep[height < -0.1].max() == 0
    assert "keep" not in read().arrays
    with pytest.raises(UserError, match="Missing"):
        read(keep="Missing")


def test_keep_attribute() -> None:
    item = add_cube()
    layer = item.data.attributes.new("SketchBridge Keep", "FLOAT", "POINT")
    layer.data.foreach_set("value", np.linspace(0, 2, 8, dtype=np.float32))
    assert read(keep="SketchBridge Keep").arrays["keep"].max() == 1


def test_where_the_result_goes() -> None:
    item = add_cube()
    twin = bpy.data.objects.new("Twin", item.data)
    bpy.context.collection.objects.link(twin)
    assert read().target == "" and "shares its mesh" in read().reason
    bpy.data.objects.remove(twin)
    assert read().target and not read().reason
    item.data.use_fake_user = True
    assert read().target
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.collection.objects.link(rig)
    item.modifiers.new("Rig", "ARMATURE").object = rig
    assert read().target == "" and "armature" in read().reason
    item.modifiers.clear()
    item.shape_key_add(name="Basis")
    assert read().target == "" and "shape keys" in read().reason


def test_a_duplicate_gets_its_own_uid() -> None:
    item = add_cube()
    first = uid_of(item)
    copy = item.copy()
    copy.data = item.data.copy()
    bpy.context.collection.objects.link(copy)
    assert copy["sketchbridge_uid"] == first
    assert uid_of(copy) != first and uid_of(item) == first and find(first) == item


def test_at_the_cursor() -> None:
    cursor = bpy.context.scene.cursor
    cursor.location, cursor.rotation_euler = (1, 2, 3), (math.pi / 2, 0, 0.5)  # as a click in the front view turns it
    found = BlenderSketchReader().at_cursor("Vase", 2.0)
    assert found.arrays == {} and found.sources == () and found.target == ""
    corners = placed(found, np.array([[-0.8, -0.8, -0.8], [0.8, 0.8, 0.8]]))
    assert corners[0] == pytest.approx((0, 1, 3), abs=1e-5) and corners[1] == pytest.approx((2, 3, 5), abs=1e-5)
    with pytest.raises(UserError, match="size"):
        BlenderSketchReader().at_cursor("Vase", 0.0)


def test_what_cannot_be_read() -> None:
    with pytest.raises(UserError, match="Nothing is selected"):
        read()
    add(bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera")))
    with pytest.raises(UserError, match="without a shape"):
        read()
    wire = bpy.data.meshes.new("Wire")
    wire.from_pydata([(0, 0, 0), (1, 0, 0)], [(0, 1)], [])
    add(bpy.data.objects.new("Wire", wire))
    with pytest.raises(UserError, match="no faces"):
        read()
    deselect()
    item = add_cube()
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(UserError, match="Tab"):
        read()
    bpy.ops.object.mode_set(mode="OBJECT")
    item.data.vertices[0].co.x = math.nan
    with pytest.raises(UserError, match="not numbers"):
        read()


def test_too_many_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    add_cube()
    monkeypatch.setattr(sketch, "FACES", 11)
    with pytest.raises(UserError, match="12 triangles"):
        read()


def test_reading_changes_no_geometry() -> None:
    item = add_sphere()
    before = world(item)
    read()
    assert np.array_equal(world(item), before) and len(bpy.data.meshes) == 1


def test_thinnest_is_thinner_than_a_curve() -> None:
    assert gathering.THINNEST < gathering.CURVE_RADIUS
