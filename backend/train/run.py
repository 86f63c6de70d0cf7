"""`train_prior`: pictures, autoencoder, denoiser, exported folder, in that order, each stage resumable on its own.

CPU and CUDA run the same code; `device` chooses. Ctrl-C writes a checkpoint and returns; the same call goes on from there.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import msgspec
import torch

from backend.errors import UserError
from backend.train.export import export_folder
from backend.train.journal import Report, quiet
from backend.train.latents import encode_pool
from backend.train.model_card import expected_colours, write_readme
from backend.train.options import TrainOptions
from backend.train.pool import TRAINING_SEED, VALIDATION_SEED, make_pool
from backend.train.progress import StopSignal
from backend.train.recognition import recognition
from backend.train.train_autoencoder import finished_autoencoder, train_autoencoder
from backend.train.train_denoiser import TrainedDenoiser, train_denoiser
from backend.train.words import save_tokenizer

logger = logging.getLogger(__name__)


class TrainResult(msgspec.Struct, frozen=True):
    """What came of a training run; measures are on held-out pictures and empty for stages that did not run."""

    out: str
    is_finished: bool
    samples: int = 0
    size_bytes: int = 0
    autoencoder: dict[str, float] = {}
    denoiser: dict[str, float] = {}


def train_prior(options: TrainOptions, *, report: Report = quiet) -> TrainResult:
    """Train and export a starter prior.

    Stages: `data` makes the pictures, `vae` the autoencoder, `denoiser` the rest and the export; `all` runs them in order.
    A stage that finds its checkpoint goes on from it, or only reads it where the budget is spent. `report` is called with the
    stage, its fraction done and a line of numbers.

    Raises:
        UserError: an option is out of range, or the device is not there.
    """
    _check(options)
    work, out = Path(options.work).expanduser(), Path(options.out)
    work.mkdir(parents=True, exist_ok=True)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    (work / "options.json").write_bytes(msgspec.json.format(msgspec.json.encode(options), indent=2))
    with StopSignal() as stop:
        px = options.sizes.picture_px
        validation = make_pool(work / "validation", options.validation_images, VALIDATION_SEED, px, processes=options.processes)
        training = make_pool(
            work / "training", options.images, TRAINING_SEED, px, processes=options.processes,
            report=lambda done, total: report("data", done / total, f"{done} of {total} pictures"),
        )  # fmt: skip
        if options.stage == "data" or stop.is_set:
            return TrainResult(str(out), not stop.is_set)
        kept = options.vae or options.start
        trained_vae = (
            finished_autoencoder(options, Path(kept).expanduser(), training, validation)
            if kept
            else train_autoencoder(options, training, validation, work, stop, report)
        )
        if options.stage == "vae" or not trained_vae.is_finished:
            return TrainResult(str(out), trained_vae.is_finished, autoencoder=trained_vae.measures)
        vae = trained_vae.vae
        tokenizer = save_tokenizer(work / "tokenizer", options.sizes.tokens)
        latents = encode_pool(vae, tokenizer, training, work / "latents.npy", options.device, report)
        held_out = encode_pool(vae, tokenizer, validation, work / "held_out.npy", options.device)
        size = 0

        def export(trained: TrainedDenoiser) -> None:
            nonlocal size
            if trained.is_finished:  # half a minute: only worth it once
                shares = recognition(
                    trained.unet, trained.text_encoder, tokenizer, held_out, validation.captions, validation.facts.first_seed
                )
                trained.measures |= {f"recognised_{what}": share for what, share in shares.items()}
            notes = (
                f"A toy prior: {trained.samples} training samples, {trained.minutes:.0f} minutes of denoiser training"
                f"{'' if trained.is_finished else ' (unfinished: the learning rate is not annealed yet)'}."
            )
            expected = expected_colours(trained, vae, tokenizer)
            size = export_folder(
                out, vae, trained.unet, trained.text_encoder, tokenizer, notes=notes,
                readme=write_readme(options, trained, trained_vae.measures),
                extra={
                    "training.json": msgspec.json.format(msgspec.json.encode(_shipped(options)), indent=2) + b"\n",
                    "expected.json": (json.dumps(expected, indent=2) + "\n").encode(),
                },
            )  # fmt: skip
            logger.info("exported %d samples to %s (%d bytes)", trained.samples, out, size)

        trained = train_denoiser(options, vae, tokenizer, latents, held_out, work, stop, export=export, report=report)
        return TrainResult(
            str(out), trained.is_finished, trained.samples, size, autoencoder=trained_vae.measures, denoiser=trained.measures
        )


def _shipped(options: TrainOptions) -> TrainOptions:
    """The options without the places of one machine."""
    plain = TrainOptions()
    return msgspec.structs.replace(options, out=plain.out, work=plain.work)


def _check(options: TrainOptions) -> None:
    positive = ("images", "validation_images", "batch", "vae_batch", "rate", "vae_rate")
    for name in positive:
        if getattr(options, name) <= 0:
            raise UserError(f"{name} must be positive, got {getattr(options, name)}")
    if options.batch > options.images:
        raise UserError(f"batch ({options.batch}) must not exceed images ({options.images})")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but this PyTorch finds no CUDA device; use --device cpu")
    if options.threads is not None and not 1 <= options.threads <= (os.cpu_count() or 1) * 4:
        raise UserError(f"threads must be a small positive number, got {options.threads}")
