"""What experiments ask for, and real pictures of it: captions of the zoo within a prior's vocabulary, and renders of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.errors import UserError
from backend.evaluate import prior_samples
from backend.evaluate.prior_samples import MIX as CLEAN
from backend.priors.card import PriorCard
from backend.views import view_words
from backend.zoo.captions import PATTERN_WORDS
from backend.zoo.catalogue import NOUNS, draw_colour, make_object
from backend.zoo.palette import COLOURS
from backend.zoo.pictures import draw_shot
from backend.zoo.render import render

REAL_SEED = 70_000_000
"""Renders that methods are measured against start here: seen neither by a prior nor by the judge."""
FLOOR_SEED = 75_000_000
"""Renders that stand for a perfect method."""
TRIES = 200


class Caption(NamedTuple):
    """A caption of one object from one side, and its words. `text` is what a run is asked for."""

    text: str
    noun: str
    colour: str
    pattern: str
    view: str


def known_nouns(card: PriorCard, wanted: Sequence[str] = NOUNS) -> tuple[str, ...]:
    """Those of `wanted` that the zoo can draw and the prior knows; an open vocabulary knows all. Errors: UserError where none is left."""
    known = card.known("nouns", (noun for noun in wanted if noun in NOUNS))
    if not known:
        raise UserError(
            f"The prior '{card.name}' knows none of the things that this experiment asks for.", f"These are {', '.join(wanted)}."
        )
    return known


def known_colour(card: PriorCard, noun: str, rng: np.random.Generator) -> str:
    """A colour for a noun, never one held out, drawn until the prior knows it. Errors: UserError where it knows none."""
    for _ in range(TRIES):
        colour = draw_colour(noun, rng)
        if card.known("colours", (colour,)):
            return colour
    raise UserError(f"The prior '{card.name}' knows no colour of '{noun}'.", f"Colours are {', '.join(COLOURS)}.")


def captions(card: PriorCard, count: int, seed: int = 0) -> list[Caption]:
    """`count` captions: nouns in turn, colours, patterns and views as training pictures have them."""
    nouns = known_nouns(card)
    patterns = card.known("patterns", PATTERN_WORDS)
    made = []
    for k in range(count):
        rng = np.random.default_rng([seed, k, 41])
        noun = nouns[k % len(nouns)]
        colour = known_colour(card, noun, rng)
        pattern = "plain" if rng.random() < 0.5 or not patterns else str(rng.choice(patterns))
        shot = draw_shot(rng, make_object(k, noun, colour, pattern), CLEAN)
        view = view_words(shot.azimuth_deg, shot.elevation_deg)
        made.append(caption_of(noun, colour, pattern, view))
    return made


def caption_of(noun: str, colour: str, pattern: str = "plain", view: str = "") -> Caption:
    """The full caption of these words.

    Example:
        >>> caption_of("mug", "orange", "striped", "front view").text
        'a striped orange mug, front view'
    """
    text = prior_samples.caption_of(noun, colour if pattern == "plain" else f"{pattern} {colour}")
    return Caption(f"{text}{', ' if view else ''}{view}", noun, colour, pattern, view)


def renders(wanted: Sequence[Caption], each: int, first_seed: int, size_px: int) -> Tensor:
    """[len(wanted) * each, 3, size, size] display values: that many objects of each caption, from its side if it names one."""
    pictures = []
    for k, caption in enumerate(wanted):
        things, shots = [], []
        for n in range(each):
            seed = first_seed + k * each + n
            thing = make_object(seed, caption.noun, caption.colour, caption.pattern)
            rng = np.random.default_rng([seed, 43])
            shot = draw_shot(rng, thing, CLEAN)
            for _ in range(TRIES):
                if caption.view in ("", view_words(shot.azimuth_deg, shot.elevation_deg)):
                    break
                shot = draw_shot(rng, thing, CLEAN)
            things.append(thing)
            shots.append(shot)
        pictures.append(render(things, shots, size_px))
    return torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).contiguous()
