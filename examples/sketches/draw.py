# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the example sketches and exports them beside this file: `python draw.py [name ...]`, in an environment with bpy.

One function a sketch. Sizes inside a function are shares of the sketch's longest side, +Z is up and the front faces -Y;
`place` then puts it somewhere in a scene, as an artist would have it: the product must bring the result back there.
"""

import math
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import strokes as s
from mathutils import Matrix, Vector

HERE = Path(__file__).parent
GREEN = (0.10, 0.32, 0.07)


def flower():
    """Six petal loops about a blob, half of them closed and half left open, a stem open at the bottom, two leaves."""
    hand = random.Random(4)
    face = Vector((0.0, -math.sin(math.radians(52)), math.cos(math.radians(52))))  # where the flower looks
    across, up = Vector((1.0, 0.0, 0.0)), face.cross(Vector((1.0, 0.0, 0.0)))
    heart = Vector((0.0, -0.03, 0.66))
    outline = [(0.09, -0.03), (0.19, -0.075), (0.305, -0.075), (0.365, 0.0), (0.305, 0.075), (0.19, 0.075), (0.09, 0.03)]
    petals = []
    for k in range(6):
        angle = 2.0 * math.pi * (k + 0.5) / 6 + hand.uniform(-0.06, 0.06)
        out = math.cos(angle) * across + math.sin(angle) * up
        side = face.cross(out)
        length, lift = hand.uniform(0.95, 1.06), 0.02 * (-1) ** k
        points = []
        for r, t in outline:
            wobble = Vector(hand.uniform(-0.008, 0.008) for _ in range(3))
            points.append(heart + r * length * out + t * side + (lift + 0.35 * r * r) * face + wobble)
        petals.append((points, [0.05, 0.052, 0.055, 0.058, 0.055, 0.052, 0.05], k % 2 == 0))
    s.tube("petals", petals)
    s.blob("heart", heart + 0.02 * face, (0.125, 0.125, 0.09), turn=face.to_track_quat("Z", "Y").to_matrix(), seed=1.0, detail=2)
    stem = [(0.05, 0.06, 0.0), (0.0, 0.075, 0.2), (-0.02, 0.08, 0.42), heart - 0.02 * face]
    s.tube("stem", [(stem, [0.058, 0.054, 0.052, 0.055], False)], colour=GREEN)
    s.tube("leaf left", [([(0.0, 0.07, 0.12), (-0.13, 0.05, 0.2), (-0.27, 0.0, 0.29), (-0.37, -0.05, 0.31)], [0.05, 0.07, 0.085, 0.03], False)],
           colour=GREEN)  # fmt: skip
    s.tube("leaf right", [([(0.0, 0.08, 0.22), (0.13, 0.03, 0.25), (0.25, 0.0, 0.34), (0.31, -0.02, 0.42)], [0.05, 0.066, 0.08, 0.028], False)],
           caps=True, colour=GREEN)  # fmt: skip
    s.place(0.285, (1.2, -0.4, 0.75))


SKETCHES = {"flower": flower}


def main(names):
    for name in names or SKETCHES:
        s.empty_scene()
        SKETCHES[name]()
        s.save_glb(HERE / f"{name}.glb", attributes=name == "snowman_keep")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the Blender module may crash or hang in its exit handlers
