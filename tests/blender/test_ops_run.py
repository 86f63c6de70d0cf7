# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole path with a scripted server: submit, watch, pause, steer, accept, undo, redo, load, at each of them a late result."""

from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from scripted_server import ScriptedServer, png
from steps import cube, snapshot, ticks, undo_step

from protocol.messages import Fault

pytest_plugins = ("extension",)


def submit() -> str:
    """Press the big button with the undo flag, as a click does."""
    from blender_addon import runtime

    before = set(runtime.session().rows)
    assert bpy.ops.sketchbridge.submit("EXEC_DEFAULT", True) == {"FINISHED"}
    return (set(runtime.session().rows) - before).pop()


def press(name: str, **properties: Any) -> None:
    assert getattr(bpy.ops.sketchbridge, name)("EXEC_DEFAULT", True, **properties) == {"FINISHED"}


def preview_of(job: str) -> bpy.types.Object | None:
    return next((item for item in bpy.data.objects if item.get("sketchbridge_preview") == job), None)


@pytest.fixture
def ready(addon, server):
    """A cube with a prompt, and a step to go back to."""
    cube().sketchbridge.prompt = "a red mug"
    undo_step("base")
    return server


def finished(runtime: Any, server: ScriptedServer, job: str) -> None:
    server.run(job, 40)
    server.preview(job, 0.5)
    ticks(runtime)
    server.finish(job)
    ticks(runtime)
    assert runtime.session().rows[job].asset is not None


def test_the_job_is_what_the_panel_says(addon, ready):
    settings = bpy.context.object.sketchbridge
    settings.method, settings.slack, settings.seed, settings.faces, settings.texture_px = "sds", 0.5, 7, 5000, "512"
    settings.parameters["guidance"].value_float = 12.5
    settings.parameters["weighting"].value_choice = "alphas"
    settings.symmetric, settings.steps, settings.preset, settings.front_deg = True, 60, "quick", 1.5707963
    job = submit()
    description, arrays = ready.submitted[job]
    assert (description.prompt, description.mode, description.method, description.preset) == ("a red mug", "sketch", "sds", "quick")
    assert description.parameters == {"guidance": 12.5, "rescale": True, "weighting": "alphas"}
    assert (description.slack, description.seed, description.steps, description.symmetric) == (0.5, 7, 60, True)
    assert (description.budget.faces, description.budget.texture_px) == (5000, 512)
    assert description.front_deg == pytest.approx(90, abs=1e-3)
    assert arrays["vertices"].shape == (8, 3) and abs(arrays["vertices"]).max() == pytest.approx(0.8)


def test_text_settings_are_sent_as_they_were_typed(addon, ready):
    """Numbers that may vary, or be missing: an empty text stays an empty text."""
    settings = bpy.context.object.sketchbridge
    settings.method = "pfd"
    settings.parameters["interval"].value_text = "[10, 50.0, 5, 200]"
    description, _ = ready.submitted[submit()]
    sent = {"guidance": 7.5, "inversion_guidance": "", "interval": "[10, 50.0, 5, 200]", "weighting": "sds"}
    assert (description.method, description.parameters) == ("pfd", sent)
    settings.parameters["inversion_guidance"].value_text = "-6.5"
    description, _ = ready.submitted[submit()]
    assert description.parameters == sent | {"inversion_guidance": "-6.5"}


def test_a_new_object_has_the_settings_of_its_run(addon, server):
    settings = bpy.context.scene.sketchbridge
    settings.prompt, settings.mode, settings.method = "a blue mug", "prompt", "pfd"
    settings.parameters["interval"].value_text = "5"
    job = submit()
    finished(addon, server, job)
    press("accept", job=job)
    made = next(item for item in bpy.context.scene.objects if item.type == "MESH").sketchbridge
    assert made.method == "pfd" and {item.name: item.value() for item in made.parameters} == server.submitted[job][0].parameters


def test_prompt_only_stands_at_the_cursor(addon, server):
    bpy.context.scene.cursor.location = (3, 4, 5)
    bpy.context.scene.sketchbridge.prompt, bpy.context.scene.sketchbridge.mode = "a blue mug", "prompt"
    job = submit()
    description, arrays = server.submitted[job]
    assert description.mode == "prompt" and not arrays
    finished(addon, server, job)
    press("accept", job=job)
    made = next(item for item in bpy.context.scene.objects if item.type == "MESH")
    assert (made.sketchbridge.prompt, made.sketchbridge.mode) == ("a blue mug", "sketch")
    corners = [made.matrix_world @ vertex.co for vertex in made.data.vertices]
    assert min(corner.z for corner in corners) > 4.9 and abs(corners[0].x - 3) < 2 and abs(corners[0].y - 4) < 2


def test_texture_only_keeps_the_mesh(addon, ready):
    bpy.context.object.sketchbridge.mode = "texture"
    before = [tuple(vertex.co) for vertex in bpy.context.object.data.vertices]
    job = submit()
    assert ready.submitted[job][0].mode == "texture" and "corner_vertex" in ready.submitted[job][1]
    finished(addon, ready, job)
    press("accept", job=job)
    item = bpy.data.objects["Cube"]
    assert [tuple(vertex.co) for vertex in item.data.vertices] == before
    assert any(slot.material is not None for slot in item.material_slots)


