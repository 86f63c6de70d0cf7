# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the example sketches and exports them beside this file: `python draw.py [name ...]`, in an environment with bpy.

One function a sketch. Sizes inside a function are shares of the sketch's longest side, more or less; +Z is up and the front
faces -Y. `place` then puts the sketch somewhere in a scene, at some scale: the product must bring its result back there.
"""

import math
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import strokes as s
from mathutils import Matrix, Vector
from vase import vase

HERE = Path(__file__).parent

GREEN, BROWN, ORANGE = (0.10, 0.32, 0.07), (0.16, 0.07, 0.03), (0.85, 0.22, 0.03)  # linear
BLACK, RED, CREAM = (0.02, 0.02, 0.02), (0.60, 0.03, 0.02), (0.85, 0.75, 0.55)


def flower():
    """Six petal loops about a blob, half of them closed and half left open, a stem open at the bottom, two leaves."""
    hand = random.Random(4)
    face = Vector((0.0, -math.sin(math.radians(52)), math.cos(math.radians(52))))  # where the flower looks
    across, up = Vector((1.0, 0.0, 0.0)), face.cross(Vector((1.0, 0.0, 0.0)))
    heart = Vector((0.0, -0.03, 0.66))
    outline = [(0.09, -0.03), (0.19, -0.075), (0.305, -0.08), (0.365, 0.0), (0.305, 0.08), (0.19, 0.075), (0.09, 0.03)]
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
        petals.append((points, [0.056, 0.057, 0.06, 0.062, 0.06, 0.057, 0.056], k % 2 == 0))
    s.tube("petals", petals)
    s.blob("heart", heart + 0.02 * face, (0.125, 0.125, 0.09), turn=face.to_track_quat("Z", "Y").to_matrix(), seed=1.0, detail=2)
    stem = [(0.05, 0.06, 0.0), (0.0, 0.075, 0.2), (-0.02, 0.08, 0.42), heart - 0.02 * face]
    s.tube("stem", [(stem, [0.062, 0.058, 0.056, 0.06], False)], colour=GREEN)
    left = [(0.0, 0.07, 0.12), (-0.13, 0.05, 0.2), (-0.27, 0.0, 0.29), (-0.37, -0.05, 0.31)]
    s.tube("leaf left", [(left, [0.05, 0.07, 0.085, 0.03], False)], colour=GREEN)
    right = [(0.0, 0.08, 0.22), (0.13, 0.03, 0.25), (0.25, 0.0, 0.34), (0.31, -0.02, 0.42)]
    s.tube("leaf right", [(right, [0.05, 0.066, 0.08, 0.028], False)], caps=True, colour=GREEN)
    s.place(0.285, (1.2, -0.4, 0.75))


def snowman(keep=False):
    """Closed blobs, a hat, a carrot and two stick arms; the left arm is the right one mirrored and never applied."""
    s.blob("body", (0.0, 0.0, 0.235), (0.25, 0.245, 0.235), seed=1.0, lumps=0.07)
    s.blob("belly", (0.01, 0.0, 0.55), (0.185, 0.18, 0.17), seed=2.0, lumps=0.06)
    s.blob("head", (0.0, -0.01, 0.775), (0.135, 0.13, 0.13), seed=3.0, lumps=0.05, detail=2)
    nose = [(0.0, -0.1, 0.78), (0.0, -0.18, 0.775), (0.005, -0.27, 0.76)]
    s.tube("nose", [(nose, [0.05, 0.042, 0.018], False)], caps=True, colour=ORANGE)
    stick = [(0.12, 0.0, 0.55), (0.27, -0.02, 0.62), (0.36, -0.05, 0.68), (0.45, -0.05, 0.79)]
    finger = [(0.34, -0.04, 0.66), (0.42, -0.04, 0.68), (0.49, -0.05, 0.67)]
    s.tube("arm right", [(stick, [0.05, 0.048, 0.047, 0.045], False), (finger, 0.045, False)], sides=8, steps=3, colour=BROWN)
    s.mirrored("arm right", "arm left")
    brim = [(0.0, 0.845), (0.16, 0.85), (0.185, 0.885), (0.16, 0.92), (0.108, 0.93)]
    crown = [(0.1, 0.99), (0.105, 1.05), (0.085, 1.075), (0.0, 1.08)]
    s.turned("hat", [*brim, *crown], sides=16, colour=BLACK)
    if keep:
        s.mark("_keep", lambda p: min(1.0, max(0.0, (0.5 - p.z) / 0.05)))  # the lower half, with the rim that a soft brush leaves
    s.place(1.7, (-3.0, 2.0, 0.1))


def cactus():
    """A trunk that was gone over twice and two arms that bend tighter than they are thick; one arm and one knob are inside out."""
    trunk = [(0.0, 0.0, 0.0), (0.015, 0.01, 0.3), (-0.015, 0.0, 0.62), (0.0, 0.0, 0.88), (0.0, 0.0, 0.97)]
    over = [(0.03, 0.01, 0.02), (0.0, -0.03, 0.3), (0.02, -0.01, 0.6)]
    strokes = [(trunk, [0.145, 0.15, 0.145, 0.12, 0.03], False), (over, [0.12, 0.135, 0.1], False)]
    ribs = s.tube("trunk", strokes, sides=12)
    left = [(-0.03, 0.0, 0.37), (-0.22, -0.01, 0.36), (-0.285, -0.02, 0.4), (-0.29, -0.02, 0.56), (-0.275, -0.02, 0.71),
            (-0.275, -0.02, 0.745)]  # fmt: skip
    arm = s.flip(s.tube("arm left", [(left, [0.08, 0.085, 0.095, 0.09, 0.07, 0.025], False)], caps=True))
    right = [(0.03, 0.0, 0.5), (0.19, -0.03, 0.48), (0.265, -0.04, 0.53), (0.275, -0.05, 0.66), (0.265, -0.04, 0.82),
             (0.265, -0.04, 0.86)]  # fmt: skip
    other = s.tube("arm right", [(right, [0.075, 0.08, 0.09, 0.085, 0.07, 0.02], False)])
    knob = s.flip(s.blob("knob", (0.02, -0.05, 0.965), (0.07, 0.07, 0.06), seed=5.0, detail=2))
    for piece in (ribs, arm, other):
        s.paint(piece, lambda p: Vector(GREEN).lerp(Vector((0.22, 0.5, 0.12)), min(1.0, max(0.0, p.z))))
    s.paint(knob, lambda p: Vector((0.75, 0.08, 0.25)))
    s.place(0.9, (0.5, 3.0, -1.2))


def fish():
    """A closed body; the fins and the tail are flat ribbons without any thickness."""
    s.blob("body", (0.0, -0.12, 0.0), (0.15, 0.37, 0.225), seed=2.0, lumps=0.06, colour=ORANGE)
    tail_up = ([(0.0, 0.18, 0.045), (0.01, 0.3, 0.1), (0.0, 0.5, 0.28)], [(0.0, 0.18, -0.02), (-0.01, 0.36, -0.01), (0.0, 0.43, 0.05)])
    tail_down = ([(0.0, 0.18, 0.02), (0.01, 0.36, 0.01), (0.0, 0.43, -0.05)], [(0.0, 0.18, -0.045), (-0.01, 0.3, -0.1), (0.0, 0.5, -0.26)])
    s.ribbon("tail", [tail_up, tail_down], colour=(0.9, 0.45, 0.05))
    back = ([(0.0, -0.3, 0.17), (0.01, -0.1, 0.2), (0.0, 0.1, 0.13)], [(0.0, -0.2, 0.31), (-0.01, -0.02, 0.36), (0.0, 0.19, 0.24)])
    belly = ([(0.0, -0.16, -0.2), (0.0, 0.0, -0.18)], [(0.0, -0.07, -0.32), (0.0, 0.1, -0.29)])
    s.ribbon("fins", [back, belly], colour=(0.9, 0.45, 0.05))
    side = ([(0.12, -0.2, 0.0), (0.22, -0.11, -0.03), (0.3, 0.0, -0.07)], [(0.12, -0.18, -0.09), (0.2, -0.09, -0.15), (0.26, 0.02, -0.18)])
    s.ribbon("side fin right", [side], colour=(0.9, 0.45, 0.05))
    s.mirrored("side fin right", "side fin left")
    for x in (-1, 1):
        s.blob(f"eye {'left' if x < 0 else 'right'}", (0.1 * x, -0.34, 0.065), (0.05, 0.055, 0.055), detail=2, colour=BLACK)
    s.place(24.0, (-110.0, 40.0, 60.0))


def chair():
    """Four leg strokes, a seat, two posts and two rails. No colour anywhere: grey is what the artist left."""
    hand = random.Random(2)
    legs = []
    for x in (-1, 1):
        for y in (-1, 1):
            foot = (0.235 * x + hand.uniform(-0.02, 0.02), 0.225 * y + hand.uniform(-0.02, 0.02), 0.0)
            legs.append(([foot, (0.205 * x, 0.2 * y, 0.22), (0.19 * x, 0.18 * y, 0.45)], [0.054, 0.055, 0.058], False))
    s.tube("legs", legs, sides=8)
    s.slab("seat", (0.0, 0.0, 0.455), (0.255, 0.245, 0.052), turn=Matrix.Rotation(math.radians(1.5), 3, "Y"), bevel=0.7)
    posts = [([(0.19 * x, 0.19, 0.42), (0.2 * x, 0.215, 0.68), (0.195 * x, 0.25, 0.97)], [0.057, 0.054, 0.053], False) for x in (-1, 1)]
    s.tube("posts", posts, sides=8, caps=True)
    heights = ((0.93, 0.06), (0.72, 0.054))  # with their radii
    rails = [([(-0.25, 0.235, z + 0.01), (0.0, 0.26, z + 0.02), (0.25, 0.235, z - 0.01)], r, False) for z, r in heights]
    s.tube("rails", rails, sides=10, caps=True)
    s.place(0.95, (2.0, 5.0, 0.0))


def mushrooms():
    """Two mushrooms that do not touch. Each stalk is a tube open at both ends, each cap a lump squashed from below."""

    def mushroom(name, x, y, height, radius, stalk, seed):
        foot = [(x, y, 0.0), (x + 0.02, y, 0.35 * height), (x, y + 0.01, 0.8 * height)]
        s.tube(f"{name} stalk", [(foot, [1.25 * stalk, stalk, 0.95 * stalk], False)], colour=CREAM)
        cap = s.blob(f"{name} cap", (x, y, height - 0.55 * radius), (radius, radius, 0.6 * radius), seed=seed, lumps=0.08)
        middle = height - 0.55 * radius
        for vertex in cap.data.vertices:
            if vertex.co.z < middle:
                vertex.co.z = middle + 0.35 * (vertex.co.z - middle)
        spots = [Vector((math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e))) for a, e in
                 ((-1.5, 0.55), (-0.4, 0.35), (-2.6, 0.4), (0.8, 0.5), (2.1, 0.4), (0.3, 1.4))]  # fmt: skip

        def colour_at(p):
            towards = Vector((p.x - x, p.y - y, (p.z - middle) / 0.6)).normalized()
            return CREAM if p.z < middle - 0.02 or max(towards.dot(spot) for spot in spots) > 0.955 else RED

        s.paint(cap, colour_at)

    mushroom("big", -0.18, 0.05, 0.86, 0.32, 0.095, 1.0)
    mushroom("small", 0.41, -0.12, 0.47, 0.185, 0.065, 4.0)
    s.place(0.12, (0.0, 0.0, 3.0))


def mug():
    """A closed cup with a thick wall and a handle stroke whose open ends are stuck into it: one hole to keep."""
    outer = [(0.0, 0.0), (0.27, 0.0), (0.31, 0.035), (0.325, 0.2), (0.335, 0.4), (0.345, 0.6), (0.355, 0.79)]
    inner = [(0.34, 0.83), (0.28, 0.83), (0.262, 0.79), (0.252, 0.6), (0.245, 0.4), (0.235, 0.2), (0.2, 0.12), (0.0, 0.11)]
    body = s.turned("cup", [*outer, *inner], sides=24, axis=(-0.12, 0.0))
    s.knead(body, 0.02, seed=3.0)
    handle = [(0.15, 0.0, 0.66), (0.3, -0.01, 0.7), (0.43, 0.0, 0.6), (0.465, 0.0, 0.42), (0.4, 0.01, 0.24), (0.27, 0.0, 0.18),
              (0.15, 0.0, 0.22)]  # fmt: skip
    s.tube("handle", [(handle, [0.065, 0.06, 0.058, 0.06, 0.06, 0.06, 0.065], False)])
    s.place(0.1, (-0.35, 0.2, 0.74))


def quad_vase():
    """A finished mesh for texture mode: quads, some n-gons (both floors and a few on the side), two UV maps."""
    vase("vase")
    s.place(0.4, (1.0, 1.0, 0.0))


SKETCHES = {
    "flower": flower, "snowman": snowman, "snowman_keep": lambda: snowman(keep=True), "cactus": cactus, "fish": fish,
    "chair": chair, "mushrooms": mushrooms, "mug": mug, "quad_vase": quad_vase,
}  # fmt: skip


def main(names):
    for name in names or SKETCHES:
        s.empty_scene()
        SKETCHES[name]()
        s.save_glb(HERE / f"{name}.glb", attributes=name == "snowman_keep")
        if name == "quad_vase":
            s.save_obj(HERE / "quad_vase.obj")
            s.save_obj(HERE / "quad_vase_no_uv.obj", uv=False)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the Blender module may crash or hang in its exit handlers
