# SPDX-License-Identifier: GPL-3.0-or-later
"""Every panel draws in every state: nothing empty, nothing that this Blender lacks, no button greyed out without a reason."""

from typing import Any

import blf
import bpy
import pytest
from recording_layout import Drawn, RecordingLayout
from scripted_server import ScriptedServer
from steps import cube, ticks

from protocol.events import Link, LinkChanged
from protocol.messages import Fault, Remark

pytest_plugins = ("extension",)

ORDER = ["server", "sketch", "prompt", "keep", "method", "run", "versions"]


def drawn(name: str) -> RecordingLayout:
    """What a panel draws now, through the class that Blender calls."""
    cls = getattr(bpy.types, f"SKETCHBRIDGE_PT_{name}")
    panel = type("Drawn", (), {"layout": RecordingLayout()})()
    cls.draw(panel, bpy.context)
    if hasattr(cls, "draw_header_preset"):
        header = type("Drawn", (), {"layout": RecordingLayout()})()
        cls.draw_header_preset(header, bpy.context)
        assert header.layout.texts(), f"the header of {name} is empty"
    return panel.layout


def width(entry: Drawn) -> float:
    """Of a label in points; a sidebar has room for about 215 as Blender opens it."""
    blf.size(0, 11)
    return blf.dimensions(0, entry.text)[0] + (0 if entry.icon == "NONE" else 20)


def all_drawn() -> dict[str, RecordingLayout]:
    found = {name: drawn(name) for name in ORDER}
    for name, layout in found.items():
        assert layout.texts(), f"{name} is empty"
        for entry in layout.drawn:
            assert entry.enabled or entry.reason, f"{name}: {entry.text or entry.name} is disabled without a reason"
            assert entry.kind != "label" or width(entry) < 215, f"{name}: '{entry.text}' would be cut off"
    return found


def test_the_tab_is_in_the_order_of_work(addon):
    from blender_addon import ui

    panels = [cls for cls in ui.classes if issubclass(cls, bpy.types.Panel)]
    assert [cls.__name__.removeprefix("SKETCHBRIDGE_PT_") for cls in panels] == ORDER
    assert {cls.bl_category for cls in panels} == {"SketchBridge"} and {cls.bl_space_type for cls in panels} == {"VIEW_3D"}
    assert [cls.__name__[-6:] for cls in panels if "DEFAULT_CLOSED" in getattr(cls, "bl_options", ())] == ["server", "method"]


def test_before_anything(addon):
    found = all_drawn()
    assert "Connect" in found["server"].texts() and "Start Server" in found["server"].texts()
    button = found["run"].named("sketchbridge.submit")[0]
    assert not button.enabled and button.reason == "Connect to a server first"
    assert found["run"].named("sketchbridge.connect")  # the way out stands beside it


STATES = [
    LinkChanged(Link.OFF),
    LinkChanged(Link.CONNECTING),
    LinkChanged(Link.HANDSHAKING),
    LinkChanged(Link.LOST, "nothing_listening", "Nothing listens at tcp://127.0.0.1:5577.", "Start the server.", 3.0),
    LinkChanged(Link.REFUSED, "version", "The server speaks protocol 2, this extension 1.", "Update the extension."),
    LinkChanged(Link.REFUSED, "not_our_server", "Something else answers at tcp://127.0.0.1:5577.", "Check the port."),
]


@pytest.mark.parametrize("event", STATES, ids=lambda event: f"{event.link.value} {event.kind}".strip())
def test_in_each_link_state(addon, server, event):
    server.events.append(event)
    ticks(addon)
    found = all_drawn()
    live = event.link in (Link.CONNECTING, Link.HANDSHAKING)
    assert bool(found["run"].named("sketchbridge.connect")) != live
    for panel in ("server", "run"):
        assert event.sentence in " ".join(found[panel].texts()), "the fault is named where the artist looks"


def test_ready(addon, server):
    found = all_drawn()
    assert "Disconnect" in found["server"].texts() and "Connected to SketchBridge 0.1.0" in " ".join(found["server"].texts())
    assert not found["run"].named("sketchbridge.connect")


