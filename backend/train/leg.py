"""Whose checkpoints lie in a work folder, and what came before them: one leg of a prior's history.

Written when a training begins, so that it can be resumed even where its export has replaced the release it started from.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from backend.errors import UserError
from backend.train.options import Sizes, TrainOptions
from backend.train.release import Leg, Release

FILE = "leg.json"
CHECKPOINTS = ("vae.ckpt", "denoiser.ckpt")
WORDS = "tokenizer"


class Begun(msgspec.Struct, frozen=True):
    """Of the training in a work folder."""

    pictures: str  # digest of the user's pictures; empty: the zoo's
    mix_zoo: float
    start: str
    seed: int
    sizes: Sizes
    history: tuple[Leg, ...] = ()  # of the release it started from
    autoencoder: str = ""  # where its autoencoder came from; empty: trained here
    known_words: tuple[str, ...] = ()  # of the release it started from
    vae: str = ""
    batch: int = TrainOptions().batch


def begin_leg(options: TrainOptions, work: Path, pictures: str, start: Release | None, kept_vae: Release | None) -> Begun:
    """The training that `work` holds, or a new one where it holds none or is not to be resumed: then its checkpoints are gone.

    Raises:
        UserError: it holds the checkpoints of another training, or of one that is not known.
    """
    source = start or kept_vae
    new = Begun(
        pictures, options.mix_zoo, options.start, options.seed, options.sizes,
        start.history if start else (), source.autoencoder if source else "",
        start.card.vocabulary if start else (), options.vae, options.batch,
    )  # fmt: skip
    path = work / FILE
    if options.resume and any((work / name).exists() for name in CHECKPOINTS):
        if not path.exists():
            raise UserError(f"The folder '{work}' holds a training, but no {FILE} that says which.", "Give another --work, or --no-resume.")
        old = msgspec.json.decode(path.read_bytes(), type=Begun)
        for what in ("pictures", "mix_zoo", "start", "vae", "seed", "batch", "sizes"):
            if getattr(old, what) != getattr(new, what):
                raise UserError(
                    f"The folder '{work}' holds a training with other {what.replace('_', '-')}.",
                    "Give another --work, or --no-resume to begin anew.",
                )
        return old
    for name in CHECKPOINTS:
        (work / name).unlink(missing_ok=True)
    shutil.rmtree(work / WORDS, ignore_errors=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(new), indent=2))
    return new
