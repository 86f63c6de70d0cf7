# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the extension do again and again."""

import threading
import time
from collections.abc import Callable
from typing import Any

import bpy


def ticks(runtime: Any, count: int = 3) -> None:
    """A few ticks, with what the panel shows prepared by the last one."""
    for _ in range(count):
        runtime._state.drawn_at = 0.0
        runtime.tick()
        assert runtime._state.failures == 0
    only_main_thread()


def until(runtime: Any, condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    """Ticks until the condition holds."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        runtime.tick()
        time.sleep(0.01)


def only_main_thread() -> None:
    """Blender supports no Python threads."""
    assert threading.enumerate() == [threading.main_thread()]


def cube(name: str = "Cube") -> bpy.types.Object:
    """A new cube, selected and active."""
    bpy.ops.mesh.primitive_cube_add()
    made = bpy.context.object
    made.name = name
    return made


def undo_step(message: str) -> None:
    """A base that undo can go back to."""
    bpy.ops.ed.undo_push(message=message)


def snapshot() -> dict[str, Any]:
    """What the scene holds, as far as these tests care."""
    return {
        item.name: (len(item.data.vertices) if item.type == "MESH" else 0, item.visible_get(), bool(item.get("sketchbridge_preview")))
        for item in bpy.context.scene.objects
    }
