"""What a prior draws for captions, as the judge sees it: accuracy, Frechet distance to real renders, and a sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.errors import UserError
from backend.evaluate.judge import Judge
from backend.evaluate.metrics import frechet_distance
from backend.evaluate.wanted import prompt_accuracy
from backend.priors.contract import Condition, Prior
from backend.priors.sampling import sample
from backend.zoo.catalogue import HELD_OUT_PAIRS, make_object
from backend.zoo.palette import COLOURS
from backend.zoo.pictures import PictureMix, draw_shot
from backend.zoo.render import render

REFERENCE_SEED = 65_000_000  # real renders to compare with; neither a prior nor the judge was trained on them
MIX = PictureMix(clay=0.0, corrupted=0.0)
PAIRS = ("held-out", "all")


@dataclass(frozen=True)
class PairSamples:
    """What came of one noun-colour pair."""

    caption: str
    accuracy: dict[str, float]  # noun, colour, and all (both at once)
    pictures: np.ndarray  # [N, S, S, 3] uint8


@dataclass(frozen=True)
class PriorVerdict:
    """The judge on a prior's samples."""

    guidance: float
    steps: int
    pairs: list[PairSamples]
    accuracy: dict[str, float]  # over all samples
    frechet: float  # to real renders of the same captions, as many
    frechet_of_renders: float  # between two such sets of real renders: what the distance cannot go below

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        plain = {name: getattr(self, name) for name in ("guidance", "steps", "accuracy", "frechet", "frechet_of_renders")}
        return {**plain, "pairs": [{"caption": pair.caption, **pair.accuracy} for pair in self.pairs]}


def noun_colour_pairs(which: str, prior: Prior, judge: Judge) -> list[tuple[str, str]]:
    """The pairs to draw, of nouns and colours that both the prior's card and the judge know.

    Errors: UserError for another name than `PAIRS`, or where nothing is left.
    """
    if which not in PAIRS:
        raise UserError(f"There are no pairs '{which}'.", f"Choose {' or '.join(PAIRS)}.")
    nouns = prior.card.known("nouns", judge.nouns)
    colours = prior.card.known("colours", judge.colours)
    every = HELD_OUT_PAIRS if which == PAIRS[0] else [(noun, colour) for noun in nouns for colour in COLOURS]
    pairs = [(noun, colour) for noun, colour in every if noun in nouns and colour in colours]
    if not pairs:
        told = f"None of the pairs '{which}' is made of words that both the prior '{prior.card.name}' and the judge know."
        raise UserError(told, f"The judge knows {', '.join(judge.nouns)}." if which == "all" else "Take --pairs all.")
    return pairs


def caption_of(noun: str, colour: str) -> str:
    """Example: ("apple", "orange") -> "an orange apple"."""
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {noun}"


def judge_prior(
    judge: Judge,
    prior: Prior,
    pairs: Sequence[tuple[str, str]],
    samples: int = 16,
    *,
    steps: int = 20,
    guidance: float | None = None,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
    keep: Callable[[str, Tensor], None] = lambda caption, pictures: None,
) -> PriorVerdict:
    """DDIM samples of every pair, judged. The same seed gives the same pictures on one machine.

    Args:
        guidance: as a sampler means it; the card's by default.
        report: told the pairs done so far and all of them.
        keep: given each caption with its pictures [N,3,S,S], display values, for further measures.

    Errors: UserError for a single picture in all.
    """
    if len(pairs) * samples < 2:
        raise UserError("One picture has no spread, which the Frechet distance compares.", "Give --samples 2 or more.")
    scale = prior.card.guidance if guidance is None else guidance
    null = prior.embed([""])
    done: list[PairSamples] = []
    embeddings: list[Tensor] = []
    real: list[Tensor] = []
    again: list[Tensor] = []
    for i, (noun, colour) in enumerate(pairs):
        caption = caption_of(noun, colour)
        source = torch.Generator().manual_seed(1_000_003 * seed + i)
        pictures = samples_of(prior, caption, null, samples, scale, steps, source).cpu()
        verdict = judge(pictures)
        embeddings.append(verdict.embedding)
        asked = {"noun": noun, "colour": colour}
        shown = (pictures.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        done.append(PairSamples(caption, prompt_accuracy(judge, verdict, asked), shown))
        keep(caption, pictures)
        first = REFERENCE_SEED + 2 * i * samples
        for found, start in ((real, first), (again, first + samples)):
            found.append(judge(real_renders(noun, colour, start, samples, prior.image_size_px)).embedding)
        report(i + 1, len(pairs))
    reference = torch.cat(real)
    return PriorVerdict(
        guidance=scale,
        steps=steps,
        pairs=done,
        accuracy={name: float(np.mean([pair.accuracy[name] for pair in done])) for name in ("noun", "colour", "all")},
        frechet=frechet_distance(torch.cat(embeddings), reference),
        frechet_of_renders=frechet_distance(torch.cat(again), reference),
    )


@torch.no_grad()
def samples_of(prior: Prior, caption: str, null: Condition, count: int, guidance: float, steps: int, generator: torch.Generator) -> Tensor:
    """`count` pictures of a caption [count,3,S,S], display values."""
    latents = sample(prior, prior.embed([caption]).expand(count), null, guidance=guidance, steps=steps, generator=generator)
    return prior.decode(latents)


def real_renders(noun: str, colour: str, first_seed: int, count: int, size_px: int) -> Tensor:
    """`count` renders of the zoo of one pair from views, lights and backgrounds of a run, [count,3,S,S] display values."""
    seeds = range(first_seed, first_seed + count)
    things = [make_object(seed, noun, colour) for seed in seeds]
    shots = [draw_shot(np.random.default_rng([seed, 11]), thing, MIX) for seed, thing in zip(seeds, things, strict=True)]
    return torch.from_numpy(render(things, shots, size_px)).permute(0, 3, 1, 2)
