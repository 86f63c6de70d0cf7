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
SIZE = 300
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
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.light = "STUDIO"
    painted = any(o.data.color_attributes for o in scene.objects if o.type == "MESH")
    scene.display.shading.color_type = "VERTEX" if painted else "MATERIAL"
    scene.display.shading.show_cavity = True
    scene.display.shading.show_object_outline = False
    scene.world = bpy.data.worlds.new("world")
    scene.world.color = (0.85, 0.85, 0.85)
    scene.display.shading.background_type = "WORLD"
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "view.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        return np.array(image.pixels[:]).reshape(SIZE, SIZE, -1)[:, :, :3]  # row 0 is the bottom


def main(names):
    paths = [HERE / f"{n}.glb" for n in names] or sorted(HERE.glob("*.glb"))
    tiles = [np.concatenate([render(p, *view) for view in VIEWS], axis=1) for p in paths]
    columns = min(3, len(tiles))
    tiles += [np.full_like(tiles[0], 0.94)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    sheet = np.concatenate(rows[::-1], axis=0)
    height, width = sheet.shape[:2]
    image = bpy.data.images.new("sheet", width, height)
    image.pixels.foreach_set(np.concatenate([sheet, np.ones((height, width, 1))], axis=2).astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(HERE / "sketches.png"), "PNG"
    image.save()


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