@pytest.mark.parametrize(("mode", "label"), [("sketch", "Refine Sketch"), ("prompt", "Create from Prompt"), ("texture", "Texture Mesh")])
def test_in_each_mode_of_the_panel(addon, server, mode, label):
    cube().sketchbridge.mode = mode
    ticks(addon)
    found = all_drawn()
    assert label in found["run"].texts()
    assert bool(found["sketch"].named("size")) == (mode == "prompt")
    assert bool(found["keep"].named("keep_group")) == (mode == "sketch")


def test_what_is_selected(addon, server):
    from blender_addon.ui import shown

    def texts() -> str:
        ticks(addon)
        all_drawn()
        return " | ".join(line.text for line in shown.now.sketch)

    assert texts() == "Select a mesh, a curve or strokes"
    item = cube()
    assert texts() == "Cube: 12 triangles | Replaces 'Cube', the old mesh stays as a version"
    item.modifiers.new("Smooth", "SUBSURF").levels = 1
    bpy.context.view_layer.update()
    assert texts().startswith("Cube: 48 triangles")
    item.shape_key_add(name="Basis")
    assert "shape keys" in texts()
    bpy.ops.curve.primitive_bezier_curve_add()
    item.select_set(True)
    assert texts() == "2 objects: 48 triangles, 1 stroke object | New object: several objects become one"
    bpy.context.object.sketchbridge.mode = "texture"
    assert texts().startswith("Cube: 48 triangles | Gets a new material")


def test_the_words_that_the_model_knows(addon, server):
    cube()
    ticks(addon)
    assert "For example: a red mug, a blue flower" in " ".join(drawn("prompt").texts())
    menu = type("Drawn", (), {"layout": RecordingLayout()})()
    bpy.types.SKETCHBRIDGE_MT_insert_word.draw(menu, bpy.context)
    assert {"mug", "flower", "red", "blue", "striped"} <= set(menu.layout.texts())
    for word in ("red", "mug"):
        bpy.ops.sketchbridge.insert_word(word=word)
    assert bpy.context.object.sketchbridge.prompt == "a red mug"


def test_the_parameters_of_the_method(addon, server):
    settings = cube().sketchbridge
    ticks(addon)
    assert not drawn("method").named("value_float")
    settings.method_menu = "sds"
    assert [item.name for item in settings.parameters] == ["guidance", "rescale", "weighting"]
    assert {"Guidance", "Rescale", "Weighting"} <= set(drawn("method").texts())
    settings.parameters["guidance"].value_float = 500
    assert settings.parameters["guidance"].value() == 100  # the server's limit
    settings.parameters["guidance"].value_float = 9
    settings.method_menu = "bridge"
    assert [item.name for item in settings.parameters] == ["guidance", "rows"]
    assert settings.parameters["guidance"].value() == 9 and settings.parameters["rows"].value() == 2
    bpy.ops.sketchbridge.reset_parameter(name="guidance")
    assert settings.parameters["guidance"].value() == 20
    settings.method_menu = "AUTO"
    assert settings.method == "" and not settings.parameters


def test_another_method_brings_its_own_defaults_and_keeps_what_was_changed(addon, server):
    settings = cube().sketchbridge
    ticks(addon)
    settings.method_menu = "bridge"
    settings.method_menu = "pfd"
    assert settings.parameters["guidance"].value() == 7.5  # not Bridge's 20, which nobody chose
    settings.method_menu = "sds"
    settings.parameters["guidance"].value_float = 50
    settings.parameters["weighting"].value_choice = "alphas"
    settings.method_menu = "pfd"
    assert settings.parameters["guidance"].value() == 10  # chosen, up to this method's limit
    assert settings.parameters["weighting"].value() == "sds"  # "alphas" is no choice here
    settings.prompt = "a red mug"
    assert bpy.ops.sketchbridge.submit() == {"FINISHED"}


def test_a_choice_that_the_server_lacks_stays(addon, server):
    from blender_addon.props import choices

    settings = cube().sketchbridge
    settings.method, settings.prior = "ism", "large"
    ticks(addon)
    all_drawn()
    assert settings.method_menu == "ism" and settings.prior_menu == "large"
    assert any("not on this server" in item[1] for item in choices.items("method", "ism"))
    settings.prompt = "a red mug"
    with pytest.raises(RuntimeError, match="no method 'ism'"):
        bpy.ops.sketchbridge.submit()
    assert not server.submitted


