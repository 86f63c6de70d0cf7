"""The built zip in a user's Blender: the tab is drawn, opens and closes, and finds a server, all by mouse and keyboard."""

from rig import Rig

TAB = "SketchBridge"


def test_the_zip_is_enabled_and_no_thread_runs(window: Rig) -> None:
    facts = window.state("blender")
    assert facts["extensions"] == ["bl_ext.user_default.sketchbridge"]
    assert facts["threads"] == ["MainThread"]


def test_the_tab_is_drawn_and_its_panels_open(window: Rig) -> None:
    window.screenshot("start")
    assert window.state("open_tab", category=TAB) == TAB
    window.screenshot("tab")
    for panel in ("SKETCHBRIDGE_PT_server", "SKETCHBRIDGE_PT_method"):
        window.open_panel(panel, TAB)
    names = ("server", "sketch", "prompt", "keep", "method", "run", "versions")
    assert set(window.state("open_panels", category=TAB)) == {f"SKETCHBRIDGE_PT_{name}" for name in names}
    window.screenshot("open")


def test_it_connects_to_a_server_by_its_address(window: Rig, server: str) -> None:
    window.state("open_tab", category=TAB)
    window.open_panel("SKETCHBRIDGE_PT_server", TAB)
    window.fill("preferences", server.removeprefix("tcp://"))
    window.press("sketchbridge.connect")
    window.wait("shown", lambda shown: shown["link"] == "ready")
    window.screenshot("connected")
    assert window.state("blender")["threads"] == ["MainThread"]
    window.press("sketchbridge.disconnect")
    window.wait("shown", lambda shown: shown["link"] == "off")
