"""Made things: cottage, mug, vase, chair, snowman, rocket, lamp. Each adds its solids to an assembly, in its own scale.

The ground is z = 0 and the front is -Y. The colour word belongs to: roof, mug, vase, chair, hat and scarf, hull, shade.
"""

from __future__ import annotations

import numpy as np

from backend.zoo.assembly import FRONT, RIGHT, UP, Assembly, frame_of
from backend.zoo.palette import BARK, CREAM, PALETTE, contrasting
from backend.zoo.primitives import Kind, Pattern


def cottage(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    wide, deep, tall = rng.uniform(0.5, 0.72), rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.75)
    wall = a.tint(rng.choice([CREAM, (0.86, 0.80, 0.70), (0.80, 0.72, 0.62)] if colour_word == "white" else
                             [CREAM, (0.95, 0.94, 0.92), (0.85, 0.78, 0.68)]), 0.08)  # fmt: skip
    a.add(Kind.BOX, (wide, deep, tall / 2, 0.02), (0, 0, tall / 2), colour=wall, part="wall")
    roof = rng.uniform(0.28, 0.45)
    turned = rng.random() < 0.5  # the gable looks to the front
    sizes = (wide + 0.14, deep + 0.1, roof) if turned else (deep + 0.14, wide + 0.1, roof)
    a.add(Kind.GABLE, sizes, (0, 0, tall + roof - 0.01), frame=np.eye(3) if turned else frame_of(UP, -FRONT), named=True,
          part="roof", period=rng.uniform(0.26, 0.36))  # fmt: skip
    door = a.tint(PALETTE[contrasting("white", rng, ("brown", "red", "blue", "green"))], 0.15)
    x = rng.choice([0.0, 0.45 * wide, -0.45 * wide])
    a.add(Kind.BOX, (0.13, 0.04, 0.34 * tall, 0.01), (x, -deep, 0.34 * tall), colour=door, part="door")
    glass = a.tint((0.45, 0.68, 0.90) if rng.random() < 0.6 else (0.98, 0.85, 0.45), 0.1)
    for at in [-0.55 * wide, 0.55 * wide] if x == 0 else [-0.5 * np.sign(x) * wide]:
        a.add(Kind.BOX, (0.11, 0.04, 0.12, 0.01), (at, -deep, 0.58 * tall), colour=glass, part="window")
    for side in (-1, 1):
        a.add(Kind.BOX, (0.04, 0.13, 0.12, 0.01), (side * wide, 0.0, 0.58 * tall), colour=glass, part="window")
    a.add(Kind.BOX, (0.13, 0.04, 0.12, 0.01), (0.0, deep, 0.58 * tall), colour=glass, part="window")
    if rng.random() < 0.75:
        stack = a.tint(rng.choice([(0.60, 0.30, 0.22), (0.5, 0.48, 0.46)]))
        at = (rng.choice([-0.45, 0.45]) * wide, rng.uniform(-0.2, 0.4) * deep)
        a.add(Kind.BOX, (0.1, 0.1, 0.35, 0.01), (*at, tall + 1.3 * roof), colour=stack, part="chimney")


