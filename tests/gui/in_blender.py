# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender and answers the driver's questions: what is where, what is in the scene.

A question is a JSON file {"query": name, "arguments": {...}} in the exchange folder; its answer appears beside it. Nothing from a file is
executed: `QUERIES` lists what can be asked. A query may be a generator: each `yield seconds` lets Blender draw and read events.
Pixels are X's: the origin is the top left corner of the window.
"""

import dataclasses
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d

EXCHANGE = Path(os.environ["RIG_EXCHANGE"])
IDLE_S = 0.02
QUERIES: dict[str, Callable[..., Any]] = {}
Answer = Generator[float, None, Any]


def query(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function known to the driver under its own name."""
    QUERIES[function.__name__] = function
    return function


# ------------------------------------------------------------------------------------------------------------- the window


def window() -> Any:
    return bpy.context.window_manager.windows[0]


def viewport() -> Any:
    """The largest 3D viewport."""
    return max((area for area in window().screen.areas if area.type == "VIEW_3D"), key=lambda area: area.width * area.height)


def region(kind: str) -> Any:
    return next(part for part in viewport().regions if part.type == kind)


def rectangle(part: Any) -> dict[str, int]:
    """Left, top, width and height of an area or region."""
    return {"x": part.x, "y": window().height - part.y - part.height, "width": part.width, "height": part.height}


@query
def layout() -> dict[str, Any]:
    """Size of the window, and where the viewport's regions are."""
    areas = {part.type: rectangle(part) for part in viewport().regions if part.width > 1 and part.height > 1}
    return {"width": window().width, "height": window().height, "viewport": rectangle(viewport()), "regions": areas}


@query
def tab() -> str:
    """The tab that the sidebar shows; "" while the sidebar is closed."""
    return str(region("UI").active_panel_category) if region("UI").width > 1 else ""


@query
def open_tab(category: str) -> Answer:
    """Shows one tab of the sidebar; its name once it is shown."""
    viewport().spaces.active.show_region_ui = True
    for _ in range(200):
        yield 0.05
        try:
            region("UI").active_panel_category = category
        except (AttributeError, TypeError):  # the region was not drawn yet
            viewport().tag_redraw()
            continue
        yield 0.2
        return region("UI").active_panel_category
    raise LookupError(f"no tab {category!r} in the sidebar")


@query
def settle() -> Answer:
    """Draws everything anew a few times."""
    for _ in range(3):
        for area in window().screen.areas:
            area.tag_redraw()
        yield 0.05
    return True


# ------------------------------------------------------------------------------------------------------------- buttons


def under_pointer(kind: str) -> str:
    """What the button under the pointer does: its operator call, the path of its property, "preferences" for a property of Blender's
    preferences (those have no path); "" where there is no button.
    """
    with bpy.context.temp_override(window=window(), area=viewport(), region=region(kind)):
        manager = bpy.context.window_manager
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
            return manager.clipboard.removeprefix("bpy.ops.")
        if bpy.ops.ui.copy_data_path_button.poll():
            bpy.ops.ui.copy_data_path_button(full_path=True)
            return manager.clipboard.removeprefix("bpy.")
        if bpy.ops.ui.reset_default_button.poll():
            return "preferences"
    return ""


def hover(x: int, y: int, kind: str) -> Answer:
    """Moves the pointer and says what it is over."""
    window().cursor_warp(x, window().height - 1 - y)
    for _ in range(2):
        yield 0.0
    return under_pointer(kind)


@query
def button_at(x: int, y: int, kind: str = "UI") -> Answer:
    """What the button at a pixel does, or ""."""
    yield from hover(x, y + 40, kind)
    return (yield from hover(x, y, kind))


TABS_PX = 36
"""Width of the strip of tabs beside the sidebar's panels."""
COARSE = (0.5, 0.95, 0.06, 0.25, 0.75)
FINE = tuple(column / 16 for column in range(1, 16))
"""Where to look for buttons, as shares of the panels' width: wide buttons are met at once, icons at the end of a row next."""


