"""The caption grammar: every word the starter prior is taught, and how the words of one picture are joined.

    [a | an | "a photo of a" | "a 3d render of a"] [clay] [pattern] [colour] noun ["with" accent ("spots" | "stripes" | "checks" | "veins")]
    [", " view words] [", " domain word] {", " corruption} | [", " quality words]

Parts are dropped at random while training, so that each means something alone. View words come from `backend.views`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend import views
from backend.zoo.catalogue import NOUNS
from backend.zoo.palette import COLOURS
from backend.zoo.primitives import Pattern, ZooObject

CLAY = "clay"  # what a textureless picture is called, in captions and in a run's textureless shading alike
QUALITY = "detailed high resolution, high quality, sharp"
CORRUPTIONS = (
    "oversaturated", "smooth", "pixelated", "cartoon", "foggy", "hazy", "blurry", "bad structure", "noisy", "malformed",
)  # fmt: skip
DOMAIN = "painting"
LEAD_INS = ("a", "a photo of a", "a 3d render of a", "")
PATTERN_WORDS = ("plain", "striped", "spotted", "checkered", "marbled")
MARK_WORDS = ("", "stripes", "spots", "checks", "veins")
"""What the accent colour of a pattern is said to be, in the order of `Pattern`."""
VOCABULARY = tuple(
    dict.fromkeys(
        " ".join(
            (*NOUNS, *COLOURS, *PATTERN_WORDS, *views.VIEW_WORDS, *LEAD_INS, "an photo with", *MARK_WORDS, CLAY, DOMAIN,
             QUALITY.replace(",", ""), *CORRUPTIONS)
        ).split()
    )
)  # fmt: skip
"""Every word of the grammar, each one token of the starter's tokenizer."""


@dataclass(frozen=True)
class CaptionChoices:
    """How often a part of the caption is dropped or varied; zero drops and the first lead-in give the full caption."""

    drop_colour: float = 0.12
    drop_pattern: float = 0.15
    drop_view: float = 0.20
    drop_article: float = 0.10
    say_plain: float = 0.10
    say_accent: float = 0.25
    say_quality: float = 0.30
    swap: float = 0.3


VARIED = CaptionChoices()
FULL = CaptionChoices(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def caption(
    thing: ZooObject,
    azimuth_deg: float,
    elevation_deg: float,
    rng: np.random.Generator,
    *,
    clay: bool = False,
    marks: tuple[str, ...] = (),
    choices: CaptionChoices = VARIED,
) -> str:
    """What a person would write under one picture; `marks` are the names of what was done to spoil it.

    Example:
        >>> from backend.zoo.catalogue import make_object
        >>> caption(make_object(1, "mug", "orange", "striped"), 10, 20, np.random.default_rng(0), choices=FULL)
        'a striped orange mug, front view'
    """
    kept = lambda drop: rng.random() >= drop  # noqa: E731
    words: list[str] = []
    tail = ""
    if clay:
        words.append(CLAY)
    else:
        if thing.pattern is not Pattern.PLAIN and kept(choices.drop_pattern):
            if rng.random() < choices.say_accent:
                tail = f" with {thing.accent_word} {MARK_WORDS[thing.pattern]}"
            else:
                words.append(PATTERN_WORDS[thing.pattern])
        elif thing.pattern is Pattern.PLAIN and rng.random() < choices.say_plain:
            words.append("plain")
        if kept(choices.drop_colour):
            words.append(thing.colour_word)
        if len(words) == 2 and rng.random() < choices.swap:
            words.reverse()
    phrase = " ".join([*words, thing.noun])
    lead = "a" if choices is FULL else str(rng.choice(LEAD_INS[:3], p=(0.7, 0.2, 0.1)))
    if kept(choices.drop_article):
        if lead.endswith("a") and phrase[0] in "aeiou":
            lead += "n"
        phrase = f"{lead} {phrase}"
    phrase += tail
    if kept(choices.drop_view):
        phrase += f", {views.view_words(azimuth_deg, elevation_deg)}"
    for mark in marks:
        phrase += f", {mark}"
    if not marks and rng.random() < choices.say_quality:
        phrase += f", {QUALITY}"
    return phrase
