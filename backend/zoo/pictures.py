"""Captioned training pictures: what is drawn, from where, in what light, spoilt how, all from one seed per picture.

Cameras, lights and backgrounds follow those of a refinement run, because a prior can only judge what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.zoo.captions import CORRUPTIONS, DOMAIN, VARIED, CaptionChoices, caption
from backend.zoo.catalogue import make_object
from backend.zoo.corruptions import corrupt
from backend.zoo.primitives import ZooObject
from backend.zoo.render import Shot, render


@dataclass(frozen=True)
class PictureMix:
    """Shares of the kinds of picture, each in [0, 1]."""

    flat: float = 0.15
    clay: float = 0.15
    corrupted: float = 0.15
    from_below: float = 0.08  # elevation -45..-10
    from_above: float = 0.12  # elevation 60..85


MIX = PictureMix()


@dataclass(frozen=True)
class Picture:
    """One training picture with its caption and what it was made from."""

    pixels: np.ndarray  # [size, size, 3] uint8 display values
    caption: str
    thing: ZooObject
    shot: Shot
    marks: tuple[str, ...]


def draw_shot(rng: np.random.Generator, thing: ZooObject, mix: PictureMix = MIX) -> Shot:
    """A camera, a light and a background as a run would choose them."""
    where = rng.random()
    if where < mix.from_below:
        elevation = rng.uniform(-45, -10)
    elif where < mix.from_below + mix.from_above:
        elevation = rng.uniform(60, 85)
    else:
        elevation = rng.uniform(-10, 45) if rng.random() < 0.85 else rng.uniform(45, 60)
    kind = rng.random()
    clay = None
    flat = False
    main = thing.main_colour
    if kind < mix.clay:
        tone = rng.uniform(0.45, 0.92)
        clay = tuple(float(c) for c in np.clip(tone + rng.normal(0, 0.012, 3), 0, 1))
        main = np.array(clay)
    elif kind < mix.clay + mix.flat:
        flat = True
    for _ in range(20):
        draw = rng.random()
        background = rng.uniform(0, 1, 3) if draw < 0.5 else np.ones(3) if draw < 0.75 else np.full(3, rng.uniform(0.3, 0.75))
        if np.abs(background - main).max() > 0.15:
            break
    angle, turn = np.radians(rng.uniform(0, 60)), rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.8, 1.5)
    light = reach * np.array([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)])
    return Shot(
        azimuth_deg=float(rng.uniform(0, 360)),
        elevation_deg=float(elevation),
        field_of_view_deg=float(rng.uniform(25, 48)),
        fill=float(rng.uniform(0.65, 0.95)),
        light=tuple(float(v) for v in light),
        ambient=float(rng.uniform(0.15, 0.45) if clay is not None else rng.uniform(0.15, 0.75)),
        gain=float(rng.uniform(0.95, 1.1)),
        background=tuple(float(v) for v in background),
        flat=flat,
        clay=clay,
    )


def draw_marks(rng: np.random.Generator) -> tuple[str, ...]:
    """One to three ways to spoil a picture; now and then many at once, as the prompts of a run name them."""
    names = (*CORRUPTIONS, DOMAIN)
    if rng.random() < 0.1:
        return CORRUPTIONS
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
    return tuple(str(n) for n in rng.permutation(names)[:count])


def make_pictures(
    seeds: list[int],
    size_px: int = 64,
    *,
    mix: PictureMix = MIX,
    choices: CaptionChoices = VARIED,
    device: str = "cpu",
) -> list[Picture]:
    """One picture per seed; the same seed gives the same bytes on one machine, whatever the others are.

    A picture whose marks name every corruption at once (see `draw_marks`) is spoilt in three of those ways only.
    """
    things, shots, rngs = [], [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, 11])
        thing = make_object(seed)
        things.append(thing)
        shots.append(draw_shot(rng, thing, mix))
        rngs.append(rng)
    pixels = render(things, shots, size_px, device=device)
    pictures = []
    for thing, shot, rng, picture in zip(things, shots, rngs, pixels, strict=True):
        marks: tuple[str, ...] = ()
        if rng.random() < mix.corrupted:
            marks = draw_marks(rng)
            done = marks if len(marks) <= 3 else tuple(str(m) for m in rng.permutation(marks)[:3])
            picture = corrupt(picture, done, rng)
        words = caption(thing, shot.azimuth_deg, shot.elevation_deg, rng, clay=shot.clay is not None, marks=marks, choices=choices)
        pictures.append(Picture((picture * 255 + 0.5).astype(np.uint8), words, thing, shot, marks))
    return pictures