def grid(kind: str, columns: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Pixels of a region, column after column, close enough to meet each button of the usual height."""
    place = rectangle(region(kind))
    for column in columns:
        for y in range(place["y"] + 6, place["y"] + place["height"] - 4, 9):
            yield place["x"] + round(column * (place["width"] - TABS_PX)), y


@query
def find_button(part: str, kind: str = "UI", fine: bool = False) -> Answer:
    """{x, y, does} of the first button whose operator call or property path contains `part`; None where there is none."""
    for x, y in grid(kind, FINE if fine else COARSE):
        does = yield from hover(x, y, kind)
        if part in does:
            middle = yield from middle_of(x, y, does, kind)
            return {"x": x, "y": middle, "does": does}
    return None


def middle_of(x: int, y: int, does: str, kind: str) -> Answer:
    """The middle of a button's height, from a pixel on it."""
    rows = [y]
    for step in (-1, 1):
        for row in range(y + step, y + step * 40, step):
            if (yield from hover(x, row, kind)) != does:
                break
            rows.append(row)
    return (min(rows) + max(rows)) // 2


@query
def buttons(kind: str = "UI", fine: bool = False) -> Answer:
    """Every button of a region, from the top: {x, y, does}. Takes some seconds; meant for looking around."""
    found: dict[str, dict[str, Any]] = {}
    for x, y in grid(kind, FINE if fine else COARSE):
        does = yield from hover(x, y, kind)
        if does:
            found.setdefault(does, {"x": x, "y": y, "does": does})
    return sorted(found.values(), key=lambda button: (button["y"], button["x"]))


@query
def scrolled(kind: str = "UI") -> float:
    """How far a region is scrolled."""
    return float(region(kind).view2d.region_to_view(0, 0)[1])


# -------------------------------------------------------------------------------------------------------------- panels

DRAWN: set[str] = set()
WATCHED: set[type] = set()


def note(panel: Any, _context: Any) -> None:
    """Drawn at the end of every open panel: nothing but its name in our list."""
    DRAWN.add(type(panel).__name__)


@query
def open_panels(category: str) -> Answer:
    """Names of a tab's panels that are drawn with their content, and so are open."""
    for panel in {found for found in bpy.types.Panel.__subclasses__() if getattr(found, "bl_category", "") == category} - WATCHED:
        panel.append(note)
        WATCHED.add(panel)
    DRAWN.clear()
    for _ in range(2):
        viewport().tag_redraw()
        yield 0.1
    return sorted(DRAWN)


@query
def paint_headers(colour: list[float]) -> list[float]:
    """Draws the sidebar's panel headers in another colour (RGBA), so that a picture shows where they are; the colour before."""
    colours = bpy.context.preferences.themes[0].view_3d.space.panelcolors
    before = list(colours.header)
    colours.header = colour
    return before


# --------------------------------------------------------------------------------------------------------------- the scene


@query
def blender() -> dict[str, Any]:
    """Versions, threads of Python, enabled extensions."""
    return {
        "blender": bpy.app.version_string,
        "python": sys.version.split()[0],
        "threads": [thread.name for thread in threading.enumerate()],
        "extensions": [addon.module for addon in bpy.context.preferences.addons if addon.module.startswith("bl_ext.")],
        "online": bpy.app.online_access,
        "file": bpy.data.filepath,
    }


@query
def shown() -> Any:
    """What the SketchBridge tab shows: link, headline, jobs, sketch, versions, as the panels read it."""
    now = sys.modules["bl_ext.user_default.sketchbridge.ui.shown"].now
    return json.loads(json.dumps(dataclasses.asdict(now), default=lambda thing: getattr(thing, "value", str(thing))))


@query
def objects() -> list[dict[str, Any]]:
    """Every object of the scene, with what can be seen of it."""
    layer = window().view_layer
    return [
        {
            "name": thing.name,
            "type": thing.type,
            "selected": thing.select_get(view_layer=layer),
            "active": thing == layer.objects.active,
            "location": list(thing.matrix_world.translation),
            "dimensions": list(thing.dimensions),
            "vertices": len(thing.data.vertices) if thing.type == "MESH" else 0,
            "faces": len(thing.data.polygons) if thing.type == "MESH" else 0,
            "materials": [slot.material.name if slot.material else "" for slot in thing.material_slots],
            "groups": [group.name for group in thing.vertex_groups],
            "hidden": thing.hide_get(view_layer=layer),
            "mode": thing.mode,
        }
        for thing in window().scene.objects
    ]


@query
def previews() -> list[dict[str, Any]]:
    """Every preview object: its size, its mean colour (linear), and one number that changes with any of its vertices."""
    return [
        {
            "vertices": len(thing.data.vertices),
            "faces": len(thing.data.polygons),
            "sum": sum(value * (1 + index % 97) for index, value in enumerate(column(thing.data.vertices, "co", 3))),
            "colour": mean(column(thing.data.color_attributes[0].data, "color", 4), 4)[:3] if thing.data.color_attributes else [],
        }
        for thing in window().scene.objects
        if "sketchbridge_preview" in thing
    ]


@query
def textures(name: str) -> list[dict[str, Any]]:
    """Pictures in the active material of an object, with their mean colour (as stored)."""
    nodes = bpy.data.objects[name].active_material.node_tree.nodes
    images = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    return [
        {"name": image.name, "size": list(image.size), "packed": bool(image.packed_file), "colour": mean(list(image.pixels), 4)[:3]}
        for image in images
    ]


def column(items: Any, name: str, width: int) -> list[float]:
    """A number or vector of every item, one after another."""
    flat = [0.0] * (width * len(items))
    items.foreach_get(name, flat)
    return flat


def mean(flat: list[float], width: int) -> list[float]:
    """Of each channel."""
    return [sum(flat[channel::width]) / max(len(flat) // width, 1) for channel in range(width)]


@query
def strokes(name: str) -> list[dict[str, Any]]:
    """Every stroke of a Grease Pencil object: its points, its largest radius, its size along the axes."""
    found = []
    for stroke in bpy.data.objects[name].data.layers[0].current_frame().drawing.strokes:
        places = [point.position for point in stroke.points]
        size = [max(place[axis] for place in places) - min(place[axis] for place in places) for axis in range(3)]
        found.append({"points": len(places), "radius": max(point.radius for point in stroke.points), "size": size})
    return found


@query
def give_pencil() -> str:
    """A hard pencil for Draw Mode: Debian leaves out the file that Blender's own brushes come in."""
    pencil = bpy.data.brushes.new("Pencil", mode="PAINT_GREASE_PENCIL")
    pencil.asset_mark()
    settings = pencil.gpencil_settings
    settings.hardness, settings.aspect, settings.use_pressure = 1.0, (1.0, 1.0), False
    settings.active_smooth_factor, settings.input_samples = 0.35, 10
    with bpy.context.temp_override(window=window(), area=viewport(), region=region("WINDOW")):
        bpy.ops.brush.asset_activate(asset_library_type="LOCAL", relative_asset_identifier="Brush/Pencil")
    return bpy.context.tool_settings.gpencil_paint.brush.name


@query
def object_pixel(name: str) -> list[int]:
    """Where an object's origin is on the screen."""
    part = region("WINDOW")
    point = location_3d_to_region_2d(part, viewport().spaces.active.region_3d, bpy.data.objects[name].matrix_world.translation)
    place = rectangle(part)
    return [place["x"] + round(point.x), place["y"] + place["height"] - 1 - round(point.y)]


@query
def value(path: str) -> Any:
    """A property of the scene, the active object, the 3D view, the tools or the file, by names with dots: "scene.frame_current"."""
    start, *names = path.split(".")
    view, active = viewport().spaces.active, window().view_layer.objects.active
    thing = {"scene": window().scene, "object": active, "view": view, "tools": window().scene.tool_settings, "data": bpy.data}[start]
    for name in names:
        thing = getattr(thing, name)
    return thing if isinstance(thing, str | int | float | bool | None) else list(thing)


@query
def save_file(path: str) -> str:
    """Saves under a path inside the root."""
    with bpy.context.temp_override(window=window()):
        bpy.ops.wm.save_as_mainfile(filepath=path)
    return str(bpy.data.filepath)


# -------------------------------------------------------------------------------------------------------------- the agent


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file that appears whole."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    os.replace(unfinished, path)


def work() -> Generator[float, None, None]:
    """Answers questions one after another, for ever."""
    write(EXCHANGE / "ready.json", {"blender": bpy.app.version_string})
    while True:
        for path in sorted(EXCHANGE.glob("ask-*.json")):
            question = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            try:
                answer = QUERIES[question["query"]](**question["arguments"])
                if isinstance(answer, Generator):
                    answer = yield from answer
                reply = {"value": answer}
            except Exception:
                reply = {"error": traceback.format_exc()}
            write(EXCHANGE / path.name.replace("ask", "answer"), reply)
        yield IDLE_S


WORK = work()


def tick() -> float:
    return next(WORK)


preferences = bpy.context.preferences
preferences.view.show_splash = False
preferences.view.ui_scale = 1.0
preferences.view.show_tooltips = False
preferences.use_preferences_save = False
bpy.app.timers.register(tick, first_interval=0.5, persistent=True)