def test_watch_pause_steer_resume_accept(addon, ready):
    job = submit()
    ticks(addon)
    row = bpy.context.window_manager.sketchbridge_rows[job]
    assert row.prompt == "a red mug"
    heights = []
    for number, size in enumerate((0.3, 0.6, 1.0)):
        ready.run(job, 20 * number + 10)
        ready.preview(job, size)
        ticks(addon)
        heights.append(preview_of(job).data.vertices[0].co.z)
        assert preview_of(job).data.color_attributes
    assert heights == pytest.approx([0.24, 0.48, 0.8])
    press("pause", job=job)
    ticks(addon)
    assert addon.session().rows[job].state.state == "paused"
    row.prompt = "a blue mug"
    ticks(addon)
    assert row.prompt == "a blue mug"  # what is typed is not overwritten by the tick
    press("steer", job=job)
    ticks(addon)
    assert ready.states[job].prompt == "a blue mug"
    press("resume", job=job)
    finished(addon, ready, job)
    press("accept", job=job)
    assert preview_of(job) is None
    assert bpy.context.object.name == "Cube" and len(bpy.context.object.data.vertices) == 4
    ticks(addon)
    from blender_addon.ui import shown

    assert [version.current for version in shown.now.versions] == [False, True]
    assert shown.now.versions[1].prompt == "a blue mug"


def test_a_new_object_starts_with_the_prompt_that_the_run_followed(addon, ready):
    from blender_addon.ui import shown

    bpy.context.object.sketchbridge.mode = "prompt"
    job = submit()
    ready.run(job, 10)
    ticks(addon)
    assert shown.now.jobs[0].title == "a red mug"
    press("steer", job=job, prompt="a green mug")
    finished(addon, ready, job)
    press("accept", job=job)
    assert bpy.context.object.name != "Cube" and bpy.context.object.sketchbridge.prompt == "a green mug"


def test_undo_walk(addon, ready):
    """Submit, accept, undo, redo, undo: each is one step, and the run stays listed throughout."""
    start = snapshot()
    job = submit()
    submitted = snapshot()
    finished(addon, ready, job)
    press("accept", job=job)
    accepted = snapshot()
    assert accepted["Cube"][0] == 4
    undo, redo = bpy.ops.ed.undo, bpy.ops.ed.redo
    for expected, step in ((submitted, undo), (accepted, redo), (submitted, undo), (start, undo)):
        step()
        ticks(addon)
        assert {name: seen[0] for name, seen in snapshot().items() if not seen[2]} == {n: s[0] for n, s in expected.items() if not s[2]}
        assert addon.session().rows[job].accepted == (expected is accepted)
    assert preview_of(job) is None and bpy.data.objects["Cube"].visible_get()
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    ticks(addon)
    assert len(bpy.data.objects["Cube"].data.vertices) == 4


def test_a_result_that_comes_after_undo_can_be_accepted(addon, ready):
    job = submit()
    ready.run(job, 40)
    ticks(addon)
    bpy.ops.ed.undo()
    ready.preview(job, 0.5)  # late: its object is gone
    ticks(addon)
    assert preview_of(job) is None
    ready.finish(job)
    ticks(addon)
    press("accept", job=job)
    assert len(bpy.data.objects["Cube"].data.vertices) == 4


@pytest.mark.parametrize("moment", ["queued", "running", "paused", "steered", "done", "accepted"])
def test_load_at_each_pause_with_a_late_result(addon, ready, tmp_path, moment):
    """The file is saved and another is opened at this moment, the result comes meanwhile, the file is opened again."""
    job = submit()
    if moment != "queued":
        ready.run(job, 40)
        ready.preview(job, 0.5)
        ticks(addon)
    if moment in ("paused", "steered"):
        press("pause", job=job)
    if moment == "steered":
        press("steer", job=job, prompt="a blue mug")
    if moment in ("done", "accepted"):
        finished(addon, ready, job)
    if moment == "accepted":
        press("accept", job=job)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "work.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    other = snapshot()
    assert not addon.session().rows[job].here
    if moment not in ("done", "accepted"):
        ready.preview(job, 0.7)
        ready.finish(job)
    ticks(addon)
    assert snapshot() == other, "a late result touched another file"
    assert job in addon.session().rows
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "work.blend"))
    ticks(addon)
    row = addon.session().rows[job]
    assert row.here and row.asset is not None
    if moment != "accepted":
        press("accept", job=job)
    assert len(bpy.data.objects["Cube"].data.vertices) == 4
    assert preview_of(job) is None