def mug(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    tall, r = rng.uniform(0.5, 0.7), rng.uniform(0.42, 0.55)
    foot = r * rng.uniform(0.85, 1.0)
    if rng.random() < 0.3:
        foot = r * rng.uniform(0.65, 0.85)
    a.add(Kind.CUP, (tall, foot, r, 0.07), (0, 0, tall), named=True, part="body", period=rng.uniform(0.32, 0.45))
    ring = tall * rng.uniform(0.45, 0.62)
    side = (foot + r) / 2
    tube = rng.uniform(0.065, 0.09)
    angle = rng.normal(0, 0.25)
    out = np.array([np.cos(angle), np.sin(angle), 0.0])
    a.add(Kind.TORUS, (ring, tube, 1.62, 0.0), out * (side - 0.03) + UP * tall, frame=frame_of(np.cross(out, UP), out),
          named=True, pattern=Pattern.PLAIN, part="handle")  # fmt: skip
    if rng.random() < 0.5:
        drink = a.tint(rng.choice([(0.30, 0.16, 0.08), (0.62, 0.40, 0.22), (0.85, 0.84, 0.80)]))
        a.add(Kind.CONE, (0.02, 0.9 * r, 0.9 * r, 0.005), (0, 0, 2 * tall - 0.2), colour=drink, part="drink")


def vase(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    half = rng.uniform(0.65, 0.85)
    shape = rng.choice(["belly", "bottle", "flared", "urn"])
    r = rng.uniform(0.38, 0.52)
    knots = {
        "belly": (0.5, 0.95, 1.0, 0.5, 0.62), "bottle": (0.75, 1.0, 0.62, 0.28, 0.36),
        "flared": (0.5, 0.48, 0.52, 0.68, 1.0), "urn": (0.38, 0.75, 1.0, 0.9, 0.55),
    }[str(shape)]  # fmt: skip
    knots = tuple(r * k * rng.uniform(0.92, 1.08) for k in knots)
    a.add(Kind.PROFILE, (half, *knots, 0.05), (0, 0, half), named=True, part="body", period=rng.uniform(0.3, 0.42))
    a.add(Kind.TORUS, (knots[4] - 0.01, 0.05, np.pi, 0.0), (0, 0, 2 * half), named=True, pattern=Pattern.PLAIN, part="rim")
    if rng.random() < 0.5:
        a.add(Kind.CONE, (0.05, 1.05 * knots[0], knots[0], 0.02), (0, 0, 0.02), named=True, pattern=Pattern.PLAIN, part="foot")
    if rng.random() < 0.25:
        for side in (-1, 1):
            a.add(Kind.TORUS, (0.2, 0.05, 1.9, 0.0), (side * 0.95 * max(knots[3], knots[2] * 0.8), 0, 1.35 * half),
                  frame=frame_of(np.cross(side * RIGHT, UP), side * RIGHT), named=True, pattern=Pattern.PLAIN, part="handle")  # fmt: skip


def chair(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    w, d, seat = rng.uniform(0.38, 0.48), rng.uniform(0.38, 0.46), rng.uniform(0.62, 0.8)
    back, leg = rng.uniform(0.7, 0.95), rng.uniform(0.05, 0.07)
    wood = {"named": True, "period": 0.24}
    cushion = rng.random() < 0.25
    a.add(Kind.BOX, (w, d, 0.07, 0.025), (0, 0, seat), part="seat", **wood)
    if cushion:
        a.add(Kind.BOX, (0.88 * w, 0.88 * d, 0.05, 0.04), (0, 0, seat + 0.1), colour=a.tint(CREAM), part="cushion")
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = np.array([sx * (w - leg), sy * (d - leg), 0.0])
            a.rod(at * 1.05, at + UP * seat, 0.85 * leg, leg, part="leg", **wood)
    style = rng.choice(["panel", "slats", "bars"])
    lean = rng.uniform(0.0, 0.12)
    y = d - 0.06
    if style == "panel":
        a.add(Kind.BOX, (w, 0.055, back / 2, 0.03), (0, y + lean / 2, seat + back / 2), frame=frame_of((0, lean, back)),
              part="back", **wood)  # fmt: skip
    else:
        for sx in (-1, 1):
            x = sx * (w - leg)
            a.rod((x, y, seat), (x, y + lean, seat + back), leg, 0.9 * leg, part="back", **wood)
        if style == "slats":
            for f in (0.45, 0.72, 0.97):
                a.add(Kind.BOX, (w - 0.03, 0.035, 0.08, 0.02), (0, y + lean * f, seat + back * f), part="back", **wood)
        else:
            a.add(Kind.BOX, (w, 0.045, 0.08, 0.03), (0, y + lean, seat + back), part="back", **wood)
            for f in (-0.5, 0.0, 0.5):
                a.rod((f * w, y, seat), (f * w, y + lean, seat + back), 0.035, part="back", **wood)
    if rng.random() < 0.2:
        for sx in (-1, 1):
            x = sx * (w - 0.02)
            a.add(Kind.BOX, (0.05, d, 0.035, 0.02), (x, 0, seat + 0.36), part="arm", **wood)
            a.rod((x, -d + 0.08, seat), (x, -d + 0.08, seat + 0.36), 0.045, part="arm", **wood)


def snowman(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    r = rng.uniform(0.44, 0.54)
    snow = a.tint((0.95, 0.96, 0.98), 0.03)
    three = rng.random() < 0.75
    sizes = [r, 0.74 * r, 0.56 * r] if three else [r, 0.68 * r]
    z, centres = 0.0, []
    for i, s in enumerate(sizes):
        z = 0.92 * s if i == 0 else z + 0.78 * (sizes[i - 1] + s)
        centres.append(z)
        a.ball((0, 0, z), (s, s, 0.95 * s), colour=snow, part="snow")
    head, top = sizes[-1], centres[-1]
    dark = (0.07, 0.07, 0.08)
    for side in (-1, 1):
        a.ball((side * 0.36 * head, -0.86 * head, top + 0.28 * head), 0.12 * head + 0.02, colour=dark, part="eye")
    a.rod((0, -0.85 * head, top), (0, -1.65 * head, top - 0.04), 0.2 * head, 0.04 * head, colour=a.tint((0.95, 0.50, 0.12)), part="nose")
    belly, mid = sizes[-2], centres[-2]
    for k in (0.45, 0.0, -0.42):
        a.ball((0, -belly * np.sqrt(1 - k * k) * 0.98, mid + k * belly), 0.055, colour=dark, part="button")
    bark = a.tint(BARK)
    for side in (-1, 1):
        tip = np.array([side * (belly + rng.uniform(0.35, 0.5)), 0, mid + rng.uniform(0.1, 0.45)])
        a.rod((side * 0.8 * belly, 0, mid + 0.05), tip, 0.05, 0.035, colour=bark, part="arm")
    brim = top + 0.62 * head
    kind = rng.choice(["top", "cone"], p=[0.7, 0.3])
    if kind == "top":
        tall = rng.uniform(0.3, 0.5)
        a.add(Kind.CONE, (0.035, 1.12 * head, 1.12 * head, 0.02), (0, 0, brim), named=True, pattern=Pattern.PLAIN, part="hat")
        a.add(Kind.CONE, (tall / 2, 0.74 * head, 0.72 * head, 0.02), (0, 0, brim + tall / 2), named=True, part="hat", period=0.2)
    else:
        a.add(Kind.CONE, (0.26, 0.9 * head, 0.06, 0.03), (0, 0, brim + 0.18), named=True, part="hat", period=0.2)
        a.ball((0, 0, brim + 0.46), 0.085, colour=snow, part="hat")
    if rng.random() < 0.7:
        a.add(Kind.TORUS, (0.72 * head, 0.2 * head, np.pi, 0.0), (0, 0, top - 0.72 * head), named=True, part="scarf", period=0.25)
        a.add(Kind.BOX, (0.09, 0.05, 0.17, 0.03), (0.3 * head, -0.98 * belly, mid + 0.42 * belly), named=True, part="scarf", period=0.16)


def rocket(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    half, r = rng.uniform(0.55, 0.75), rng.uniform(0.24, 0.34)
    other = a.tint(PALETTE[contrasting(colour_word, rng, ("red", "white", "blue", "yellow", "orange"))])
    hull = rng.choice(["tube", "cigar"])
    base = 0.28
    if hull == "tube":
        a.add(Kind.CONE, (half, r, r, 0.02), (0, 0, base + half), named=True, part="hull", period=0.36)
        tip = rng.uniform(0.35, 0.55)
        a.add(Kind.PROFILE, (tip / 2, r, 0.9 * r, 0.68 * r, 0.38 * r, 0.04, 0.0), (0, 0, base + 2 * half + tip / 2),
              colour=other, part="nose")  # fmt: skip
    else:
        long = half + 0.22
        a.add(Kind.PROFILE, (long, 0.68 * r, 1.05 * r, 1.12 * r, 0.8 * r, 0.08 * r, 0.0), (0, 0, base + long), named=True,
              part="hull", period=0.36)  # fmt: skip
        a.add(Kind.PROFILE, (0.3 * long, 0.83 * r, 0.66 * r, 0.45 * r, 0.22 * r, 0.02, 0.0), (0, 0, base + 1.72 * long),
              colour=other, part="nose")  # fmt: skip
    fins = int(rng.choice([3, 4]))
    start = rng.uniform(0, 2 * np.pi / fins)
    for i in range(fins):
        angle = start + 2 * np.pi * i / fins
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        a.petal(out * 0.5 * r + UP * (base + 0.42), out * 0.75 - UP * 0.72, np.cross(out, UP), rng.uniform(0.62, 0.78), 0.34, 0.1,
                widen=0.1, colour=other, part="fin")  # fmt: skip
    a.add(Kind.CONE, (0.1, 0.72 * r, 0.5 * r, 0.02), (0, 0, base - 0.05), colour=(0.25, 0.25, 0.28), part="nozzle")
    if rng.random() < 0.4:
        a.add(Kind.CONE, (0.16, 0.03, 0.45 * r, 0.02), (0, 0, base - 0.25), colour=(0.99, 0.62, 0.12), part="flame")
    z = base + 1.35 * half
    for side in (-1, 1):  # a window on the front and one on the back
        frame = frame_of((0, side, 0))
        a.add(Kind.CONE, (0.03, 0.14, 0.14, 0.01), (0, side * 1.0 * r, z), frame=frame, colour=(0.75, 0.76, 0.78), part="frame")
        a.add(Kind.CONE, (0.04, 0.10, 0.10, 0.01), (0, side * 1.02 * r, z), frame=frame, colour=a.tint((0.50, 0.78, 0.95)), part="window")


def lamp(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    metal = a.tint(rng.choice([(0.75, 0.62, 0.30), (0.55, 0.56, 0.60), BARK] if colour_word not in ("brown", "black") else
                              [(0.78, 0.66, 0.34), (0.72, 0.73, 0.76)]), 0.1)  # fmt: skip
    tall, low, high = rng.uniform(0.6, 1.0), rng.uniform(0.38, 0.55), rng.uniform(0.18, 0.34)
    if rng.random() < 0.6:
        a.add(Kind.CONE, (0.04, 0.32, 0.28, 0.02), (0, 0, 0.04), colour=metal, part="foot")
        a.rod((0, 0, 0.05), (0, 0, tall + 0.1), 0.045, colour=metal, part="pole")
    else:
        r = rng.uniform(0.2, 0.3)
        a.add(Kind.PROFILE, (0.4 * tall, 0.6 * r, r, 0.95 * r, 0.5 * r, 0.2 * r, 0.0), (0, 0, 0.4 * tall), colour=metal, part="foot")
        a.rod((0, 0, 0.6 * tall), (0, 0, tall + 0.1), 0.045, colour=metal, part="pole")
    half = rng.uniform(0.24, 0.34)
    a.add(Kind.CONE, (half, low, high, 0.015), (0, 0, tall + half), named=True, part="shade", period=rng.uniform(0.24, 0.34))
    if rng.random() < 0.5:
        a.ball((0, 0, tall + 2 * half + 0.03), 0.06, colour=metal, part="knob")
