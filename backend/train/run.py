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
from transformers import CLIPTokenizer

from backend.errors import UserError
from backend.train.export import export_folder
from backend.train.journal import Report, quiet
from backend.train.latents import Latents, encode_pool
from backend.train.leg import CHECKPOINTS, WORDS, Begun, begin_leg
from backend.train.material import Material, own_material, zoo_material
from backend.train.model_card import Told, card_notes, expected_colours, write_readme
from backend.train.options import TrainOptions
from backend.train.own_pictures import OwnPictures, read_own_pictures
from backend.train.progress import StopSignal
from backend.train.recognition import caption_recognition, recognition
from backend.train.release import RECORD_FILE, Leg, Release, read_release
from backend.train.sample_sheet import SHOWN, draw_samples, judge_pairs, judge_views, pair_prompts, sheet_png
from backend.train.train_autoencoder import TrainedAutoencoder, finished_autoencoder, train_autoencoder
from backend.train.train_denoiser import TrainedDenoiser, train_denoiser
from backend.train.words import LEARNT_AT_MOST, TOKENIZER_FILES, save_tokenizer, words_of
from backend.zoo.captions import VOCABULARY

logger = logging.getLogger(__name__)

SHEET_FILE = "samples.png"
SHEET_PROMPTS = 16  # of a user's captions


class TrainResult(msgspec.Struct, frozen=True):
    """What came of a training run; measures are on held-out pictures and empty for stages that did not run."""

    out: str
    is_finished: bool
    samples: int = 0  # of this leg
    size_bytes: int = 0
    autoencoder: dict[str, float] = {}
    denoiser: dict[str, float] = {}
    notes: tuple[str, ...] = ()  # what the user should know, a sentence each


def train_prior(options: TrainOptions, *, report: Report = quiet) -> TrainResult:
    """Train and export a prior on the zoo's pictures, or on a user's own.

    Stages: `data` makes the pictures, `vae` the autoencoder, `denoiser` the rest and the export; `all` runs them in order.
    A stage that finds its checkpoint goes on from it, or only reads it where the budget is spent. `report` is called with the
    stage, its fraction done and a line of numbers.

    Raises:
        UserError: an option is out of range, the device is not there, a folder is not usable, or `work` holds another training.
        NumericalError: a loss is not finite.
    """
    with StopSignal(options.stop_after) as stop:
        _check(options)
        start = read_release(options.start) if options.start else None
        kept_vae = read_release(options.vae) if options.vae else start
        options = _settled(options, start, kept_vae)
        work, out = Path(options.work).expanduser(), Path(options.out).expanduser()
        own = read_own_pictures(options.pictures, options.sizes.picture_px, options.seed) if options.pictures else None
        work.mkdir(parents=True, exist_ok=True)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if options.device.startswith("cuda"):
            torch.set_float32_matmul_precision("high")
        begun = begin_leg(options, work, own.digest if own else "", start, kept_vae)
        (work / "options.json").write_bytes(msgspec.json.format(msgspec.json.encode(options), indent=2))
        material = _material(options, own, start, work, report, stop)
        if material is None or options.stage == "data" or stop.is_set:
            return TrainResult(str(out), material is not None and not stop.is_set)
        if options.batch > material.training.facts.count:
            raise UserError(f"batch ({options.batch}) must not exceed images ({material.training.facts.count}).", "Give a smaller --batch.")
        trained_vae = (
            finished_autoencoder(options, kept_vae.folder, material.training, material.validation)
            if kept_vae
            else train_autoencoder(options, material.training, material.validation, work, stop, report)
        )
        if options.stage == "vae" or not trained_vae.is_finished:
            return TrainResult(str(out), trained_vae.is_finished, autoencoder=trained_vae.measures)
        words = work / WORDS
        is_resumed = options.resume and (work / CHECKPOINTS[1]).exists() and (words / TOKENIZER_FILES[0]).exists()
        tokenizer = CLIPTokenizer.from_pretrained(words) if is_resumed else save_tokenizer(words, options.sizes.tokens, material.learnt)
        latents = encode_pool(
            trained_vae.vae, tokenizer, material.training, work / "latents.npy", options.device, report, lambda: stop.is_set
        )
        held_out = encode_pool(trained_vae.vae, tokenizer, material.validation, work / "held_out.npy", options.device)
        if latents is None or held_out is None:
            return TrainResult(str(out), False, autoencoder=trained_vae.measures)
        exporter = _Exporter(options, out, work, material, begun, trained_vae, tokenizer, held_out, report)
        trained = train_denoiser(
            options, trained_vae.vae, tokenizer, latents, held_out, work, stop,
            first=start.folder if start else None, grid=material.grid, export=exporter, report=report,
        )  # fmt: skip
        return TrainResult(
            str(out), trained.is_finished, trained.samples, exporter.size_bytes,
            autoencoder=trained_vae.measures, denoiser=trained.measures, notes=exporter.notes,
        )  # fmt: skip