def test_settings_are_the_objects_or_the_scenes(addon, server):
    from blender_addon.props.settings import active_settings

    first, second = cube("First"), cube("Second")
    first.sketchbridge.prompt, second.sketchbridge.prompt = "a red mug", "a blue mug"
    assert active_settings(bpy.context).prompt == "a blue mug"
    bpy.context.view_layer.objects.active = first
    assert active_settings(bpy.context).prompt == "a red mug"
    bpy.context.view_layer.objects.active = None
    assert active_settings(bpy.context) == bpy.context.scene.sketchbridge


def submit(server: ScriptedServer) -> str:
    cube().sketchbridge.prompt = "a red mug"
    bpy.ops.sketchbridge.submit()
    return list(server.submitted)[-1]


def run_texts(addon: Any) -> RecordingLayout:
    ticks(addon)
    return all_drawn()["run"]


def test_a_job_in_each_state(addon, server):
    job = submit(server)
    operators = {
        "queued": {"pause", "stop", "steer"},
        "running": {"pause", "stop", "steer"},
        "paused": {"resume", "stop", "steer"},
        "failed": {"retry", "remove"},
        "done": {"accept", "remove"},
    }
    plays = {
        "queued": lambda: None,
        "running": lambda: server.run(job, 40),
        "paused": lambda: server.pause(job),
        "failed": lambda: server.fail(job, Fault(code="worker_lost", sentence="The worker ended.", hint="Press Retry.", retryable=True)),
        "done": lambda: server.finish(job),
    }
    for state, play in plays.items():
        play()
        layout = run_texts(addon)
        there = {entry.name.removeprefix("sketchbridge.") for entry in layout.drawn if entry.kind == "operator"}
        assert operators[state] <= there, state
        assert not {"pause", "resume", "accept", "retry", "remove"} - operators[state] & there, state
        assert "Cube: a red mug" in " ".join(layout.texts())
    bpy.ops.sketchbridge.accept(job=job)
    layout = run_texts(addon)
    assert "Accepted into" in " ".join(layout.texts()) and not layout.named("sketchbridge.accept")


def test_progress_is_a_bar_with_numbers(addon, server):
    job = submit(server)
    server.run(job, 40)
    layout = run_texts(addon)
    bar = next(entry for entry in layout.drawn if entry.kind == "progress")
    assert bar.properties["factor"] == pytest.approx(0.4) and bar.text == "40%  About 1 min left"
    assert "step 40 of 100" in " ".join(layout.texts())


def test_every_job_has_its_own_buttons(addon, server):
    jobs = [submit(server) for _ in range(3)]
    for job in jobs:
        server.run(job, 10)
    layout = run_texts(addon)
    for name in ("pause", "stop", "steer", "copy_report"):
        assert {entry.properties["job"] for entry in layout.named(f"sketchbridge.{name}")} == set(jobs)


def test_a_fault_is_shown_with_its_remedy(addon, server):
    job = submit(server)
    server.fail(job, Fault(code="resource", sentence="The device has too little memory for this job.", hint="Choose fewer faces."))
    layout = run_texts(addon)
    written = " ".join(layout.texts())
    assert "too little memory" in written and "Choose fewer faces." in written
    assert not layout.named("sketchbridge.retry")


def test_remarks_and_long_sentences_are_not_cut(addon, server):
    from protocol.events import RemarkArrived

    job = submit(server)
    server.run(job, 10)
    server.events.append(RemarkArrived(job, Remark(text="The strokes are thinner than the grid can hold, so some were widened. " * 2)))
    run_texts(addon)


def test_drawing_reads_only(addon, server):
    """Neither data nor the scene change, and nothing new is prepared by drawing."""
    from blender_addon.ui import shown

    submit(server)
    ticks(addon)
    before = shown.now, {name: len(getattr(bpy.data, name)) for name in ("objects", "meshes", "materials", "images", "texts")}
    for _ in range(3):
        all_drawn()
    assert (shown.now, {name: len(getattr(bpy.data, name)) for name in before[1]}) == before


def test_versions_of_the_active_object(addon, server):
    job = submit(server)
    server.finish(job)
    ticks(addon)
    bpy.ops.sketchbridge.accept(job=job)
    ticks(addon)
    layout = all_drawn()["versions"]
    assert [entry.properties["index"] for entry in layout.named("sketchbridge.revert")] == [0]
    assert len(layout.named("sketchbridge.pin_version")) == 2
    cube("Other")
    ticks(addon)
    assert " ".join(drawn("versions").texts()) == "Accepted results are kept here"
