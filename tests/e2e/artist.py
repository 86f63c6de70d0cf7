# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist's Blender, without a window, driven line by line: one JSON request on stdin, one JSON answer on stdout.

Between requests it does what Blender's timer would: it calls the extension's tick. The longest tick and every Python thread that was
ever alive are kept and told.
"""

import hashlib
import json
import math
import os
import select
import sys
import threading
import time
import traceback

import bpy
import numpy as np

import blender_addon
from blender_addon import runtime

SEEN: dict = {"threads": set(), "ticks": [], "previews": {}}


def tick():
    began = time.perf_counter()
    runtime.tick()
    SEEN["ticks"].append(time.perf_counter() - began)
    SEEN["threads"].update(thread.name for thread in threading.enumerate())
    for thing in bpy.data.objects:
        job = thing.get("sketchbridge_preview")
        if job and thing.data and len(thing.data.vertices):
            seen = SEEN["previews"].setdefault(job, [])
            points = np.empty(3 * len(thing.data.vertices), np.float32)
            thing.data.vertices.foreach_get("co", points)
            mark = hashlib.sha256(points.tobytes()).hexdigest()
            if not seen or seen[-1]["mark"] != mark:
                extent = np.ptp(points.reshape(-1, 3), axis=0)
                seen.append({"mark": mark, "vertices": len(thing.data.vertices), "diagonal": float(np.linalg.norm(extent))})


def draw_strokes():
    """A flower out of three kinds of strokes, off the origin, at a scale of its own: pencil petals, a bevelled stem, a mesh heart."""
    bpy.ops.wm.read_homefile(use_empty=True)
    centre = np.array([3.0, -2.0, 1.5])
    made = [_petals(centre), _stem(centre), _heart(centre)]
    for thing in made:
        thing.select_set(True)
    bpy.context.view_layer.objects.active = made[-1]
    bpy.ops.ed.undo_push(message="Drawn")
    return {"objects": [thing.name for thing in made]}


def _petals(centre):
    loops = []
    for k in range(5):
        angle = 2 * math.pi * k / 5
        out, side = np.array([math.cos(angle), 0, math.sin(angle)]), np.array([-math.sin(angle), 0, math.cos(angle)])
        turn = np.linspace(0, 2 * math.pi, 16)
        loops.append(centre + np.array([0, -0.05, 0]) + (0.42 + 0.28 * np.cos(turn))[:, None] * out + (0.2 * np.sin(turn))[:, None] * side)
    if hasattr(bpy.types, "GreasePencilv3") or bpy.app.version >= (5, 0):
        data = (bpy.data.grease_pencils_v3 if hasattr(bpy.data, "grease_pencils_v3") else bpy.data.grease_pencils).new("Petals")
        drawing = data.layers.new("Lines").frames.new(1).drawing
        drawing.add_strokes([len(points) for points in loops])
        for stroke, points in zip(drawing.strokes, loops, strict=True):
            for point, place in zip(stroke.points, points, strict=True):
                point.position, point.radius = place, 0.06
    else:
        data = bpy.data.grease_pencils.new("Petals")
        frame = data.layers.new("Lines").frames.new(1)
        for points in loops:
            stroke = frame.strokes.new()
            stroke.line_width = 120
            stroke.points.add(len(points))
            stroke.points.foreach_set("co", np.asarray(points, np.float32).ravel())
    thing = bpy.data.objects.new("Petals", data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _stem(centre):
    curve = bpy.data.curves.new("Stem", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.06
    spline = curve.splines.new("POLY")
    spline.points.add(5)
    for k, point in enumerate(spline.points):
        point.co = (centre[0] + 0.05 * math.sin(k), centre[1], centre[2] - 0.24 * k, 1.0)
    thing = bpy.data.objects.new("Stem", curve)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _heart(centre):
    bpy.ops.mesh.primitive_uv_sphere_add(segments=20, ring_count=12, radius=0.2, location=tuple(centre + np.array([0, -0.06, 0])))
    thing = bpy.context.object
    thing.name, thing.scale.y = "Heart", 0.6
    return thing


def draw_pot():
    """One mesh with all that must be carried over: a turned, unevenly scaled apple with a parent, groups, materials, a modifier."""
    bpy.ops.wm.read_homefile(use_empty=True)
    parent = bpy.data.objects.new("Table", None)
    parent.location, parent.rotation_euler = (40.0, -7.0, 2.0), (0.1, 0.2, 0.9)
    bpy.context.scene.collection.objects.link(parent)
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16, radius=0.7, location=(1.0, 2.0, 0.3), rotation=(0.2, 0.1, 0.5))
    thing = bpy.context.object
    thing.name, thing.scale, thing.parent = "Apple", (1.0, 0.9, 1.2), parent
    top, low = thing.vertex_groups.new(name="top"), thing.vertex_groups.new(name="low")
    for vertex in thing.data.vertices:
        (top if vertex.co.z > 0 else low).add([vertex.index], 1.0, "REPLACE")
    skin = bpy.data.materials.new("Skin")
    thing.data.materials.append(skin)
    thing["price"] = 12
    thing.modifiers.new("Wobble", "DISPLACE").strength = 0.0
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="Drawn")
    return facts("Apple")


def settings(**values):
    from blender_addon.props.settings import active_settings

    held = active_settings(bpy.context)
    for name, value in values.items():
        setattr(held, name, value)
    return {name: getattr(held, name) for name in values}


def op(name, **arguments):
    """Press a button. Its report comes back where it refuses."""
    family, _, verb = name.partition(".")
    call = getattr(getattr(bpy.ops, family), verb)
    try:
        return {"result": sorted(call("EXEC_DEFAULT", True, **arguments))}
    except RuntimeError as error:
        return {"result": ["ERROR"], "report": str(error)}


def rows():
    session = runtime.present()
    if session is None:
        return {"link": "none", "rows": {}}
    told = {}
    for job, row in session.rows.items():
        state = row.state
        told[job] = {
            "state": state.state if state else "",
            "step": state.step if state else 0,
            "steps": state.steps if state else 0,
            "prompt": state.prompt if state else "",
            "attempt": state.attempt if state else 0,
            "fraction": state.fraction if state else 0.0,
            "preview": row.preview,
            "asset": row.asset is not None,
            "accepted": row.accepted,
            "target": row.record.target if row.record else "",
            "remarks": [remark.text for remark in row.remarks],
            "faults": [fault.sentence for fault in row.faults] + ([state.fault.sentence] if state and state.fault else []),
        }
    return {
        "link": session.link.link.value,
        "kind": session.link.kind,
        "sentence": session.link.sentence,
        "hint": session.link.hint,
        "rows": told,
    }


def facts(name):
    """An object as anybody finds it in the file."""
    thing = bpy.data.objects.get(name)
    if thing is None:
        return {"there": False, "objects": [other.name for other in bpy.data.objects]}
    bpy.context.view_layer.update()
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data if thing.type == "MESH" else None
    told = {
        "there": True,
        "type": thing.type,
        "uid": thing.get("sketchbridge_uid", ""),
        "hidden": thing.hide_get(),
        "parent": thing.parent.name if thing.parent else "",
    }
    told["matrix"] = [value for row in thing.matrix_world for value in row]
    if mesh is not None:
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", points)
        matrix = np.array(thing.matrix_world, np.float64)
        world = points.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        told |= {
            "vertices": len(mesh.vertices),
            "faces": len(mesh.polygons),
            "low": world.min(0).tolist(),
            "high": world.max(0).tolist(),
            "mark": hashlib.sha256(points.tobytes()).hexdigest(),
            "groups": [group.name for group in thing.vertex_groups],
            "weighted": _weights(thing),
            "materials": [slot.material.name if slot.material else "" for slot in thing.material_slots],
            "images": _images(thing),
            "uv_maps": [layer.name for layer in thing.data.uv_layers],
            "modifiers": [modifier.name for modifier in thing.modifiers],
            "custom": {key: value for key, value in thing.items() if isinstance(value, int | float | str)},
        }
    return told


def _weights(thing):
    """Per group: how many vertices carry it, and their mean height in the mesh."""
    told = {}
    for group in thing.vertex_groups:
        heights = [v.co.z for v in thing.data.vertices for g in v.groups if g.group == group.index and g.weight > 0.5]
        told[group.name] = [len(heights), float(np.mean(heights)) if heights else 0.0]
    return told


def _images(thing):
    """The pictures of the first material: name -> side, colour space, whether it lies in the file, mean colour."""
    told = {}
    material = thing.material_slots[0].material if thing.material_slots else None
    for node in material.node_tree.nodes if material and material.node_tree else ():
        if node.type == "TEX_IMAGE" and node.image:
            pixels = np.empty(len(node.image.pixels), np.float32)
            node.image.pixels.foreach_get(pixels)
            told[node.image.name] = {
                "size": list(node.image.size),
                "space": node.image.colorspace_settings.name,
                "packed": node.image.packed_file is not None,
                "mean": pixels.reshape(-1, 4)[:, :3].mean(0).tolist(),
                "mark": hashlib.sha256(pixels.tobytes()).hexdigest(),
            }
    return told


def versions(name):
    session = runtime.session()
    uid = bpy.data.objects[name].get("sketchbridge_uid", "")
    return [{"label": one.label, "prompt": one.prompt, "current": one.current} for one in session.ports.versions.versions(uid)]


def connect(address):
    bpy.context.preferences.addons["blender_addon"].preferences.address = address
    return op("sketchbridge.connect")


def seen():
    """The slowest ticks, the threads, and the different previews of every job."""
    ticks = sorted(SEEN["ticks"], reverse=True)
    return {
        "slowest_ms": [round(1000 * one, 2) for one in ticks[:5]],
        "ticks": len(ticks),
        "threads": sorted(SEEN["threads"]),
        "previews": SEEN["previews"],
    }


def select_only(name):
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing.name == name)
    bpy.context.view_layer.objects.active = bpy.data.objects[name]
    return {}


def select_only_result(job):
    """Select the object that a job was accepted into; the names of all mesh objects that can be seen."""
    row = runtime.session().rows[job]
    select_only(row.object_name)
    return {"objects": [row.object_name]}


def empty_with_cursor(place):
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.cursor.location = place
    bpy.ops.ed.undo_push(message="Empty")
    return {}


def undo():
    bpy.ops.ed.undo()
    return {"objects": [thing.name for thing in bpy.data.objects]}


def redo():
    bpy.ops.ed.redo()
    return {"objects": [thing.name for thing in bpy.data.objects]}


def save(path):
    bpy.ops.wm.save_as_mainfile(filepath=path)
    return {}


def reopen(path):
    bpy.ops.wm.open_mainfile(filepath=path)
    return {"objects": [thing.name for thing in bpy.data.objects]}


COMMANDS = {
    f.__name__: f
    for f in (
        draw_strokes,
        draw_pot,
        settings,
        op,
        rows,
        facts,
        versions,
        connect,
        seen,
        select_only,
        select_only_result,
        empty_with_cursor,
        undo,
        redo,
        save,
        reopen,
    )
}


def main():
    bpy.ops.preferences.addon_enable(module=blender_addon.__name__)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Blender's own words go to stderr
    left = b""
    while True:
        tick()
        while select.select([0], [], [], 0.0 if b"\n" in left else 0.02)[0] or b"\n" in left:
            if b"\n" not in left:
                data = os.read(0, 65536)
                if not data:
                    bpy.ops.preferences.addon_disable(module=blender_addon.__name__)
                    sys.stderr.flush()
                    os._exit(0)
                left += data
                continue
            line, _, left = left.partition(b"\n")
            request = json.loads(line)
            try:
                answer = COMMANDS[request.pop("do")](**request)
            except Exception:
                answer = {"error": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            tick()


main()
