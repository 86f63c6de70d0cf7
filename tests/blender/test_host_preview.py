# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview stands where the sketch stood, shows the newest surface, and goes without a trace."""

import bpy
import numpy as np
import pytest
from host_samples import add_cube, add_sphere, asset, blocks, diagonal, grid_sphere, placed, read, record, world

from blender_addon.host.preview import BlenderPreviews
from blender_addon.host.versions import BlenderVersions
from protocol.errors import UserError

PREVIEWS = BlenderPreviews()


def surface(rings: int = 12, size: float = 0.8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    vertices, faces = grid_sphere(rings, 16, size)
    return vertices, faces, np.full((len(vertices), 3), (255, 128, 0), np.uint8)


def shown(job: str) -> bpy.types.Object:
    return next(item for item in bpy.data.objects if item.get("sketchbridge_preview") == job)


def test_show_update_remove() -> None:
    source = add_sphere()
    source.location, source.scale = (100, 50, 3), (2, 2, 2)
    bpy.context.view_layer.update()
    job = record(read())
    before = blocks()
    PREVIEWS.show(job)
    PREVIEWS.show(job)
    item = shown(job.job)
    assert PREVIEWS.jobs() == (job.job,) and item.hide_render and item.hide_select and source.hide_get()
    vertices, faces, colours = surface()
    assert PREVIEWS.update(job.job, vertices, faces, colours, False)
    expected = placed(job, vertices)
    assert np.abs(world(item) - expected).max() < 1e-5 * diagonal(expected)
    attribute = item.data.color_attributes.active_color
    rgba = np.empty(len(vertices) * 4, np.float32)
    attribute.data.foreach_get("color_srgb", rgba)
    assert rgba.reshape(-1, 4)[0] == pytest.approx((1, 128 / 255, 0, 1), abs=1e-4)
    shader = next(node for node in item.data.materials[0].node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert shader.inputs["Base Color"].links[0].from_node.layer_name == attribute.name
    mesh, polygons = item.data, len(item.data.polygons)
    assert PREVIEWS.update(job.job, vertices * 0.5, faces, colours, True)
    assert np.abs(world(item) - placed(job, vertices * 0.5)).max() < 1e-3 and len(mesh.polygons) == polygons
    finer, more, tones = surface(24)
    assert PREVIEWS.update(job.job, finer, more, tones, False)
    assert item.data == mesh and len(mesh.polygons) == len(more) and len(mesh.materials) == 1
    assert len(mesh.color_attributes.active_color.data) == len(finer)
    PREVIEWS.remove(job.job)
    PREVIEWS.remove(job.job)
    assert blocks() == before and not source.hide_get() and PREVIEWS.jobs() == ()
    assert not PREVIEWS.update(job.job, vertices, faces, colours, False)


def test_wrong_words_about_the_topology_do_no_harm() -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    PREVIEWS.update(job.job, *surface(12), False)
    vertices, faces, colours = surface(12)
    PREVIEWS.update(job.job, vertices, faces[:, [1, 2, 0]], colours, True)
    assert shown(job.job).data.polygons[0].vertices[:] == tuple(faces[0, [1, 2, 0]])
    PREVIEWS.update(job.job, *surface(30), True)
    assert len(shown(job.job).data.vertices) == len(surface(30)[0])


def test_hidden_sources_stay_hidden_and_two_previews_share() -> None:
    ball, box = add_sphere(), add_cube()
    ball.select_set(True)
    first, second = record(read()), record(read())
    ball.hide_set(True)
    PREVIEWS.show(first)
    PREVIEWS.show(second)
    PREVIEWS.remove(first.job)
    assert box.hide_get() and ball.hide_get()
    PREVIEWS.remove(second.job)
    assert not box.hide_get() and ball.hide_get()


def test_a_removed_preview_is_not_made_again() -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    bpy.data.objects.remove(shown(job.job))
    assert not PREVIEWS.update(job.job, *surface(), False)
    assert PREVIEWS.jobs() == ()


def test_a_renamed_preview_is_found() -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    shown(job.job).name = "Other"
    assert PREVIEWS.update(job.job, *surface(), False)


@pytest.mark.parametrize("fault", ["nan", "index", "shape", "colours"])
def test_a_broken_preview_changes_nothing(fault: str) -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    PREVIEWS.update(job.job, *surface(), False)
    vertices, faces, colours = surface(20)
    before, count = blocks(), len(shown(job.job).data.vertices)
    if fault == "nan":
        vertices[0, 0] = np.nan
    elif fault == "index":
        faces[0, 0] = len(vertices)
    elif fault == "shape":
        faces = faces.reshape(-1)
    else:
        colours = colours[:-1]
    with pytest.raises(UserError):
        PREVIEWS.update(job.job, vertices, faces, colours, False)
    assert blocks() == before and len(shown(job.job).data.vertices) == count


def test_previews_are_no_sketches() -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    item = shown(job.job)
    item.hide_select = False
    item.select_set(True)
    bpy.context.view_layer.objects.active = item
    with pytest.raises(UserError, match="Nothing is selected"):
        read()


def test_a_variant_of_what_a_preview_hides_is_the_same_sketch() -> None:
    source = add_sphere()
    source.modifiers.new("Twice", "SUBSURF").levels = 1
    first = read()
    PREVIEWS.show(record(first))
    assert source.hide_get() and not source.select_get()
    again = read()
    assert again.sources == first.sources and again.target == first.target
    assert np.array_equal(again.arrays["vertices"], first.arrays["vertices"])
    assert source.hide_get()


def test_blocked_while_editing() -> None:
    add_sphere()
    assert PREVIEWS.blocked() == ""
    bpy.ops.object.mode_set(mode="EDIT")
    assert "go back to Object Mode" in PREVIEWS.blocked()
    bpy.ops.object.mode_set(mode="SCULPT")
    assert "edited" in PREVIEWS.blocked()
    bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
    assert PREVIEWS.blocked() == ""
    bpy.ops.object.mode_set(mode="OBJECT")
    assert PREVIEWS.blocked() == ""


def test_a_preview_deleted_by_hand_gives_its_sources_back() -> None:
    source = add_sphere()
    job = record(read())
    before = blocks()
    PREVIEWS.show(job)
    bpy.data.objects.remove(shown(job.job))
    assert not PREVIEWS.update(job.job, *surface(), False) and not source.hide_get()
    PREVIEWS.show(job)
    bpy.data.objects.remove(shown(job.job))
    PREVIEWS.remove(job.job)
    assert not source.hide_get() and blocks() == before


def test_accepted_sources_stay_hidden_though_the_preview_was_deleted_by_hand() -> None:
    boxes = [add_cube("A"), add_cube("B")]
    for box in boxes:
        box.select_set(True)
    job = record(read())
    PREVIEWS.show(job)
    bpy.data.objects.remove(shown(job.job))
    BlenderVersions().accept(job, asset())
    PREVIEWS.remove(job.job)
    assert all(box.hide_get() for box in boxes)


@pytest.mark.parametrize("accepts", [True, False])
def test_another_view_layer_is_looked_at_meanwhile(accepts: bool) -> None:
    source, scene = add_sphere(), bpy.context.scene
    second = scene.view_layers.new("Second")
    job = record(read())
    PREVIEWS.show(job)
    assert all(source.hide_get(view_layer=layer) for layer in scene.view_layers)
    bpy.context.window.view_layer = second
    if accepts:
        BlenderVersions().accept(job, asset())
    PREVIEWS.remove(job.job)
    assert not any(source.hide_get(view_layer=layer) for layer in scene.view_layers)


def test_another_scene_is_looked_at_meanwhile() -> None:
    source, scene = add_sphere(), bpy.context.scene
    job = record(read())
    PREVIEWS.show(job)
    bpy.context.window.scene = bpy.data.scenes.new("Other")
    PREVIEWS.remove(job.job)
    bpy.context.window.scene = scene
    assert not source.hide_get()


def test_a_copied_scene_keeps_no_copy_of_the_preview() -> None:
    add_sphere()
    job = record(read())
    PREVIEWS.show(job)
    bpy.ops.scene.new(type="FULL_COPY")
    assert len(PREVIEWS.jobs()) == 2
    PREVIEWS.remove(job.job)
    assert PREVIEWS.jobs() == () and [mesh.name for mesh in bpy.data.meshes if "Preview" in mesh.name] == []
