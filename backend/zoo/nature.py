"""Growing things: flower, mushroom, apple, pear, cactus, tree, fish. Each adds its solids to an assembly, in its own scale.

The ground is z = 0 and the front is -Y. The colour word belongs to: petals, cap, fruit, the cactus itself, foliage, the fish.
"""

from __future__ import annotations

import numpy as np

from backend.zoo.assembly import FRONT, RIGHT, UP, Assembly, frame_of, unit
from backend.zoo.palette import BARK, CREAM, LEAF_GREEN, PALETTE
from backend.zoo.primitives import Kind, Pattern


def _leaf(a: Assembly, root, angle: float, length: float, rise: float, green, *, width=0.42) -> None:
    outward = np.array([np.cos(angle), np.sin(angle), rise])
    side = np.array([-np.sin(angle), np.cos(angle), 0.0])
    a.petal(root, outward, np.cross(unit(outward), side), length, width * length, 0.05 + 0.05 * length,
            bend=-0.35, widen=-0.15, colour=green, part="leaf")  # fmt: skip


def flower(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    height, head = rng.uniform(0.7, 1.15), rng.uniform(0.4, 0.6)
    pose = rng.choice(["up", "tilted", "front"], p=[0.25, 0.4, 0.35])
    face = {"up": UP, "tilted": unit(UP + rng.uniform(0.5, 1.4) * FRONT), "front": unit(FRONT + 0.15 * UP)}[pose]
    face = unit(face + rng.normal(0, 0.08, 3))
    green = a.tint(LEAF_GREEN, 0.2)
    sway = rng.normal(0, 0.05, 2)
    top = np.array([sway[0], sway[1] + (0.05 if pose != "up" else 0.0), height])
    middle = np.array([-0.4 * sway[0], -0.4 * sway[1], 0.55 * height])
    thick = rng.uniform(0.035, 0.065)
    a.stem([np.zeros(3), middle, top - 0.04 * face], thick, 0.85 * thick, colour=green, part="stem")
    first = rng.uniform(0, 2 * np.pi)
    for i in range(int(rng.choice([1, 2, 2, 3]))):
        at = middle * rng.uniform(0.4, 0.95)
        _leaf(a, at, first + i * (np.pi + rng.normal(0, 0.4)), rng.uniform(0.32, 0.55), rng.uniform(0.1, 0.8), green)
    dark = colour_word in ("yellow", "orange", "white")
    heart = rng.choice(["brown", "orange"] if colour_word == "yellow" else ["yellow", "orange", "brown"] if dark else
                       ["yellow", "yellow", "white"] if colour_word not in ("pink", "red") else ["yellow", "yellow", "brown"])  # fmt: skip
    count = int(rng.choice([5, 5, 6, 6, 7, 8, 10]))
    centre_size = head * rng.uniform(0.24, 0.38)
    frame = frame_of(face, RIGHT + 0.01 * UP)
    cup = rng.choice([0.12, 0.3, 0.7], p=[0.5, 0.35, 0.15]) + rng.normal(0, 0.05)
    width = min(2 * np.pi * 0.62 * head / count * rng.uniform(0.8, 1.0), 0.85 * head)
    start, widen = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5)
    for i in range(count):
        angle = start + 2 * np.pi * i / count
        radial = np.cos(angle) * frame[0] + np.sin(angle) * frame[1]
        outward = unit(np.cos(cup) * radial + np.sin(cup) * face)
        normal = np.cos(cup) * face - np.sin(cup) * radial
        a.petal(top + 0.45 * centre_size * radial, outward, normal, head - 0.3 * centre_size, width,
                rng.uniform(0.06, 0.1), bend=rng.uniform(-0.2, 0.15), widen=widen, named=True, part="petal",
                period=0.30 * head if a.pattern is Pattern.SPOTTED else 0.5 * head)  # fmt: skip
    a.ball(top + 0.05 * face, (centre_size, centre_size, 0.55 * centre_size), frame=frame,
           colour=a.tint(PALETTE[heart]), part="centre")  # fmt: skip


