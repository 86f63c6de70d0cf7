"""Labelled pictures for the judge: zoo renders from seeds that no prior is trained on, every noun in every colour.

A prior's pool starts at seeds 0 and 1 000 000; these start far above, and, unlike a pool, hold the noun-colour pairs of
`catalogue.HELD_OUT_PAIRS` too, because the judge has to recognise what a prior composes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from backend.priors.contract import Prior
from backend.views import OVERHEAD, SIDE, VIEW_WORDS, view_words
from backend.zoo.captions import PATTERN_WORDS
from backend.zoo.catalogue import NOUNS, make_object
from backend.zoo.palette import COLOURS
from backend.zoo.pictures import PictureMix, draw_shot
from backend.zoo.primitives import ZooObject
from backend.zoo.render import Shot, render

TRAINING_SEED, HELD_OUT_SEED = 50_000_000, 60_000_000
LABELS: dict[str, tuple[str, ...]] = {"noun": NOUNS, "colour": COLOURS, "pattern": PATTERN_WORDS, "view": VIEW_WORDS}
"""What the judge tells apart, in the order of its columns."""
PATTERN_SHARES = (0.36, 0.16, 0.16, 0.16, 0.16)  # more than a pool has of the rare ones
MIX = PictureMix(flat=0.2, clay=0.1, corrupted=0.0)
UNKNOWN = -1  # the label of what a picture does not show: clay has neither colour nor pattern
ROUND = ("mushroom", "apple", "pear", "tree", "lamp")
"""Nouns that look the same from everywhere around: of their level views only the share of each word is known."""
CHUNK = 256
SOFT_SHARE = 0.25  # of the training pictures went through a prior's autoencoder


@dataclass(frozen=True)
class Labelled:
    """Pictures and what they show; row i is from seed `first + i`."""

    pixels: np.ndarray  # [N, S, S, 3] uint8 display values
    labels: np.ndarray  # [N, 4] int64: noun, colour, pattern, view; UNKNOWN where the picture does not say
    azimuth_deg: np.ndarray  # [N] from the front


def draw(seed: int, mix: PictureMix = MIX) -> tuple[ZooObject, Shot, list[int]]:
    """What picture `seed` shows, from where, and its four labels; nouns and colours are all equally frequent."""
    rng = np.random.default_rng([seed, 23])
    noun, colour = str(rng.choice(NOUNS)), str(rng.choice(COLOURS))
    pattern = str(rng.choice(PATTERN_WORDS, p=PATTERN_SHARES))
    thing = make_object(seed, noun, colour, pattern)
    shot = draw_shot(rng, thing, mix)
    view = VIEW_WORDS.index(view_words(shot.azimuth_deg, shot.elevation_deg))
    labels = [NOUNS.index(noun), COLOURS.index(colour), PATTERN_WORDS.index(pattern), view]
    if shot.clay is not None:
        labels[1:3] = [UNKNOWN, UNKNOWN]
    return thing, shot, labels


def labelled_pictures(first: int, count: int, size_px: int = 64, *, mix: PictureMix = MIX) -> Labelled:
    """`count` pictures from seeds `first`..; the same seed gives the same bytes on one machine."""
    drawn = [draw(seed, mix) for seed in range(first, first + count)]
    pictures = [
        render([thing for thing, _, _ in drawn[at : at + CHUNK]], [shot for _, shot, _ in drawn[at : at + CHUNK]], size_px)
        for at in range(0, count, CHUNK)
    ]
    pixels = (np.concatenate(pictures) * 255 + 0.5).astype(np.uint8)
    return Labelled(pixels, np.array([row for _, _, row in drawn]), np.array([shot.azimuth_deg for _, shot, _ in drawn]))


def view_targets(labels: torch.Tensor) -> torch.Tensor:
    """What the view head is to say, [N, 4] probabilities for labels [N, 4]: the word itself, or how often each is right for `ROUND`."""
    targets = torch.nn.functional.one_hot(labels[:, 3], len(VIEW_WORDS)).float()
    level = [0.0 if word == OVERHEAD else 0.5 if word == SIDE else 0.25 for word in VIEW_WORDS]
    undecided = torch.isin(labels[:, 0], torch.tensor([NOUNS.index(noun) for noun in ROUND]))
    undecided &= labels[:, 3] != VIEW_WORDS.index(OVERHEAD)
    return torch.where(undecided[:, None], torch.tensor(level), targets)


@torch.no_grad()
def softened(pixels: np.ndarray, prior: Prior) -> np.ndarray:
    """Pictures [N,S,S,3] uint8 as they come back from a prior's autoencoder."""
    rgb = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    back = torch.cat([prior.decode(prior.encode(part)) for part in rgb.split(32)])
    return (back.clamp(0, 1).permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()


def kept_pictures(
    folder: Path,
    first: int,
    count: int,
    size_px: int,
    prior: Prior | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Labelled:
    """`labelled_pictures`, made into `folder` once and then read from there, memory-mapped; rendering goes on where it stopped.

    With a prior, the first `SOFT_SHARE` of each chunk pass through its autoencoder, as its samples do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, notes = (folder / f"{what}_{first}_{count}_{size_px}.npy" for what in ("pictures", "labels"))
    if not notes.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, size_px, size_px, 3)).flush()
        np.save(notes, np.full((count, 5), np.nan))
    pixels, rows = np.load(path, mmap_mode="r+"), np.load(notes, mmap_mode="r+")
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        if np.isnan(rows[stop - 1, 0]):
            made = labelled_pictures(first + start, stop - start, size_px)
            soft = round((stop - start) * SOFT_SHARE) if prior is not None else 0
            if prior is not None and soft:
                made.pixels[:soft] = softened(made.pixels[:soft], prior)
            pixels[start:stop] = made.pixels
            rows[start:stop, :4], rows[start:stop, 4] = made.labels, made.azimuth_deg
        report(stop, count)
    return Labelled(pixels, rows[:, :4].astype(np.int64), np.array(rows[:, 4]))
