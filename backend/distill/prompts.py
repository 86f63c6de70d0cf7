"""The texts a method reads: what the artist asked for, seen from a side, and what it is measured against (gradients.md 2.6, 3.2).

Order of the parts: prompt, view word, then the quality suffix (target) or the descriptors (source), so that truncation takes the
descriptors before it takes the view. Suffix, descriptors, negatives and view words are the prior card's.
"""

import re
from collections.abc import Iterable, Sequence

import torch

from backend.distill.contract import Role
from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.priors.contract import Condition, Prior
from backend.views import VIEW_WORDS, view_words

VIEW_DEPENDENT: tuple[Role, ...] = ("target", "source")
_LEAD_IN = re.compile(r"^(?:(?:an?|the)\s+(?:\S+\s+)?(?:photo|photograph|picture|image|render|rendering)\s+of\s+)?", re.IGNORECASE)
_ARTICLE = re.compile(r"^(an?|the)\s+", re.IGNORECASE)


def role_text(role: Role, prompt: str, card: PriorCard, *, view_word: str = "", clay: bool = False, domain: str = "") -> str:
    """The text of one role for one view.

    `view_word` "" adds none (close-ups, symmetric objects). `clay` is a textureless render. `domain` names what the given picture
    is ("painting"); the source text is then the prompt with that word, instead of with the card's descriptors.

    Example:
        >>> role_text("target", "a red mug", PriorCard(target_suffix=", sharp"), view_word="side view")
        'a red mug, side view, sharp'
        >>> role_text("source", "a red mug", PriorCard(source_descriptors=", blurry"), view_word="side view")
        'a red mug, side view, blurry'
    """
    if role == "null":
        return ""
    if role == "negative":
        return card.negative
    base = prompt.strip().rstrip(",. ")
    if not base:
        raise UserError("The prompt is empty.", "Say what the sketch is, for example 'a red flower'.")
    if clay:
        base = clay_text(base, card)
    ending = card.target_suffix if role == "target" else domain or card.source_descriptors
    return ", ".join(part for part in (base, view_word, ending.strip(", ")) if part)


def clay_text(prompt: str, card: PriorCard) -> str:
    """The prompt as the caption of a textureless render: the card's clay word in the place of colours and patterns.

    Unchanged where the card has no clay word, that is, where the prior was not taught such pictures.

    Example:
        >>> clay_text("a photo of an orange mug with blue spots", PriorCard(clay_word="clay", colours=("orange", "blue")))
        'a photo of a clay mug'
    """
    if not card.clay_word:
        return prompt
    paint = {word.lower() for word in (*card.colours, *card.patterns, card.clay_word)}
    lead = _LEAD_IN.match(prompt).group()  # type: ignore[union-attr]  # the pattern also matches nothing
    phrase = prompt[len(lead) :]
    article = _ARTICLE.match(phrase)
    phrase, comma, rest = phrase[article.end() if article else 0 :].partition(",")
    phrase, joined, tail = phrase.partition(" with ")
    kept = [word for word in phrase.split() if word.lower() not in paint]
    if joined and paint.isdisjoint(tail.lower().split()):
        kept += ["with", tail]
    words = " ".join([card.clay_word, *kept])
    if article:
        which = article.group(1) if article.group(1).lower() == "the" else "an" if words[0] in "aeiou" else "a"
        words = f"{which} {words}"
    return f"{lead}{words}{comma}{rest}"


def view_words_for(card: PriorCard, azimuth_deg: Sequence[float], elevation_deg: Sequence[float]) -> list[str]:
    """The card's view word of every view (host numbers); empty words for a card without any."""
    if not card.view_words:
        return [""] * len(azimuth_deg)
    thresholds = {"front_within_deg": card.front_within_deg, "overhead_above_deg": card.overhead_above_deg}
    own = dict(zip(VIEW_WORDS, card.view_words, strict=True))
    return [own[view_words(a, e, **thresholds)] for a, e in zip(azimuth_deg, elevation_deg, strict=True)]


class PromptBank:
    """Every text of a run, embedded once; a step picks rows, without reaching the text encoder and without a device read-back.

    Args:
        roles: those the run's methods read.
        words: the view words that may be asked for; all of the card's by default, and always "".
        clay: whether textureless renders will be judged.
        domain: as in `role_text`.
    """

    def __init__(
        self,
        prior: Prior,
        prompt: str,
        roles: Iterable[Role],
        *,
        words: Sequence[str] | None = None,
        clay: bool = False,
        domain: str = "",
    ) -> None:
        card = prior.card
        offered = ["", *(card.view_words if words is None else words)]
        self._device = prior.device
        keys = dict.fromkeys((word, is_clay) for is_clay in ((False, True) if clay else (False,)) for word in offered)
        self._variants = {key: row for row, key in enumerate(keys)}
        self.texts: dict[Role, tuple[str, ...]] = {}
        self._embedded: dict[Role, Condition] = {}
        for role in dict.fromkeys(roles):
            variants = self._variants if role in VIEW_DEPENDENT else [("", False)]
            texts = [role_text(role, prompt, card, view_word=word, clay=is_clay, domain=domain) for word, is_clay in variants]
            self.texts[role] = tuple(texts)
            self._embedded[role] = prior.embed(texts)
        self.unknown_words = prior.unknown_words(prompt)

    def conditions(self, words: Sequence[str], clay: Sequence[bool] | None = None) -> dict[Role, Condition]:
        """By role: one row per view for target and source, one row for all views for the others.

        words: the view word of every view, "" for none; clay: which views are textureless.
        """
        keys = zip(words, clay if clay is not None else [False] * len(words), strict=True)
        try:
            rows = torch.tensor([self._variants[key] for key in keys], dtype=torch.int64)
        except KeyError as error:
            raise ValueError(f"(view word, clay) {error.args[0]} was not embedded; there are {list(self._variants)}") from None
        index = rows.to(self._device, non_blocking=True)
        return {role: c.rows(index) if role in VIEW_DEPENDENT else c for role, c in self._embedded.items()}