def mushroom(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    height, radius = rng.uniform(0.5, 1.0), rng.uniform(0.42, 0.7)
    stalk = rng.uniform(0.11, 0.22)
    pale = a.tint(CREAM if colour_word != "white" else BARK, 0.12)
    bulge = rng.uniform(1.0, 1.5)
    a.add(Kind.PROFILE, (height / 2, bulge * stalk, 1.1 * stalk, stalk, 0.9 * stalk, 0.95 * stalk, 0.0),
          (0, 0, height / 2), colour=pale, part="stalk")  # fmt: skip
    tall = rng.uniform(0.5, 1.05) * radius
    period = rng.uniform(0.2, 0.32)
    shape = rng.choice(["dome", "bell", "flat"], p=[0.55, 0.2, 0.25])
    cap = {"named": True, "shared": True, "part": "cap", "period": period}
    rim = height - 0.1
    if shape == "bell":
        tall, r = 1.35 * tall, radius
        a.add(Kind.PROFILE, (tall / 2, r, 0.92 * r, 0.74 * r, 0.52 * r, 0.26 * r, 0.0), (0, 0, rim + tall / 2), **cap)
        a.ball((0, 0, rim + 0.96 * tall), (0.3 * r, 0.3 * r, 0.16 * tall), **cap)
    else:
        tall, r = tall * (0.55 if shape == "flat" else 0.95), radius
        a.add(Kind.ELLIPSOID, (r, r, tall, 1.0), (0, 0, rim), **cap)
    if rng.random() < 0.35:
        a.add(Kind.TORUS, (1.1 * stalk, 0.28 * stalk, np.pi, 0.0), (0, 0, 0.68 * height), colour=pale, part="ring")
    if rng.random() < 0.3:
        a.ball((0, 0, 0), (2.6 * stalk, 2.6 * stalk, 0.1), colour=a.tint(LEAF_GREEN), part="ground")
    if rng.random() < 0.2:
        off, small = unit([rng.normal(), rng.normal(), 0.0]) * 0.6 * radius, rng.uniform(0.35, 0.5)
        a.rod(off, off + UP * small * height, 0.5 * stalk, colour=pale, part="stalk")
        a.ball(off + UP * small * height, (small * radius, small * radius, 0.7 * small * radius), named=True, part="cap")


def apple(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    r, tall = 0.7, rng.uniform(0.60, 0.72)
    skin = {"named": True, "shared": True, "part": "fruit", "period": rng.uniform(0.3, 0.42)}
    a.add(Kind.PROFILE, (0.8 * tall, 0.5 * r, 0.8 * r, 0.95 * r, 0.99 * r, 0.85 * r, 0.0), (0, 0, 0.8 * tall), **skin)
    # shoulders with a dimple between them
    a.add(Kind.TORUS, (0.42 * r, 0.58 * r, np.pi, 0.0), (0, 0, 2 * tall - 0.58 * r), **skin)
    lean = np.array([rng.normal(0, 0.06), rng.normal(0, 0.06), 0.0])
    base = np.array([0, 0, 2 * tall - 0.12])
    a.stem([base, base + 0.18 * UP + 0.4 * lean, base + 0.36 * UP + lean], 0.05, 0.045, colour=a.tint(BARK), part="stem")
    if rng.random() < 0.8:
        _leaf(a, base + 0.2 * UP, rng.uniform(0, 2 * np.pi), rng.uniform(0.38, 0.55), rng.uniform(0.1, 0.5),
              a.tint(LEAF_GREEN, 0.2), width=0.5)  # fmt: skip


def pear(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    skin = {"named": True, "shared": True, "part": "fruit", "period": rng.uniform(0.3, 0.42)}
    r, tall, neck = rng.uniform(0.5, 0.6), rng.uniform(0.72, 0.85), rng.uniform(0.44, 0.56)
    a.add(Kind.PROFILE, (tall, 0.56 * r, 1.0 * r, 0.96 * r, neck * r, 0.26 * r, 0.0), (0, 0, tall), **skin)
    a.ball((0, 0, 2 * tall - 0.03), (0.28 * r, 0.28 * r, 0.12), **skin)
    lean = np.array([rng.normal(0, 0.07), rng.normal(0, 0.07), 0.0])
    base = np.array([0, 0, 2 * tall])
    a.stem([base, base + 0.14 * UP + 0.4 * lean, base + 0.28 * UP + lean], 0.045, 0.04, colour=a.tint(BARK), part="stem")
    if rng.random() < 0.6:
        _leaf(a, base + 0.12 * UP, rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.5), rng.uniform(0.1, 0.5),
              a.tint(LEAF_GREEN, 0.2), width=0.5)  # fmt: skip


def cactus(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    height, r = rng.uniform(1.0, 1.5), rng.uniform(0.17, 0.25)
    base = 0.0
    if rng.random() < 0.6:
        base, rim = rng.uniform(0.32, 0.45), rng.uniform(0.32, 0.4)
        pot = a.tint((0.76, 0.40, 0.24) if colour_word not in ("brown", "orange", "red") else CREAM, 0.15)
        a.add(Kind.CONE, (base / 2, 0.72 * rim, rim, 0.03), (0, 0, base / 2), colour=pot, part="pot")
        a.add(Kind.CONE, (0.06, 1.12 * rim, 1.12 * rim, 0.03), (0, 0, base), colour=pot, part="pot")
    body = {"named": True, "period": 0.26}
    a.rod((0, 0, base - 0.05), (0, 0, base + height - r), r, 0.95 * r, part="body", **body)
    a.ball((0, 0, base + height - r), (0.95 * r, 0.95 * r, 1.0 * r), part="body", **body)
    turn = rng.normal(0, 0.35)
    arms = int(rng.choice([1, 2, 2, 2, 3]))
    for i in range(arms):
        angle = turn + np.pi * i + (rng.uniform(0.6, 1.2) if i == 2 else 0.0)
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        thin, reach = r * rng.uniform(0.58, 0.75), r + rng.uniform(0.16, 0.28)
        z = base + height * rng.uniform(0.3, 0.52)
        elbow = out * reach + UP * z
        a.rod(UP * z, elbow, thin, part="arm", **body)
        a.ball(elbow, thin * 1.02, part="arm", **body)
        end = elbow + UP * height * rng.uniform(0.2, 0.36)
        a.rod(elbow, end, thin, 0.92 * thin, part="arm", **body)
        a.ball(end, 0.92 * thin, part="arm", **body)
    if rng.random() < 0.3:
        bloom = a.tint(PALETTE["pink" if colour_word != "pink" else "yellow"])
        a.ball((0, 0, base + height), (0.13, 0.13, 0.08), colour=bloom, part="bloom")


def tree(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    trunk, thick = rng.uniform(0.45, 0.85), rng.uniform(0.09, 0.15)
    bark = a.tint(BARK if colour_word != "brown" else (0.25, 0.17, 0.12), 0.15)
    a.rod((0, 0, 0), (0, 0, trunk + 0.15), 1.25 * thick, 0.8 * thick, colour=bark, part="trunk")
    crown = rng.choice(["round", "cones", "clumps"], p=[0.35, 0.35, 0.3])
    if crown == "round":
        r = rng.uniform(0.42, 0.6)
        a.ball((0, 0, trunk + 0.8 * r), (r, r, r * rng.uniform(0.85, 1.25)), named=True, part="foliage", period=0.34)
    elif crown == "cones":
        layers, r = int(rng.integers(2, 4)), rng.uniform(0.45, 0.6)
        step = rng.uniform(0.3, 0.4)
        for i in range(layers):
            w = r * (1 - 0.24 * i)
            half = 0.28 if i < layers - 1 else 0.34
            a.add(Kind.CONE, (half, w, 0.28 * w if i < layers - 1 else 0.03, 0.02), (0, 0, trunk + half - 0.08 + step * i),
                  named=True, part="foliage", period=0.3)  # fmt: skip
    else:
        for i in range(int(rng.integers(4, 7))):
            angle, out = 2.4 * i + rng.uniform(0, 0.6), rng.uniform(0.2, 0.34) * (i > 0)
            at = np.array([out * np.cos(angle), out * np.sin(angle), trunk + 0.35 + (0.22 if i == 0 else rng.uniform(-0.1, 0.2))])
            a.ball(at, rng.uniform(0.28, 0.38), named=True, part="foliage", period=0.3)
    if rng.random() < 0.25:
        a.ball((0, 0, 0), (0.4, 0.4, 0.06), colour=a.tint((0.35, 0.55, 0.2)), part="ground")


def fish(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    length, tall, wide = 0.75, rng.uniform(0.28, 0.45), rng.uniform(0.16, 0.24)
    a.ball((0, 0, 0), (wide, length, tall), named=True, part="body", period=0.3)
    # stripes run round the body: the pattern of the body is drawn along its length
    a.solids[-1].frame = frame_of(FRONT, UP)
    a.solids[-1].sizes = (tall, wide, length)
    fin = a.tint(a.colour * 0.75 if rng.random() < 0.6 else a.accent, 0.1)
    for lift in (1, -1):
        a.petal((0, 0.92 * length, 0), np.array([0, 0.8, lift * 0.75]), RIGHT, rng.uniform(0.45, 0.6), 0.3, 0.09,
                widen=0.35, colour=fin, part="tail")  # fmt: skip
    back = rng.uniform(0.35, 0.55)
    a.petal((0, -0.25, 0.75 * tall), np.array([0, 0.85, 0.5]), RIGHT, 1.1 * back + 0.15, back * 0.7, 0.08, colour=fin, part="fin")
    if rng.random() < 0.6:
        a.petal((0, 0.0, -0.8 * tall), np.array([0, 0.7, -0.7]), RIGHT, 0.35, 0.2, 0.07, colour=fin, part="fin")
    eye_z, eye_y = 0.22 * tall, -0.62 * length
    for side in (-1, 1):
        x = side * wide * 0.76
        a.petal((side * wide * 0.85, -0.1, -0.12), np.array([side * 0.8, 0.7, -0.2]), UP + 0.2 * RIGHT, 0.34, 0.2, 0.06,
                colour=fin, part="fin")  # fmt: skip
        a.ball((x * 0.88, eye_y, eye_z), 0.095, colour=(0.96, 0.96, 0.95), part="eye")
        a.ball((x * 1.2, eye_y - 0.035, eye_z), 0.055, colour=(0.05, 0.05, 0.06), part="pupil")
    a.ball((0, -0.97 * length, -0.10 * tall), (0.09, 0.06, 0.035), colour=a.tint((0.75, 0.35, 0.3)), part="mouth")
