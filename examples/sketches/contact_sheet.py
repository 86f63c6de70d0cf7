# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders every GLB of this folder with Blender's Workbench into one picture: `python contact_sheet.py [name ...]`."""

import math
import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

HERE = Path(__file__).parent
ORDER = ("flower", "snowman", "snowman_keep", "cactus", "fish", "chair", "mushrooms", "mug", "quad_vase")
SIZE, LABEL = 230, 24  # pixels
VIEWS = ((20.0, 15.0), (75.0, 25.0))  # (azimuth, elevation) in degrees


def render(path: Path, azimuth: float, elevation: float) -> np.ndarray:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(path))
    scene = bpy.context.scene
    corners = [o.matrix_world @ Vector(c) for o in scene.objects if o.type == "MESH" for c in o.bound_box]
    low, high = (Vector(f(c[i] for c in corners) for i in range(3)) for f in (min, max))
    centre, size = (low + high) / 2, max(high - low)
    a, e = math.radians(azimuth), math.radians(elevation)
    towards = Vector((math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.35 * size
    camera.data.clip_start, camera.data.clip_end = 0.01 * size, 10 * size
    camera.location = centre + 4 * size * towards
    camera.rotation_euler = towards.to_track_quat("Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.display.shading.light = "STUDIO"
    for mesh in bpy.data.meshes:
        if "_KEEP" in mesh.attributes:
            show_keep(mesh)
    painted = any(o.data.color_attributes for o in scene.objects if o.type == "MESH")
    scene.display.shading.color_type = "VERTEX" if painted else "MATERIAL"
    scene.display.shading.show_cavity = True
    return picture(scene, SIZE, SIZE)


def show_keep(mesh) -> None:
    """Kept parts blue, the rest grey."""
    keep = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes["_KEEP"].data.foreach_get("value", keep)
    colours = np.where(keep[:, None] > 0.5, (0.05, 0.25, 0.8, 1.0), (0.6, 0.6, 0.6, 1.0)).astype(np.float32)
    layer = mesh.color_attributes.new("keep shown", "FLOAT_COLOR", "POINT")
    layer.data.foreach_set("color", colours.ravel())
    mesh.color_attributes.active_color = layer


def picture(scene, width: int, height: int) -> np.ndarray:
    """What the scene's camera sees, display values, row 0 at the bottom as Blender keeps pictures."""
    scene.render.engine, scene.render.dither_intensity = "BLENDER_WORKBENCH", 0.0
    scene.world = bpy.data.worlds.new("world")
    scene.world.color = (0.85, 0.85, 0.85)
    scene.display.shading.background_type = "WORLD"
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = width, height
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "view.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        return np.array(image.pixels[:]).reshape(height, width, -1)[:, :, :3]


def label(text: str) -> np.ndarray:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    words = bpy.data.objects.new("label", bpy.data.curves.new("label", "FONT"))
    words.data.body, words.data.align_x, words.data.align_y = text, "CENTER", "CENTER"
    words.color = (0.02, 0.02, 0.02, 1.0)
    scene.collection.objects.link(words)
    width = SIZE * len(VIEWS)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.2 * width / LABEL
    camera.location.z = 5.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.display.shading.light, scene.display.shading.color_type = "FLAT", "OBJECT"
    return picture(scene, width, LABEL)


def main(names):
    paths = [HERE / f"{n}.glb" for n in names] or [HERE / f"{n}.glb" for n in ORDER]
    tiles = []
    for path in paths:
        views = np.concatenate([render(path, *view) for view in VIEWS], axis=1)
        tiles.append(np.concatenate([label(path.stem), views], axis=0))
    columns = min(3, len(tiles))
    tiles += [np.full_like(tiles[0], 0.94)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    sheet = np.concatenate(rows[::-1], axis=0)
    height, width = sheet.shape[:2]
    image = bpy.data.images.new("sheet", width, height)
    image.pixels.foreach_set(np.concatenate([sheet, np.ones((height, width, 1))], axis=2).astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(HERE / "sketches.png"), "PNG"
    image.save(quality=100)  # for PNG: how hard to compress


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
