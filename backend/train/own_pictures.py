"""A user's captioned pictures as training data: copies of each, some spoilt with the words for it, some shifted a little.

A folder holds too few pictures to train on as they are. Every copy comes from its own seed, so a pool can be remade from the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import UserError
from backend.priors.exemplar_folder import Exemplar, read_exemplars, read_pixels
from backend.priors.exemplar_words import views_in
from backend.train.pool import Pool, PoolFacts, StopAsked, open_pool, start_pool, write_pool_facts
from backend.zoo.captions import QUALITY
from backend.zoo.corruptions import corrupt
from backend.zoo.pictures import MIX, draw_marks

FEWEST = 20  # pictures
HELD_OUT_SHARE = 0.1
COPIES = 150  # of each picture, by default
MOST_BY_DEFAULT = 60_000
DROP_VIEW, SAY_QUALITY, SHIFTED = 0.2, 0.3, 0.7  # shares of the copies
SMALLEST, SHIFT = 0.88, 0.06  # how far a shifted copy is scaled down and moved, in picture sides


@dataclass(frozen=True)
class OwnPictures:
    """A folder's pictures at the training's size, apart into those to train on and those to measure on."""

    name: str
    exemplars: list[Exemplar]
    pixels: np.ndarray  # [N, 3, S, S] float32 display values
    digest: str  # sha256 over pixels and captions
    training: np.ndarray  # rows of the pictures to train on
    held_out: np.ndarray  # rows of the others

    def captions(self, rows: Sequence[int] | np.ndarray | None = None) -> list[str]:
        """With the view of the metadata at the end where the caption does not say it."""
        return [_with_view(self.exemplars[i]) for i in (range(len(self.exemplars)) if rows is None else rows)]


def read_own_pictures(folder: str | Path, size_px: int, seed: int) -> OwnPictures:
    """Every tenth picture of a shuffled folder, two at least, is held out.

    Errors: as `read_exemplars` and `read_pixels`; UserError for fewer than `FEWEST` pictures.
    """
    exemplars = read_exemplars(folder, fewest=1)
    if len(exemplars) < FEWEST:
        raise UserError(
            f"The folder '{folder}' holds {len(exemplars)} pictures; a training needs at least {FEWEST}.",
            "Add pictures, or use the folder as it is with --prior exemplar:FOLDER, which needs no training.",
        )
    pixels = read_pixels(exemplars, size_px)
    digest = hashlib.sha256(pixels.tobytes())
    for exemplar in exemplars:
        digest.update(f"{exemplar.caption}\n{exemplar.view}\n".encode())
    order = np.random.default_rng([seed, 3]).permutation(len(exemplars))
    held = max(2, round(HELD_OUT_SHARE * len(exemplars)))
    name = Path(folder).expanduser().resolve().name
    return OwnPictures(name, exemplars, pixels, digest.hexdigest(), np.sort(order[held:]), np.sort(order[:held]))


def default_count(own: OwnPictures) -> int:
    """Pictures in a pool of this folder, where nothing else is asked for."""
    return min(COPIES * len(own.training), MOST_BY_DEFAULT)


def held_out_pool(folder: Path, own: OwnPictures, count: int) -> Pool:
    """The pictures that are never trained on, as they are, repeated up to `count` (what is measured differs by its noise)."""
    rows = np.resize(own.held_out, max(count, len(own.held_out)))
    facts = PoolFacts(len(rows), own.pixels.shape[-1], 0, f"{own.digest} held out")
    store = start_pool(folder, facts)
    store[:] = _to_bytes(own.pixels[rows])
    store.flush()
    return write_pool_facts(folder, facts, own.captions(rows))


def training_pool(
    folder: Path, own: OwnPictures, count: int, seed: int, *, zoo: Pool | None = None, stop: StopAsked = lambda: False
) -> Pool | None:
    """`count` copies of the folder's pictures, each equally often, followed by the pictures of `zoo`; None where it was stopped.

    Opened instead of made if the folder holds the same pool already.
    """
    more = 0 if zoo is None else zoo.facts.count
    facts = PoolFacts(count + more, own.pixels.shape[-1], seed, f"{own.digest} and {more} of the zoo")
    if (folder / "pool.json").exists() and open_pool(folder).facts == facts:
        return open_pool(folder)
    store = start_pool(folder, facts)
    rows = np.resize(own.training, count)
    sources, spoken = own.pixels[own.training].transpose(0, 2, 3, 1), own.captions(own.training)
    captions = []
    for i in range(count):
        if i % 256 == 0 and stop():
            return None
        which = i % len(own.training)
        pixels, words = _copy(sources[which], spoken[which], np.random.default_rng([seed, int(rows[i]), i]))
        store[i], _ = pixels, captions.append(words)
    for first in range(0, more, 4096):
        assert zoo is not None
        store[count + first : count + min(first + 4096, more)] = zoo.pictures[first : first + 4096]
    store.flush()
    return write_pool_facts(folder, facts, captions + ([] if zoo is None else zoo.captions))


def _copy(picture: np.ndarray, caption: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """One picture [S, S, 3] uint8 and its caption. Never mirrored: things and captions may tell left from right."""
    if rng.random() < SHIFTED:
        picture = _shifted(picture, rng)
    if rng.random() < DROP_VIEW:
        for view in views_in(caption):
            caption = caption.replace(f", {view}", "")
    if rng.random() < MIX.corrupted:
        marks = draw_marks(rng)
        done = marks if len(marks) <= 3 else tuple(str(m) for m in rng.permutation(marks)[:3])
        picture = corrupt(picture, done, rng)
        caption += "".join(f", {mark}" for mark in marks)
    elif rng.random() < SAY_QUALITY:
        caption += f", {QUALITY}"
    return _to_bytes(picture.transpose(2, 0, 1)[None])[0], caption


def _shifted(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scaled down a little and moved, the border's mean colour around it."""
    size = picture.shape[0]
    side = max(1, round(size * rng.uniform(SMALLEST, 1.0)))
    small = Image.fromarray(_to_bytes(picture.transpose(2, 0, 1)[None])[0]).resize((side, side), Image.Resampling.BILINEAR)
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).mean(0)
    whole = np.broadcast_to(border, picture.shape).astype(np.float32)
    room = (size - side) / 2
    top, left = (int(np.clip(round(room + rng.uniform(-SHIFT, SHIFT) * size), 0, size - side)) for _ in range(2))
    whole[top : top + side, left : left + side] = np.asarray(small, dtype=np.float32) / 255
    return whole


def _with_view(exemplar: Exemplar) -> str:
    caption = " ".join(exemplar.caption.split())
    return caption if not exemplar.view or views_in(caption) else f"{caption}, {exemplar.view}"


def _to_bytes(pixels: np.ndarray) -> np.ndarray:  # [N, 3, S, S] display values -> [N, S, S, 3] uint8
    return (pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
