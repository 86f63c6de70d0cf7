"""What a prompt asks for, in the judge's words, and which pictures give it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from backend.evaluate.judge import HEADS, Judge, Verdict
from backend.priors.exemplar_words import content_words
from backend.views import VIEW_WORDS
from backend.zoo.captions import MARK_WORDS, PATTERN_WORDS, VOCABULARY
from backend.zoo.catalogue import NOUNS
from backend.zoo.palette import COLOURS

# What follows one of these describes something else than the object, or its markings.
_ENDS = frozenset(
    ("with", "on", "and", "beside", "near", "under", "behind", "over", "above", "below", "in", "of", "against", "at", "from", "by")
)


@dataclass(frozen=True)
class Wanted:
    """Words of the zoo that a prompt asks for; None where it asks for nothing the zoo has a word for."""

    noun: str | None = None
    colour: str | None = None
    pattern: str | None = None
    view: str | None = None

    def of(self, head: str) -> str | None:
        """The word wanted of one head."""
        return {"noun": self.noun, "colour": self.colour, "pattern": self.pattern, "view": self.view}[head]


def wanted_of(prompt: str) -> Wanted:
    """What a prompt asks for. Words are compared whole and as they are, so a plural asks for nothing.

    The object is the first noun of the zoo, or the last of several in a row ("a flower vase" is a vase). Its colour is the nearest
    colour word before it, or else the first after it in the same phrase. A pattern stands before it, or as its markings ("with white
    spots"), whose colour is not the object's.

    Example:
        >>> wanted_of("a red mushroom with white spots, front view")
        Wanted(noun='mushroom', colour='red', pattern='spotted', view='front view')
    """
    text = prompt.lower()
    view = min((v for v in VIEW_WORDS if re.search(rf"\b{v}\b", text)), key=text.index, default=None)
    words = re.findall(r"[a-z]+|,", text)
    at = next((i for i, word in enumerate(words) if word in NOUNS), None)
    if at is not None:
        while at + 1 < len(words) and words[at + 1] in NOUNS:
            at += 1
    before = words[:at] if at is not None else _phrase(words)
    after = _phrase(words[at + 1 :]) if at is not None else []
    return Wanted(
        noun=words[at] if at is not None else None,
        colour=_last(before, COLOURS) or _first(after, COLOURS),
        pattern=_last(before, PATTERN_WORDS) or _first(after, PATTERN_WORDS) or _marking(words),
        view=view,
    )


def _phrase(words: list[str]) -> list[str]:
    """The words up to one that turns to something else."""
    return words[: next((i for i, word in enumerate(words) if word in _ENDS), len(words))]


def _first(words: list[str], known: tuple[str, ...]) -> str | None:
    return next((word for word in words if word in known), None)


def _last(words: list[str], known: tuple[str, ...]) -> str | None:
    return _first(words[::-1], known)


def _marking(words: list[str]) -> str | None:
    """The pattern named by its markings after "with": stripes, spots, checks, veins."""
    if "with" not in words:
        return None
    named = {mark: word for mark, word in zip(MARK_WORDS, PATTERN_WORDS, strict=True) if mark}
    mark = _first(words[words.index("with") + 1 :], tuple(named))
    return named[mark] if mark else None


def hits(judge: Judge, verdict: Verdict, wanted: Wanted | Mapping[str, str]) -> dict[str, Tensor]:
    """For every head that is asked for, whether each picture's likeliest label is the asked one: head -> bool [N]."""
    asked = {head: wanted.of(head) if isinstance(wanted, Wanted) else wanted.get(head) for head in HEADS}
    return {
        head: verdict.of(head).argmax(-1) == judge.labels(head).index(word)
        for head, word in asked.items()
        if word is not None and word in judge.labels(head)
    }


def prompt_accuracy(judge: Judge, verdict: Verdict, wanted: Wanted | Mapping[str, str]) -> dict[str, float]:
    """Share of the pictures that show what is asked for, per asked head and, as "all", in everything at once. Empty: nothing is asked."""
    right = hits(judge, verdict, wanted)
    if not right:
        return {}
    together = next(iter(right.values()))
    for value in right.values():
        together = together & value
    return {**{head: float(value.float().mean()) for head, value in right.items()}, "all": float(together.float().mean())}


def unjudged(judge: Judge, prompt: str) -> str:
    """One sentence about what of a prompt the judge cannot see, "" where it knows the noun and every other word.

    Example: "The judge has no word for 'zebra'; it knows the nouns flower, mushroom, ..."
    """
    known = {word for head in HEADS for label in judge.labels(head) for word in label.split()} | set(VOCABULARY) | _ENDS
    strange = [word for word in content_words(prompt) if word not in known]
    noun = wanted_of(prompt).noun
    if not strange and noun is not None:
        return ""
    what = (
        f"The judge has no word for {', '.join(repr(word) for word in strange)}" if strange else "The prompt names no noun of the judge's"
    )
    lost = "" if noun is not None else ", so it cannot say whether the noun is right"
    return f"{what}{lost}; its nouns are {', '.join(judge.nouns)}."
