"""Animals on their feet: duck, cat. Each adds its solids to an assembly, in its own scale.

The ground is z = 0 and the front is -Y. The colour word belongs to the whole animal.
"""

from __future__ import annotations

import numpy as np

from backend.zoo.assembly import FRONT, RIGHT, UP, Assembly, frame_of, unit
from backend.zoo.palette import PALETTE
from backend.zoo.primitives import Kind, Pattern

_DARK = (0.05, 0.05, 0.06)


def _eyes(a: Assembly, head, radius: float, size: float) -> None:
    """Two dark eyes on the front of a round head; on a dark animal they sit in pale ones."""
    pale = float(np.mean(a.colour)) < 0.35
    for side in (-1, 1):
        out = unit([side * 0.55, -0.85, 0.35])
        at = np.asarray(head) + 0.95 * radius * out
        if pale:
            a.ball(at, 1.5 * size, colour=(0.95, 0.95, 0.93), part="eye")
        a.ball(at + 0.45 * size * out * (2.2 if pale else 1.0), size, colour=_DARK, part="eye")


def duck(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    wide, long, tall = rng.uniform(0.36, 0.46), rng.uniform(0.58, 0.72), rng.uniform(0.34, 0.42)
    skin = {"named": True, "period": 0.34}
    a.ball((0, 0, tall), (wide, long, tall), part="body", **skin)
    r = rng.uniform(0.26, 0.33)
    head = np.array([0.0, -0.62 * long, 1.75 * tall + 0.72 * r])
    a.rod((0, -0.5 * long, 1.2 * tall), head, 0.68 * r, 0.6 * r, part="neck", **skin)
    a.ball(head, r, part="head", **skin)
    beak = a.tint(PALETTE["orange" if colour_word not in ("orange", "red", "brown") else "yellow"], 0.1)
    a.ball(head + np.array([0, -1.15 * r, -0.12 * r]), (0.52 * r, 0.62 * r, 0.17 * r), colour=beak, part="beak")
    _eyes(a, head, r, 0.055)
    a.petal((0, 0.78 * long, 1.15 * tall), np.array([0, 0.75, 0.6]), UP - 0.8 * FRONT, 0.46, 0.42, 0.14, widen=0.1, bend=0.1,
            part="tail", **skin)  # fmt: skip
    wing = rng.uniform(0.55, 0.75)
    for side in (-1, 1):
        a.petal((side * 0.86 * wide, -0.32 * long, 1.15 * tall), np.array([side * 0.15, 1.0, 0.12]), side * RIGHT, wing * long * 1.6,
                0.9 * tall, 0.18, widen=-0.2, bend=-0.1, part="wing", **skin)  # fmt: skip
    if rng.random() < 0.5:
        for side in (-1, 1):
            a.ball((side * 0.45 * wide, -0.1, -0.02), (0.12, 0.2, 0.045), colour=beak, part="foot")


def cat(a: Assembly, colour_word: str) -> None:
    rng = a.rng
    r, tall = rng.uniform(0.34, 0.4), rng.uniform(0.46, 0.56)
    fur = {"named": True, "period": 0.32}
    a.add(Kind.PROFILE, (tall, 0.95 * r, 1.08 * r, 0.95 * r, 0.72 * r, 0.5 * r, 0.0), (0, 0.06, tall), part="body", **fur)
    size = rng.uniform(0.31, 0.37)
    head = np.array([rng.normal(0, 0.02), -0.1, 2 * tall + 0.55 * size])
    a.ball(head, (1.12 * size, 0.95 * size, 0.95 * size), part="head", **fur)
    for side in (-1, 1):
        lean = unit([side * 0.42, 0.0, 1.0])
        a.add(Kind.CONE, (0.24 * size + 0.05, 0.42 * size, 0.03, 0.02), head + 1.02 * size * lean, frame=frame_of(lean), part="ear", **fur)
        a.rod((side * 0.5 * r, -0.72 * r, 0.07), (side * 0.42 * r, -0.4 * r, 0.8 * tall), 0.12, 0.12, part="leg", **fur)
        a.ball((side * 0.55 * r, -0.95 * r, 0.07), (0.12, 0.17, 0.085), part="paw", **fur)
        a.ball((side * 0.85 * r, 0.1, 0.22), (0.2, 0.32, 0.24), part="leg", **fur)
    pale = a.tint((0.96, 0.93, 0.88) if colour_word != "white" else (0.85, 0.82, 0.80), 0.04)
    a.ball(head + size * np.array([0, -0.78, -0.3]), (0.42 * size, 0.3 * size, 0.27 * size), colour=pale, part="muzzle")
    a.ball(head + size * np.array([0, -1.06, -0.16]), 0.05, colour=a.tint((0.85, 0.45, 0.5)), part="nose")
    _eyes(a, head, 0.95 * size, 0.06)
    ring = rng.uniform(0.3, 0.4)
    side = rng.choice([-1.0, 1.0])
    a.add(Kind.TORUS, (ring, 0.085, rng.uniform(1.4, 2.1), 0.0), (side * 0.15, 0.06 + r + 0.6 * ring, 0.12 + ring),
          frame=frame_of(RIGHT + 0.5 * side * FRONT, -UP), part="tail", pattern=Pattern.PLAIN, named=True)  # fmt: skip
