"""The machine-readable card of an export: of the zoo's prior, and of one trained on a user's pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from backend import views
from backend.priors.card import BackgroundCard, CameraCard, LightCard, PriorCard
from backend.priors.exemplar_folder import card_of
from backend.priors.exemplar_words import content_words
from backend.train.own_pictures import OwnPictures
from backend.train.words import PROMPT_WORDS, words_of
from backend.zoo.captions import CLAY, CORRUPTIONS, DOMAIN, PATTERN_WORDS, QUALITY, VOCABULARY
from backend.zoo.catalogue import NOUNS
from backend.zoo.palette import COLOURS

EXAMPLE_PROMPTS = (
    "a red flower", "a red mushroom with white spots", "a green cactus", "a blue vase", "a striped orange fish",
    "a brown chair", "a white rocket", "a red cottage", "a purple tree", "a spotted yellow mug", "a checkered red boat",
    "a marbled green lamp", "a yellow duck", "an orange cat", "a blue car",
)  # fmt: skip
SAMPLING_STEPS = 20  # of DDIM: what the sheets and the expected colours are drawn with

_LEAD = re.compile(r"^\s*(?:(?:an?|the)\s+)?(?:\w+\s+)?(?:photo|photograph|picture|image|drawing|painting|render|sketch)\s+of\s+", re.I)
_REST = re.compile(r"[,.;:(]|\b(?:with|without|on|in|at|by|for|from|of|under|over|and|near|behind|beside|holding|wearing)\b", re.I)
_OTHER_COLOURS = ("grey", "gray", "gold", "golden", "silver", "beige", "turquoise", "teal", "cyan", "magenta", "violet", "cream")


def zoo_card() -> PriorCard:
    """The card of the starter: its words, guidance, cameras, lights and backgrounds."""
    return PriorCard(
        name="SketchBridge starter",
        licence="Apache-2.0",
        vocabulary=VOCABULARY,
        nouns=NOUNS,
        colours=COLOURS,
        patterns=PATTERN_WORDS,
        example_prompts=EXAMPLE_PROMPTS,
        view_words=views.VIEW_WORDS,
        front_within_deg=45.0,
        overhead_above_deg=60.0,
        clay_word=CLAY,
        target_suffix=f", {QUALITY}",
        source_descriptors=", " + ", ".join(CORRUPTIONS),
        negative="blurry, noisy, pixelated, foggy, hazy, malformed, bad structure",
        domain_words=(DOMAIN,),
        sds_guidance=15.0,
        texture_guidance=15.0,
        guidance=5.0,
        sdi_guidance=6.0,
        sdi_inversion_guidance=-4.0,
        jsd_guidance=9.0,
        jsd_inversion_guidance=-9.0,
        bridge_k=3.0,
        bridge_rate_scale=0.3,
        bridge_share=0.2,  # more takes colour away and puts grain on: the two texts' difference has no point of rest
        colour_rate=1.0,
        geometry_rate=1.0,
        picture_rate=0.02,
        critic_rate=5e-3,
        camera=CameraCard(
            elevation_deg=(-10.0, 45.0), low_elevation_deg=(-45.0, -10.0), high_elevation_deg=(60.0, 85.0), low_share=0.08,
            high_share=0.12, fov_deg=(25.0, 48.0), fill=(0.65, 0.95),
        ),
        light=LightCard(ambient=(0.15, 0.75), key=(0.25, 0.85), key_within_deg=60.0, albedo_share=0.15, clay_share=0.15),
        background=BackgroundCard(white_share=0.25, grey_share=0.25, grey=(0.3, 0.75)),
    )  # fmt: skip


def own_card(own: OwnPictures, before: Sequence[PriorCard] = ()) -> PriorCard:
    """The card of a prior trained on a folder: words and backgrounds of its pictures, guidance and rates of the zoo's prior.

    `before` are the cards of what else it has seen (the zoo, the release it started from); their words follow the folder's.
    """
    folder = card_of(own.name, own.exemplars, own.pixels)
    captions = [exemplar.caption for exemplar in own.exemplars]
    known = words_of(captions)
    has_views = bool(folder.view_words) or any(card.view_words for card in before)
    clay = next((card.clay_word for card in before if card.clay_word), "")
    spoken = [word for word in PROMPT_WORDS if (word != CLAY or clay) and (has_views or word not in " ".join(views.VIEW_WORDS).split())]
    colours = [word for word in known if word in (*COLOURS, *_OTHER_COLOURS)]
    patterns = [word for word in known if word in PATTERN_WORDS]
    return msgspec.structs.replace(
        zoo_card(),
        name=own.name,
        licence=folder.licence,
        vocabulary=_joined(folder.vocabulary, known, spoken, *(card.vocabulary for card in before)),
        nouns=_joined(nouns_of(captions), *(card.nouns for card in before)),
        colours=_joined(colours, *(card.colours for card in before)),
        patterns=_joined(patterns, *(card.patterns for card in before)),
        example_prompts=folder.example_prompts,
        view_words=views.VIEW_WORDS if has_views else (),
        clay_word=clay,
        background=folder.background,
    )


def nouns_of(captions: Sequence[str]) -> list[str]:
    """What captions seem to be about, the most frequent first: the last word of the first phrase that is no colour or pattern.

    Example:
        >>> nouns_of(["a photo of a red garden gnome with a blue hat", "Gnome, side view", "a striped beetle on a leaf"])
        ['gnome', 'beetle']
    """
    paint = {*COLOURS, *_OTHER_COLOURS, *PATTERN_WORDS, *CORRUPTIONS}
    found = []
    for caption in captions:
        phrase = _REST.split(_LEAD.sub("", caption), maxsplit=1)[0]
        words = [word for word in content_words(phrase) if word not in paint]
        found += words[-1:]
    return words_of(found)


def _joined(*lists: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for words in lists for word in words))
