"""The nouns of the zoo and how an object of one is drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backend.zoo import creatures, nature, things, vehicles
from backend.zoo.assembly import Assembly
from backend.zoo.palette import COLOURS, contrasting, paint
from backend.zoo.primitives import Pattern, ZooObject, fit_to_domain

Maker = Callable[[Assembly, str], None]
CATALOGUE: dict[str, Maker] = {
    "flower": nature.flower, "mushroom": nature.mushroom, "apple": nature.apple, "pear": nature.pear, "cactus": nature.cactus,
    "tree": nature.tree, "fish": nature.fish, "cottage": things.cottage, "mug": things.mug, "vase": things.vase,
    "chair": things.chair, "snowman": things.snowman, "rocket": things.rocket, "lamp": things.lamp,
    "duck": creatures.duck, "cat": creatures.cat, "car": vehicles.car, "boat": vehicles.boat,
}  # fmt: skip
NOUNS = tuple(CATALOGUE)

# the parts with thin or many solids need more examples than a single round body
_WEIGHT = {
    "flower": 1.7, "mushroom": 1.2, "chair": 1.6, "tree": 1.1, "cactus": 1.1, "fish": 1.3, "apple": 0.7, "pear": 0.7, "vase": 0.8,
    "duck": 1.7, "cat": 1.7, "car": 1.7, "boat": 1.7,
}  # fmt: skip
NOUN_SHARES = np.array([_WEIGHT.get(n, 1.0) for n in NOUNS]) / sum(_WEIGHT.get(n, 1.0) for n in NOUNS)
PATTERN_SHARES = (0.52, 0.12, 0.12, 0.12, 0.12)

HELD_OUT: dict[str, tuple[str, ...]] = {
    "duck": ("blue", "red", "purple", "black"), "cat": ("green", "blue", "pink", "yellow"),
    "car": ("purple", "pink", "brown", "orange"), "boat": ("black", "green", "orange", "yellow"),
}  # fmt: skip
"""Colours in which no training picture shows these nouns: what a prior draws for such a pair, it has composed."""
HELD_OUT_PAIRS = tuple((noun, colour) for noun, colours in HELD_OUT.items() for colour in colours)


def draw_colour(noun: str, rng: np.random.Generator) -> str:
    """A colour word for a noun, never one held out."""
    return str(rng.choice([colour for colour in COLOURS if colour not in HELD_OUT.get(noun, ())]))


def make_object(
    seed: int,
    noun: str | None = None,
    colour: str | None = None,
    pattern: str | None = None,
) -> ZooObject:
    """One object, the same for the same arguments; what is not given is drawn from the seed, a `HELD_OUT` colour never.

    The result is centred, its longest side is 1.6 and its front faces -Y.

    Raises:
        ValueError: the noun, colour or pattern is not one of the zoo's; the message lists them.

    Example:
        >>> thing = make_object(3, "mushroom", "red", "spotted")
        >>> thing.noun, thing.colour_word, thing.pattern.name, len(thing.primitives) <= 32
        ('mushroom', 'red', 'SPOTTED', True)
    """
    rng = np.random.default_rng([seed, 7])
    noun_rng, colour_rng, pattern_rng = rng.spawn(3)
    noun = str(noun_rng.choice(NOUNS, p=NOUN_SHARES)) if noun is None else noun
    drawn_pattern = Pattern(int(pattern_rng.choice(len(Pattern), p=PATTERN_SHARES)))
    names = {p.name.lower(): p for p in Pattern}
    for given, known, what in ((noun, NOUNS, "noun"), (colour, COLOURS, "colour"), (pattern, names, "pattern")):
        if given is not None and given not in known:
            raise ValueError(f"unknown {what} {given!r}; the zoo knows {', '.join(known)}")
    colour = draw_colour(noun, colour_rng) if colour is None else colour
    chosen = drawn_pattern if pattern is None else names[pattern]
    accent = contrasting(colour, rng, ("white", "black", "yellow", "blue", "red", "green", "pink", "orange"))
    if rng.random() < 0.5 and colour not in ("white", "yellow"):
        accent = "white"
    main = paint(colour, rng)
    assembly = Assembly(rng, main, paint(accent, rng), chosen)
    CATALOGUE[noun](assembly, colour)
    yaw = rng.normal(0.0, 0.10)  # nothing stands exactly square
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    for solid in assembly.solids:
        solid.centre = turn @ solid.centre
        solid.frame = solid.frame @ turn.T
    solids, radius = fit_to_domain(assembly.solids)
    return ZooObject(noun, colour, chosen, accent, solids, seed, main, radius)
