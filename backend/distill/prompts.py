"""The texts a method reads: what the artist asked for, seen from a side, and what it is measured against.

Order of the parts: prompt, view word, then the quality suffix (target) or the descriptors (source), so that truncation takes the
descriptors before it takes the view. Suffix, descriptors, negatives and view words are the prior card's.

Sources: arXiv 2406.09417 (descriptors), DreamFusion, arXiv 2209.14988, section 3.2 (view words), and arXiv 2304.04968 (Perp-Neg).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from backend.distill.contract import Role, broadcast
from backend.distill.perp_neg import PerpNegView, perp_neg_view
from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.priors.contract import Condition, Prior
from backend.views import VIEW_WORDS, view_words

OF_VIEWS: tuple[Role, ...] = ("target", "source", "critic")
_LEAD_IN = re.compile(r"^(?:(?:an?|the)\s+(?:\S+\s+)?(?:photo|photograph|picture|image|render|rendering)\s+of\s+)?", re.IGNORECASE)
_ARTICLE = re.compile(r"^(an?|the)\s+", re.IGNORECASE)


def role_text(
    role: Role,
    prompt: str,
    card: PriorCard,
    *,
    view_word: str = "",
    clay: bool = False,
    source_prompt: str = "",
    domain: str = "",
) -> str:
    """The text of one role for one view. The critic's is the target's without a view word.

    `view_word` "" adds none (close-ups, symmetric objects). `clay` is a textureless render. `source_prompt` says what the given thing
    is as it stands; `domain` names the kind of picture that it is ("painting"). The source text is the source prompt; else the prompt
    with the domain word; else the prompt with the card's descriptors. UserError for both.

    Example:
        >>> role_text("target", "a red mug", PriorCard(target_suffix=", sharp"), view_word="side view")
        'a red mug, side view, sharp'
        >>> role_text("source", "a red mug", PriorCard(source_descriptors=", blurry"), view_word="side view")
        'a red mug, side view, blurry'
        >>> role_text("source", "a red mug", PriorCard(), view_word="side view", source_prompt="a lump of clay")
        'a lump of clay, side view'
    """
    if role == "null":
        return ""
    if role == "negative":
        return card.negative
    base, ending = prompt, card.target_suffix
    if role == "source":
        check_source(source_prompt, domain)
        base, ending = (source_prompt, "") if source_prompt.strip() else (prompt, domain.strip(", ") or card.source_descriptors)
    base = base.strip().rstrip(",. ")
    if not base:
        raise UserError("The prompt is empty.", "Say what the sketch is, for example 'a red flower'.")
    if clay:
        base = clay_text(base, card)
    word = "" if role == "critic" else view_word
    return ", ".join(part for part in (base, word, ending.strip(", ")) if part)


def check_source(source_prompt: str, domain: str) -> None:
    """UserError if both a source prompt and a domain word are given: each of them says what the source text is."""
    if source_prompt.strip() and domain.strip():
        raise UserError(
            f"Both a source prompt ('{source_prompt}') and a domain word ('{domain}') were given, and only one can be the source text.",
            "Leave one of them out.",
        )


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


def perp_neg_views(
    card: PriorCard, words: Sequence[str], azimuth_deg: Sequence[float], elevation_deg: Sequence[float]
) -> list[PerpNegView]:
    """How Perp-Neg describes every view (host numbers); one without a view word stays as it is and turns away from nothing."""
    plain = PerpNegView("", "", 0.0, ("", ""), (0.0, 0.0))
    return [
        perp_neg_view(a, e, card.view_words, card.overhead_above_deg) if word else plain
        for word, a, e in zip(words, azimuth_deg, elevation_deg, strict=True)
    ]


class PromptBank:
    """Every text of a run, embedded once; a step picks rows, without reaching the text encoder and without a device read-back.

    Args:
        roles: those the run's methods read.
        words: the view words that may be asked for; all of the card's by default, and always "".
        clay: whether textureless renders will be judged.
        source_prompt, domain: as in `role_text`.
        per_view: view word -> the prompt to use with it (`debias_prompt`); the prompt itself for words that are not there.

    Errors: UserError for an empty prompt, for a source prompt and a domain word at once, and for the role "away" (Perp-Neg) with a
    prior whose card has no view words or whose texts are labels.
    """

    def __init__(
        self,
        prior: Prior,
        prompt: str,
        roles: Iterable[Role],
        *,
        words: Sequence[str] | None = None,
        clay: bool = False,
        source_prompt: str = "",
        domain: str = "",
        per_view: Mapping[str, str] | None = None,
    ) -> None:
        card = prior.card
        check_source(source_prompt, domain)
        wanted = dict.fromkeys(roles)
        if "away" in wanted:
            if not card.view_words:
                raise UserError(f"Perp-Neg needs view words, and the card of the prior '{card.name}' has none.", "Leave perp_neg out.")
            wanted["target"] = None  # its rows for the other views are what is turned away from
        offered = ["", *(card.view_words if words is None else words)]
        self._device = prior.device
        keys = dict.fromkeys((word, is_clay) for is_clay in ((False, True) if clay else (False,)) for word in offered)
        self._variants = {key: row for row, key in enumerate(keys)}
        self.texts: dict[Role, tuple[str, ...]] = {}
        self._embedded: dict[Role, Condition] = {}
        for role in wanted:
            if role == "away":
                continue
            variants = self._variants if role in OF_VIEWS else [("", False)]
            own = per_view or {}
            given = {"source_prompt": source_prompt, "domain": domain}
            texts = [
                role_text(role, own.get(word, prompt) if word else prompt, card, view_word=word, clay=is_clay, **given)
                for word, is_clay in variants
            ]
            self.texts[role] = tuple(texts)
            self._embedded[role] = prior.embed(texts)
        if "away" in wanted and not self._embedded["target"].text.is_floating_point():
            raise UserError(
                f"Perp-Neg mixes the embeddings of texts, and the prior '{card.name}' knows its texts as labels.", "Leave perp_neg out."
            )

    def conditions(
        self, words: Sequence[str], clay: Sequence[bool] | None = None, sides: Sequence[PerpNegView] | None = None
    ) -> dict[Role, Condition]:
        """By role: one row per view for target, source and critic, one row for all views for null and negative.

        words: the view word of every view, "" for none; clay: which views are textureless. sides: `perp_neg_views`, for a method
        with Perp-Neg: the target is then the mixture of both texts of its view, and "away" is there, two rows per view (n1, n2 of
        the first view, then of the second, ...); their weights are `as_weights(sides)`.
        """
        is_clay = list(clay) if clay is not None else [False] * len(words)
        picked: dict[Role, Condition] = {}
        for role, embedded in self._embedded.items():
            spoken = words if role != "critic" else [""] * len(words)
            picked[role] = embedded.rows(self._index(spoken, is_clay)) if role in OF_VIEWS else embedded
        if sides is not None:
            target = self._embedded["target"]
            first = target.rows(self._index([side.first for side in sides], is_clay))
            second = target.rows(self._index([side.second for side in sides], is_clay))
            blend = torch.tensor([side.blend for side in sides]).to(self._device, non_blocking=True)
            picked["target"] = _between(first, second, blend)
            twice = [flag for flag in is_clay for _ in range(2)]
            picked["away"] = target.rows(self._index([word for side in sides for word in side.away], twice))
        return picked

    def _index(self, words: Sequence[str], clay: Sequence[bool]) -> Tensor:
        """Rows of the embedded variants, on the device."""
        try:
            rows = torch.tensor([self._variants[key] for key in zip(words, clay, strict=True)], dtype=torch.int64)
        except KeyError as error:
            raise ValueError(f"(view word, clay) {error.args[0]} was not embedded; there are {list(self._variants)}") from None
        return rows.to(self._device, non_blocking=True)


def _between(first: Condition, second: Condition, blend: Tensor) -> Condition:
    """(1 - blend) of the first and blend of the second, row by row; blend [B]."""

    def mixed(a: Tensor, b: Tensor) -> Tensor:
        return torch.lerp(a, b, broadcast(blend, a))

    pooled = mixed(first.pooled, second.pooled) if first.pooled is not None and second.pooled is not None else None
    return replace(first, text=mixed(first.text, second.text), pooled=pooled)
