"""The whole path of an artist by mouse and keyboard, with the real server; its pictures are the tutorial.

`pytest tests/gui/test_tutorial.py --tutorial docs` writes docs/tutorial.md; otherwise the page goes to build/tutorial.
"""

import functools
import socket
from pathlib import Path
from typing import Any

import pytest
from captions import CAPTIONS, END, INTRODUCTION, TITLE
from drawing import FOOT, PENCIL_PX, flower
from rig import CHANGED, Rig
from tutorial import Tutorial

TAB = "SketchBridge"
FILE = "/tmp/flower.blend"
CURSOR_PX = (830, 690)
ASIDE_PX = (760, 420)
RUN_S = 900
SMALL = 0.001
"""Share of the pixels that changes where only the sidebar says something new."""


@pytest.mark.timeout(2400)
def test_the_whole_way_by_mouse_and_keyboard(window: Rig, server: str, request: pytest.FixtureRequest) -> None:
    folder = Path(request.config.rootpath, request.config.getoption("--tutorial"))
    page = Tutorial(window, folder, TITLE, INTRODUCTION, END)
    window.state("save_file", path=FILE)
    before = (open_the_tab, meet_no_server, connect, draw, describe)
    for part in (*before, refine, pause_and_steer, accept, undo_and_versions, create_beside, reopen):
        part(page, window, server)
        assert window.state("blender")["threads"] == ["MainThread"], part.__name__
    written = page.write()
    assert written.read_text().count("![") == 10


def show(page: Tutorial, name: str, changed: float = CHANGED) -> None:
    """A checked picture; in the tutorial if it has a caption."""
    page.step(CAPTIONS.get(name, ""), name, changed)


# ---------------------------------------------------------------------------------------------------------- before the run


def open_the_tab(page: Tutorial, rig: Rig, server: str) -> None:
    show(page, "start")
    rig.point_at_viewport()
    rig.key("ctrl+space", "n")
    rig.wait("tab", bool)
    rig.click_tab(TAB)
    assert rig.state("open_panels", category=TAB) == [f"SKETCHBRIDGE_PT_{name}" for name in ("keep", "prompt", "run", "sketch", "versions")]
    show(page, "tab")