class _Exporter:
    """Measures and writes the folder; called with every state that is worth keeping."""

    def __init__(
        self, options: TrainOptions, out: Path, work: Path, material: Material, begun: Begun,
        trained_vae: TrainedAutoencoder, tokenizer: CLIPTokenizer, held_out: Latents, report: Report,
    ) -> None:  # fmt: skip
        self.options, self.out, self.work, self.material, self.begun = options, out, work, material, begun
        self.trained_vae, self.tokenizer, self.held_out, self.report = trained_vae, tokenizer, held_out, report
        self.notes = _notes(options, material, begun, tokenizer)
        self.size_bytes = 0

    def __call__(self, trained: TrainedDenoiser) -> None:
        material, vae = self.material, self.trained_vae.vae
        self.report("export", 0.0, "")
        sheet, pairs = b"", []
        if trained.is_finished:  # a minute or two: only worth it once
            trained.measures |= {f"recognised_{what}": share for what, share in self._recognised(trained).items()}
            self.report("export", 0.4, "recognition measured")
            prompts = pair_prompts() if material.own is None else material.grid[:SHEET_PROMPTS]
            count = self.options.sheet_samples if material.own is None else min(self.options.sheet_samples, SHOWN)
            pictures = draw_samples(trained, vae, self.tokenizer, prompts, count, material.card.guidance)
            pairs = judge_pairs(pictures) if material.own is None else []
            if material.own is None:
                trained.views = judge_views(trained, vae, self.tokenizer, min(count, SHOWN), material.card.guidance)
            sheet = sheet_png(prompts, pictures)
            self.report("export", 0.9, "samples drawn")
        options = self.options
        leg = Leg(
            trained.samples, round(trained.minutes, 1), options.peak_rate, material.training.facts.count, options.device,
            material.own.name if material.own else "",
        )  # fmt: skip
        history = (*self.begun.history, leg)
        card = msgspec.structs.replace(material.card, notes=card_notes(history, trained.is_finished))
        shown = _shipped(options, material)
        told = Told(
            shown, material, card, history, self.begun.autoencoder, self.trained_vae.measures, trained, pairs, bool(sheet), self.notes
        )
        record = msgspec.to_builtins(shown) | {"history": msgspec.to_builtins(history), "autoencoder": self.begun.autoencoder}
        expected = expected_colours(trained, vae, self.tokenizer, material.expected)
        extra = {RECORD_FILE: record, "expected.json": expected}
        self.size_bytes = export_folder(
            self.out, vae, trained.unet, trained.text_encoder, self.work / WORDS, card=card, readme=write_readme(told),
            extra={name: (json.dumps(value, indent=2) + "\n").encode() for name, value in extra.items()}
            | ({SHEET_FILE: sheet} if sheet else {}),
        )  # fmt: skip
        self.report("export", 1.0, str(self.out))
        logger.info("exported %d samples to %s (%d bytes)", trained.samples, self.out, self.size_bytes)

    def _recognised(self, trained: TrainedDenoiser) -> dict[str, float]:
        material, networks = self.material, (trained.unet, trained.text_encoder, self.tokenizer, self.held_out)
        if material.own is None:
            return recognition(*networks, material.validation.captions, material.validation.facts.first_seed)
        asked = material.validation.captions[: material.held_out_count]
        return caption_recognition(*networks, asked, material.known_captions)