def test_stop_keeps_or_discards(addon, ready):
    job = submit()
    ready.run(job, 40)
    ticks(addon)
    press("stop", job=job, how="finish")
    ticks(addon)
    assert addon.session().rows[job].state.state == "done"
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    bpy.data.objects["Cube"].hide_set(False)
    bpy.data.objects["Cube"].select_set(True)
    second = submit()
    ready.run(second, 10)
    ticks(addon)
    press("stop", job=second, how="discard")
    ticks(addon)
    assert addon.session().rows[second].state.state == "cancelled"
    press("remove", job=second)
    ticks(addon)
    assert second not in addon.session().rows and preview_of(second) is None
    assert second not in bpy.context.window_manager.sketchbridge_rows


def test_the_preview_can_be_hidden_and_shown(addon, ready):
    job = submit()
    ready.run(job, 10)
    ticks(addon)
    press("hide_preview", job=job)
    assert preview_of(job) is None and bpy.data.objects["Cube"].visible_get()
    press("show_preview", job=job)
    assert preview_of(job) is not None


def test_the_preview_starts_as_the_sketch(addon, ready):
    job = submit()
    made = preview_of(job)
    corners = sorted(tuple(round(value, 4) for value in made.matrix_world @ vertex.co) for vertex in made.data.vertices)
    assert corners == sorted((float(x), float(y), float(z)) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))
    assert made.visible_get() and not bpy.data.objects["Cube"].visible_get()


def test_a_mesh_to_be_textured_stays_in_sight(addon, ready):
    bpy.data.objects["Cube"].sketchbridge.mode = "texture"
    made = preview_of(submit())
    assert (len(made.data.vertices), len(made.data.polygons)) == (8, 12)
    assert made.data.polygons[0].normal.dot(made.data.polygons[0].center) > 0


def view_of(shading: Any) -> Any:
    """A context with a solid 3D view, which the Blender module never has."""
    space = SimpleNamespace(type="VIEW_3D", shading=shading)
    return SimpleNamespace(space_data=space, view_layer=bpy.context.view_layer)


def test_colours_in_solid_shading_are_offered_not_forced(addon, ready):
    from blender_addon.host.shading import missing_colours, show_colours

    solid = SimpleNamespace(type="SOLID", color_type="MATERIAL")
    assert not missing_colours(view_of(solid), False) and not show_colours(view_of(solid), False)
    job = submit()
    finished(addon, ready, job)
    assert solid.color_type == "MATERIAL" and missing_colours(view_of(solid), True) == "VERTEX"
    assert show_colours(view_of(solid), True) and solid.color_type == "VERTEX" and not missing_colours(view_of(solid), True)
    press("accept", job=job)
    assert show_colours(view_of(solid), False) and solid.color_type == "TEXTURE" and not missing_colours(view_of(solid), False)
    assert not missing_colours(view_of(SimpleNamespace(type="MATERIAL", color_type="MATERIAL")), True)
    assert not missing_colours(bpy.context, True)


def test_a_failed_run_can_be_retried_and_reported(addon, ready):
    job = submit()
    ready.fail(
        job, Fault(code="worker_lost", sentence="The worker ended.", hint="Press Retry.", retryable=True, trace="in /home/someone/x")
    )
    ticks(addon)
    press("copy_report", job=job)
    press("retry", job=job)
    ticks(addon)
    assert addon.session().rows[job].state.state == "running"


def test_a_verb_that_is_not_possible_is_refused_in_words(addon, ready):
    job = submit()
    ticks(addon)
    with pytest.raises(RuntimeError, match=r"Error: .* Stop it first"):
        bpy.ops.sketchbridge.remove(job=job)
    with pytest.raises(RuntimeError, match="no such job"):
        bpy.ops.sketchbridge.pause(job="0" * 32)
    assert job in addon.session().rows


def test_versions_go_back_and_forth(addon, ready):
    job = submit()
    finished(addon, ready, job)
    press("accept", job=job)
    press("revert", index=0)
    assert len(bpy.context.object.data.vertices) == 8
    press("revert", index=1)
    assert len(bpy.context.object.data.vertices) == 4
    bpy.ops.ed.undo()
    assert len(bpy.context.object.data.vertices) == 8
    press("pin_version", index=1)
    uid = bpy.context.object["sketchbridge_uid"]
    assert addon.session().ports.versions.versions(uid)[1].pinned
    with pytest.raises(RuntimeError, match="Error"):
        bpy.ops.sketchbridge.revert(index=9)


def test_an_address_that_is_not_this_machine_is_refused(addon):
    addon.preferences().address = "10.0.0.7"
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1"):
        bpy.ops.sketchbridge.connect()
    addon.preferences().address = "what is this"
    with pytest.raises(RuntimeError, match="is not an address"):
        bpy.ops.sketchbridge.connect()
    assert addon.present() is None or addon.present().link.link.value == "off"


def test_an_unreadable_picture_changes_nothing(addon, ready):
    """A result that is not what it says: one sentence, the scene as it was."""
    job = submit()
    finished(addon, ready, job)
    addon.session().rows[job].asset.files["base_colour.png"] = png((1, 2, 3))[:30]
    before = snapshot()
    with pytest.raises(RuntimeError, match="Error"):
        bpy.ops.sketchbridge.accept("EXEC_DEFAULT", True, job=job)
    assert snapshot() == before