def meet_no_server(page: Tutorial, rig: Rig, server: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    rig.open_panel("SKETCHBRIDGE_PT_server", TAB)
    rig.fill("preferences", f"127.0.0.1:{port}")
    rig.press("sketchbridge.connect")
    shown = rig.wait("shown", lambda shown: shown["link"] == "lost" and seconds_to_retry(shown) >= 4)
    written = " ".join(line["text"] for line in shown["server"])
    assert str(port) in written and "Start the server" in written
    show(page, "nothing-listening", SMALL)


def seconds_to_retry(shown: Any) -> int:
    """From "Next attempt in 4 s"; long enough that a picture shows this and not the attempt."""
    waits = [line["text"] for line in shown["server"] if line["text"].startswith("Next attempt in")]
    return int(waits[0].split()[-2]) if waits else 0


def connect(page: Tutorial, rig: Rig, server: str) -> None:
    rig.fill("preferences", server.removeprefix("tcp://"))
    # The button moves with the lines above it, which an attempt changes, and a click may go beside it.
    shown = rig.give(lambda: rig.press("sketchbridge.connect"), "shown", lambda shown: shown["link"] == "ready", within_s=20)
    assert shown["headline"] == ["CHECKMARK", "Ready"]
    show(page, "ready", SMALL)
    rig.open_panel("SKETCHBRIDGE_PT_server", TAB, open=False)


def draw(page: Tutorial, rig: Rig, server: str) -> None:
    rig.point_at_viewport()
    rig.give(lambda: rig.key("Delete"), "objects", lambda things: [thing["type"] for thing in things] == ["LIGHT", "CAMERA"])
    look_from_the_front(rig)
    place = rig.state("layout")["regions"]["WINDOW"]
    middle = place["x"] + place["width"] // 2, place["y"] + place["height"] // 2
    for _ in range(6):
        rig.click(*middle, button=4)
    rig.pan(FOOT[0] - middle[0], FOOT[1] - middle[1])
    rig.point_at_viewport()
    rig.give(lambda: add_grease_pencil(rig), "objects", lambda things: any(thing["type"] == "GREASEPENCIL" for thing in things))
    to_mode(rig, "8", "PAINT_GREASE_PENCIL")
    rig.state("give_pencil")
    rig.move(*ASIDE_PX)
    rig.give(lambda: size_brush(rig, PENCIL_PX), "value", lambda size: size == PENCIL_PX, path="tools.gpencil_paint.brush.size")
    show(page, "pencil")
    for number, stroke in enumerate(flower(), start=1):
        rig.drag(stroke)
        rig.wait("strokes", lambda strokes, number=number: len(strokes) == number, name="GPencil", within_s=5)
    drawn = rig.state("strokes", name="GPencil")
    assert all(stroke["points"] > 20 and stroke["radius"] > 0.05 for stroke in drawn)
    assert max(stroke["size"][1] for stroke in drawn) < 1e-3 < 1 < max(stroke["size"][2] for stroke in drawn)
    show(page, "drawn")
    rig.move(*ASIDE_PX)
    to_mode(rig, "4", "OBJECT")


def look_from_the_front(rig: Rig) -> None:
    rig.give(lambda: rig.key("KP_1"), "value", bool, path="view.region_3d.is_orthographic_side_view")


def add_grease_pencil(rig: Rig) -> None:
    rig.key("shift+a")
    rig.type("grease")
    rig.key("Return")


def to_mode(rig: Rig, number: str, mode: str) -> None:
    """Through the pie of modes, by the number of a slice."""

    def choose() -> None:
        rig.key("ctrl+Tab")
        rig.key(number)

    rig.give(choose, "value", lambda now: now == mode, path="object.mode")


def size_brush(rig: Rig, px: int) -> None:
    rig.key("f")
    rig.type(str(px))
    rig.key("Return")


def describe(page: Tutorial, rig: Rig, server: str) -> None:
    rig.fill(".sketchbridge.prompt", "a red flower")
    assert rig.state("value", path="object.sketchbridge.prompt") == "a red flower"
    _, y = rig.find(".sketchbridge.prompt")
    edge = rig.state("layout")["regions"]["UI"]
    rig.click(edge["x"] + edge["width"] - 40, y)
    show(page, "words")
    rig.key("Escape")
    shown = rig.wait("shown", lambda shown: bool(shown["sketch"]))
    assert [line["text"] for line in shown["sketch"]] == ["GPencil: strokes", "New object, the strokes stay"]


# ----------------------------------------------------------------------------------------------------------------- the run


def only_job(rig: Rig, holds: Any, within_s: float = RUN_S) -> dict[str, Any]:
    """The first job of the list, once it is as wanted; a job with an error ends the waiting."""

    def so(shown: Any) -> bool:
        job = shown["jobs"][0]
        assert not job["error"], job
        return bool(holds(job))

    found: dict[str, Any] = rig.wait("shown", so, within_s=within_s)["jobs"][0]
    return found


def refine(page: Tutorial, rig: Rig, server: str) -> None:
    rig.press("sketchbridge.submit")
    shown = rig.wait("shown", lambda shown: len(shown["jobs"]) == 1)
    assert shown["jobs"][0]["title"] == "GPencil: a red flower"
    (first,) = rig.wait("previews", lambda found: bool(found) and found[0]["vertices"] > 1000)
    show(page, "sent")
    rig.press("sketchbridge.show_colours")
    assert rig.state("value", path="view.shading.color_type") == "VERTEX"
    only_job(rig, lambda job: job["text"].startswith("Painting") and "left" in job["eta_text"])
    (second,) = rig.wait("previews", lambda found: found[0]["sum"] != first["sum"] and redness(found[0]["colour"]) > 0.02, within_s=300)
    show(page, "painting")
    only_job(rig, lambda job: job["text"].startswith("Shaping") and step_of(job) >= 200)
    (third,) = rig.wait("previews", lambda found: found[0]["sum"] != second["sum"])
    show(page, "shaping")
    assert third["vertices"] > 1000


def step_of(job: dict[str, Any]) -> int:
    """From "Shaping, step 170 of 580"."""
    return int(job["text"].partition("step ")[2].partition(" ")[0] or 0)


def redness(colour: list[float]) -> float:
    return colour[0] - colour[2]


def held(rig: Rig) -> float:
    """What the preview stays at: the same in 20 answers one after another."""
    sums: list[float] = []

    def so(found: Any) -> bool:
        sums.append(found[0]["sum"])
        return len(sums) >= 20 and len(set(sums[-20:])) == 1

    rig.wait("previews", so)
    return sums[-1]


def pause_and_steer(page: Tutorial, rig: Rig, server: str) -> None:
    rig.give(lambda: rig.press("sketchbridge.pause"), "shown", lambda shown: shown["jobs"][0]["icon"] == "PAUSE", within_s=60)
    rig.fill("sketchbridge_rows[0].prompt", "a blue flower")
    show(page, "paused", SMALL)
    still = held(rig)
    rig.press("sketchbridge.steer")
    only_job(rig, lambda job: "It goes on as 'a blue flower'." in job["detail"], within_s=30)
    assert rig.state("previews")[0]["sum"] == still
    show(page, "steered", SMALL)
    rig.press("sketchbridge.resume")
    only_job(rig, lambda job: job["title"] == "GPencil: a blue flower", within_s=120)


def accept(page: Tutorial, rig: Rig, server: str) -> None:
    only_job(rig, lambda job: "accept" in job["buttons"])
    (last,) = rig.state("previews")
    assert redness(last["colour"]) < 0
    show(page, "finished")
    rig.press("sketchbridge.accept")
    rig.wait("objects", lambda things: any(thing["type"] == "MESH" and thing["active"] for thing in things))
    assert rig.state("previews") == []
    (flower_object,) = [thing for thing in rig.state("objects") if thing["type"] == "MESH"]
    assert 1000 < flower_object["faces"] <= 20_000 and flower_object["materials"][0]
    pictures = rig.state("textures", name=flower_object["name"])
    assert pictures[0]["size"] == [1024, 1024] and all(picture["packed"] for picture in pictures)
    assert redness(pictures[0]["colour"]) < 0
    assert rig.state("value", path="object.sketchbridge.prompt") == "a blue flower"
    rig.press("sketchbridge.show_colours")
    assert rig.state("value", path="view.shading.color_type") == "TEXTURE"
    rig.point_at_viewport()
    rig.give(lambda: rig.key("KP_4", "KP_8"), "value", lambda turned: not turned, path="view.region_3d.is_orthographic_side_view")
    show(page, "accepted")


# --------------------------------------------------------------------------------------------------------- after the run


def undo_and_versions(page: Tutorial, rig: Rig, server: str) -> None:
    name = rig.state("value", path="object.name")
    rig.point_at_viewport()
    rig.give(
        lambda: rig.key("ctrl+z"), "objects", lambda things: not any(thing["name"] == name and thing["type"] == "MESH" for thing in things)
    )
    show(page, "undone", SMALL)
    rig.point_at_viewport()
    rig.give(
        lambda: rig.key("ctrl+shift+z"),
        "objects",
        lambda things: any(thing["name"] == name and thing["faces"] > 1000 for thing in things),
    )
    show(page, "redone", SMALL)
    assert [version["current"] for version in rig.wait("shown", lambda shown: len(shown["versions"]) == 2)["versions"]] == [False, True]
    rig.press("sketchbridge.revert(index=0)")
    rig.wait("shown", lambda shown: shown["versions"][0]["current"])
    assert [thing["hidden"] for thing in rig.state("objects") if thing["type"] == "GREASEPENCIL"] == [False]
    show(page, "versions")
    rig.press("sketchbridge.revert(index=1)")
    rig.wait("shown", lambda shown: shown["versions"][1]["current"])
    assert [thing["hidden"] for thing in rig.state("objects") if thing["type"] == "GREASEPENCIL"] == [True]


def create_beside(page: Tutorial, rig: Rig, server: str) -> None:
    rig.point_at_viewport()
    look_from_the_front(rig)
    beside = functools.partial(rig.click, *CURSOR_PX, button=3, holding="shift")
    there = rig.give(beside, "value", lambda place: place[0] > 1, path="scene.cursor.location")
    x, y = rig.find(".sketchbridge.mode")
    for row in range(3):
        if rig.state("value", path="object.sketchbridge.mode") != "prompt":
            rig.click(x, y + 21 * row)
    assert rig.state("value", path="object.sketchbridge.mode") == "prompt"
    rig.fill(".sketchbridge.prompt", "a red apple")
    rig.press("sketchbridge.submit")
    rig.wait("shown", lambda shown: len(shown["jobs"]) == 2)
    rig.press("sketchbridge.show_colours")
    only_job(rig, lambda job: step_of(job) > 0)
    rig.find("sketchbridge.pause")  # looking for it takes as long as a hundred steps; seeing that it is still there does not
    only_job(rig, lambda job: step_of(job) >= 340)
    pause = rig.find("sketchbridge.pause")
    edge = rig.state("layout")["regions"]["UI"]
    rig.click(edge["x"] + edge["width"] - 90, pause[1])
    show(page, "stop", SMALL)
    rig.key("Return")
    only_job(rig, lambda job: "accept" in job["buttons"])
    rig.press("sketchbridge.accept")
    rig.wait("objects", lambda things: sum(thing["type"] == "MESH" for thing in things) == 2)
    (made,) = [thing for thing in rig.state("objects") if thing["type"] == "MESH" and thing["active"]]
    assert abs(made["location"][0] - there[0]) < 1.5 and max(abs(turn) for turn in rig.state("value", path="object.rotation_euler")) < 1e-6
    rig.press("sketchbridge.show_colours")
    show(page, "beside")


def reopen(page: Tutorial, rig: Rig, server: str) -> None:
    before = {thing["name"]: thing["faces"] for thing in rig.state("objects") if thing["type"] == "MESH"}
    rig.point_at_viewport()
    rig.give(lambda: rig.key("ctrl+s"), "value", lambda dirty: not dirty, path="data.is_dirty")
    rig.stop_blender()
    rig.start_blender(FILE)
    assert {thing["name"]: thing["faces"] for thing in rig.state("objects") if thing["type"] == "MESH"} == before
    for name in before:
        assert all(picture["packed"] and picture["size"] == [1024, 1024] for picture in rig.state("textures", name=name))
    rig.click_tab(TAB)
    rig.click(*rig.state("object_pixel", name=min(before)))
    shown = rig.wait("shown", lambda shown: len(shown["versions"]) == 2)
    assert shown["versions"][1]["prompt"] == "a blue flower"
    show(page, "reopened", SMALL)
