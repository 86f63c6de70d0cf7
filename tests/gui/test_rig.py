"""The rig finds, presses, fills, turns and photographs what a small known extension shows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import fresh_folder
from rig import Rig, RigError, judge
from tutorial import Tutorial


@pytest.fixture(scope="module")
def probe(probe_zip: Path) -> Iterator[Rig]:
    with Rig(fresh_folder("test_rig"), [probe_zip]) as rig:
        rig.state("open_tab", category="Probe")
        yield rig


def pressed(rig: Rig) -> str:
    return str(rig.state("value", path="scene.rig_probe.pressed"))


def test_the_extension_is_enabled_in_a_clean_profile(probe: Rig) -> None:
    facts = probe.state("blender")
    assert facts["extensions"] == ["bl_ext.user_default.rig_probe"]
    assert facts["threads"] == ["MainThread"]
    assert not facts["online"]


def test_buttons_wide_small_and_far_below_are_pressed_and_undone(probe: Rig) -> None:
    for name in ("wide", "icon", "left", "below"):
        probe.press(f'rigprobe.press(name="{name}")')
    assert pressed(probe) == "wide icon left below "
    probe.point_at_viewport()
    probe.key("ctrl+z")
    assert pressed(probe) == "wide icon left "
    probe.key("ctrl+shift+z")
    assert pressed(probe) == "wide icon left below "


def test_fields_are_filled_and_choices_turned(probe: Rig) -> None:
    probe.fill("rig_probe.words", "a red flower, 2!")
    probe.fill("rig_probe.number", "42")
    probe.turn("rig_probe.choice", 2)
    assert [probe.state("value", path=f"scene.rig_probe.{name}") for name in ("words", "number", "choice")] == ["a red flower, 2!", 42, "C"]


def test_a_closed_panel_is_opened_and_closed_by_its_header(probe: Rig) -> None:
    probe.open_panel("RIGPROBE_PT_second", "Probe")
    assert "RIGPROBE_PT_second" in probe.state("open_panels", category="Probe")
    probe.press('rigprobe.press(name="inside")')
    assert pressed(probe).endswith("inside ")
    probe.open_panel("RIGPROBE_PT_second", "Probe", open=False)
    assert probe.state("open_panels", category="Probe") == ["RIGPROBE_PT_panel"]


def test_objects_are_selected_where_they_are_seen(probe: Rig) -> None:
    probe.click(*probe.state("object_pixel", name="Camera"))
    assert [thing["name"] for thing in probe.state("objects") if thing["selected"]] == ["Camera"]
    probe.click(*probe.state("object_pixel", name="Cube"))
    assert [thing["name"] for thing in probe.state("objects") if thing["active"]] == ["Cube"]


def test_a_tutorial_is_written_from_its_steps(probe: Rig, tmp_path: Path) -> None:
    tutorial = Tutorial(probe, tmp_path, "Probe", "What it is.")
    tutorial.step("Look at the *cube*.", "cube", changed=0.0)
    probe.state("open_tab", category="View")
    tutorial.step("", "not-told")
    probe.state("open_tab", category="Probe")
    tutorial.step("Back again.", "back")
    page = tutorial.write()
    assert page.read_text().split("\n\n") == [
        "# Probe",
        "What it is.",
        "1. Look at the *cube*.",
        "   ![cube](pictures/tutorial/01-cube.png)",
        "2. Back again.",
        "   ![back](pictures/tutorial/02-back.png)\n",
    ]
    pictures = sorted((tmp_path / "pictures" / "tutorial").iterdir())
    assert [path.name for path in pictures] == ["01-cube.png", "02-back.png"]
    assert all(path.stat().st_size < 150_000 for path in pictures)


def test_a_picture_of_nothing_new_is_refused(probe: Rig) -> None:
    probe.state("open_tab", category="View")
    probe.screenshot("first")
    with pytest.raises(RigError, match="pixels from the picture before"):
        probe.screenshot("second")
    probe.state("open_tab", category="Probe")


def test_a_blank_picture_is_refused() -> None:
    with pytest.raises(RigError, match="the screen is blank"):
        judge(np.zeros((80, 120, 3), np.uint8), None, 0.01, "black")


def test_what_is_not_there_is_named(probe: Rig) -> None:
    with pytest.raises(RigError, match="KeyError: 'nobody_asked'"):
        probe.state("nobody_asked")
    with pytest.raises(RigError, match="did not come within"):
        probe.wait("objects", lambda things: len(things) > 99, within_s=0.5)


def test_a_scene_survives_the_end_of_blender(probe: Rig) -> None:
    probe.state("save_file", path="/tmp/kept.blend")
    probe.stop_blender()
    probe.start_blender("/tmp/kept.blend")
    assert pressed(probe).startswith("wide")
