"""Things to ride in: car, boat. Each adds its solids to an assembly, in its own scale.

The ground is z = 0 and the front is -Y. The colour word belongs to the car's body and to the boat's hull.
"""

from __future__ import annotations

import numpy as np

from backend.zoo.assembly import RIGHT, UP, Assembly, frame_of
from backend.zoo.palette import BARK, CREAM, PALETTE, contrasting
from backend.zoo.primitives import Kind


def car(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    wide, long, low = rng.uniform(0.42, 0.5), rng.uniform(0.8, 0.98), rng.uniform(0.17, 0.22)
    wheel = rng.uniform(0.2, 0.26)
    floor = 0.85 * wheel
    metal = {"named": True, "period": 0.4}
    a.add(Kind.BOX, (wide, long, low, 0.12), (0, 0, floor + low), part="body", **metal)
    glass = a.tint((0.55, 0.75, 0.90) if colour_word != "blue" else (0.80, 0.88, 0.92), 0.06)
    kind = rng.choice(["saloon", "van", "pickup"], p=[0.55, 0.25, 0.2])
    back, front = {"saloon": (0.62, 0.42), "van": (0.94, 0.62), "pickup": (0.05, 0.55)}[str(kind)]
    half, middle = (back + front) / 2 * long, (back - front) / 2 * long
    tall = rng.uniform(0.17, 0.22) * (1.25 if kind == "van" else 1.0)
    top = floor + 2 * low
    a.add(Kind.BOX, (0.88 * wide, half, tall, 0.09), (0, middle, top + 0.8 * tall), part="cabin", **metal)
    a.add(Kind.BOX, (0.9 * wide, 0.78 * half, 0.52 * tall, 0.03), (0, middle, top + 0.86 * tall), colour=glass, part="window")
    a.add(Kind.BOX, (0.72 * wide, 1.02 * half, 0.52 * tall, 0.03), (0, middle, top + 0.86 * tall), colour=glass, part="window")
    tyre, hub = (0.09, 0.09, 0.10), a.tint((0.72, 0.73, 0.75), 0.1)
    if colour_word == "black":
        tyre = (0.28, 0.28, 0.30)
    for sx in (-1, 1):
        for sy in (-0.58, 0.58):
            at, axle = np.array([sx * (wide - 0.02), sy * long, wheel]), frame_of(RIGHT, UP)
            a.add(Kind.CONE, (0.1, wheel, wheel, 0.04), at, frame=axle, colour=tyre, part="wheel")
            a.add(Kind.CONE, (0.12, 0.5 * wheel, 0.5 * wheel, 0.02), at, frame=axle, colour=hub, part="wheel")
        a.ball((sx * 0.6 * wide, -long + 0.02, floor + 1.15 * low), (0.1, 0.06, 0.09), colour=(0.99, 0.95, 0.70), part="light")
        a.ball((sx * 0.65 * wide, long - 0.02, floor + 1.15 * low), (0.09, 0.05, 0.07), colour=(0.80, 0.12, 0.10), part="light")
    bumper = a.tint((0.55, 0.56, 0.58), 0.1)
    for sy in (-1, 1):
        a.add(Kind.BOX, (0.9 * wide, 0.07, 0.06, 0.04), (0, sy * long, floor + 0.35 * low), colour=bumper, part="bumper")


def boat(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    wide, long, deep = rng.uniform(0.32, 0.42), rng.uniform(0.78, 0.95), rng.uniform(0.32, 0.42)
    # the lower half of an ellipsoid: its own z axis points down
    down = frame_of(-UP, RIGHT)
    a.add(Kind.ELLIPSOID, (wide, long, deep, 1.0), (0, 0, deep), frame=down, named=True, part="hull", period=0.32)
    wood = a.tint((0.80, 0.62, 0.40) if colour_word not in ("brown", "orange") else CREAM, 0.12)
    a.ball((0, 0, deep), (0.9 * wide, 0.92 * long, 0.05), colour=wood, part="deck")
    pale = a.tint(CREAM if colour_word != "white" else (0.80, 0.66, 0.46), 0.06)
    if rng.random() < 0.65:
        tall = rng.uniform(1.0, 1.3)
        at = np.array([0.0, -0.08 * long, deep])
        a.rod(at, at + UP * (tall + 0.1), 0.045, 0.035, colour=a.tint(BARK), part="mast")
        # triangles across x would face the front; a boat's sails lie along it
        along = frame_of(UP, np.array([0.0, 1.0, 0.0]))
        a.add(Kind.GABLE, (0.62 * long, 0.035, 0.46 * tall), at + np.array([0, 0.06, 0.14 + 0.46 * tall]), frame=along, colour=pale,
              part="sail")  # fmt: skip
        if rng.random() < 0.5:
            flag = a.tint(PALETTE[contrasting(colour_word, rng, ("red", "blue", "yellow", "green"))])
            a.add(Kind.BOX, (0.02, 0.13, 0.08, 0.01), at + np.array([0, 0.13, tall + 0.06]), colour=flag, part="flag")
    else:
        a.add(Kind.BOX, (0.6 * wide, 0.36 * long, 0.17, 0.04), (0, 0.18 * long, deep + 0.17), colour=pale, part="cabin")
        glass = a.tint((0.45, 0.68, 0.90), 0.06)
        for sy in (-0.06, 0.4):
            a.add(Kind.BOX, (0.62 * wide, 0.09, 0.07, 0.01), (0, sy * long, deep + 0.2), colour=glass, part="window")
        r = rng.uniform(0.1, 0.14)
        dark = a.tint(PALETTE[contrasting(colour_word, rng, ("red", "black", "blue"))])
        a.add(Kind.CONE, (0.2, r, 0.92 * r, 0.02), (0, 0.22 * long, deep + 0.5), colour=dark, part="funnel")