def _material(
    options: TrainOptions, own: OwnPictures | None, start: Release | None, work: Path, report: Report, stop: StopSignal
) -> Material | None:
    def asked() -> bool:
        return stop.is_set

    return zoo_material(options, start, work, report, asked) if own is None else own_material(options, own, start, work, report, asked)


def _settled(options: TrainOptions, start: Release | None, kept_vae: Release | None) -> TrainOptions:
    """With the sizes of what it goes on from."""
    sizes = options.sizes
    if start is not None:
        sizes = start.sizes
    elif kept_vae is not None:
        same = ("picture_px", "vae_widths", "latent_channels")
        sizes = msgspec.structs.replace(sizes, **{name: getattr(kept_vae.sizes, name) for name in same})
    return msgspec.structs.replace(options, sizes=sizes, rate=options.peak_rate)


def _notes(options: TrainOptions, material: Material, begun: Begun, tokenizer: CLIPTokenizer) -> tuple[str, ...]:
    """What a user should know about the words of the captions."""
    notes = []
    spoken = words_of([*material.known_captions, *(VOCABULARY if material.zoo_images else ())])
    new = [word for word in spoken if word not in set(words_of(begun.known_words))]
    if begun.start and new:
        notes.append(f"Words that '{Path(begun.start).name}' did not know, and that are learned from nothing: {_first(new)}.")
    spelt = [word for word in spoken if len(tokenizer.tokenize(word)) > 1]
    if spelt:
        notes.append(f"Words beyond the {LEARNT_AT_MOST} that are one token each, spelt in pieces: {_first(spelt)}.")
    room = options.sizes.tokens
    long = sum(len(ids) > room for ids in tokenizer(material.known_captions or [""], verbose=False)["input_ids"])
    if long:
        notes.append(f"{long} captions are longer than {room} tokens; their ends are not read.")
    return tuple(notes)


def _first(words: list[str], most: int = 12) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def _shipped(options: TrainOptions, material: Material) -> TrainOptions:
    """The options without the places of one machine."""
    plain = TrainOptions()
    names = {what: Path(getattr(options, what)).name for what in ("start", "vae", "pictures") if getattr(options, what)}
    return msgspec.structs.replace(options, out=plain.out, work=plain.work, images=material.training.facts.count, **names)


def _check(options: TrainOptions) -> None:
    positive = ("images", "validation_images", "batch", "vae_batch", "rate", "vae_rate", "sheet_samples")
    for name in positive:
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise UserError(f"{name} must be positive, got {value}.")
    if not 0 <= options.mix_zoo < 1:
        raise UserError(f"mix_zoo must be a share from 0 up to, but not, 1, got {options.mix_zoo:g}.", "Give 0.3, for example.")
    if options.mix_zoo and not options.pictures:
        raise UserError("mix_zoo mixes the zoo's pictures into a folder's, but no folder was given.", "Give --pictures FOLDER.")
    if options.images is not None and options.batch > options.images:
        raise UserError(f"batch ({options.batch}) must not exceed images ({options.images}).", "Give a smaller --batch.")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("Device cuda was asked for, but this PyTorch finds no CUDA device.", "Use --device cpu.")
    if options.threads is not None and not 1 <= options.threads <= (os.cpu_count() or 1) * 4:
        raise UserError(f"threads must be a small positive number, got {options.threads}.")
