"""The denoiser's training loop: UNet and text encoder together, on latents of the real encoder.

Latents and tokens lie on the device; the host waits for it once in 50 steps. Rows follow from the seed and the step alone. Dropped
captions, levels and noises are drawn by one generator of the device, whose state is in the checkpoint: a run repeats exactly on one
kind of device, and goes on with other draws where its checkpoint is taken to another kind.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from backend.errors import NumericalError, UserError, first_line
from backend.priors.loading import quietly
from backend.train.checkpoints import Average, load_state, save_state
from backend.train.denoiser import build_denoiser, build_text_encoder, denoiser_loss, signal_levels, stratified_timesteps
from backend.train.journal import Journal, Report, quiet, save_sheet, to_bytes
from backend.train.latents import Latents, tokenize
from backend.train.options import TrainOptions
from backend.train.progress import Progress, StopSignal, child_seed, cosine_rate, ema_decay
from backend.train.sampling import GRID_PROMPTS, held_out_losses, sample_pictures
from backend.train.view_twins import ViewTwins

CHECKPOINT_EVERY_S = 180.0


@dataclass
class TrainedDenoiser:
    unet: UNet2DConditionModel  # averaged weights
    text_encoder: CLIPTextModel  # averaged weights
    samples: int  # pictures seen
    minutes: float
    measures: dict[str, float]
    is_finished: bool
    views: dict[str, float] = field(default_factory=dict)  # shares of samples that show the view they were asked for, by view word


Export = Callable[[TrainedDenoiser], None]


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int, device: str) -> Tensor:
    return torch.from_numpy(np.random.default_rng(child_seed(seed, f"epoch {epoch}")).permutation(count)).to(device)


def batch_rows(seed: int, step: int, batch: int, count: int, device: str = "cpu") -> Tensor:
    """Rows of one step, [batch] int64: every row once per epoch, in an order that follows from seed and epoch alone.

    Raises:
        ValueError: the batch is larger than the set.
    """
    if batch > count:
        raise ValueError(f"a batch of {batch} was asked for from {count} pictures")
    per_epoch = count // batch
    epoch, within = divmod(step, per_epoch)
    return _epoch_order(seed, epoch, count, device)[within * batch : (within + 1) * batch]


def load_averaged(options: TrainOptions, tokenizer: CLIPTokenizer, state: dict[str, Any]) -> TrainedDenoiser:
    """The averaged networks of a checkpoint of this loop, in evaluation mode."""
    unet = build_denoiser(options.sizes)
    text_encoder = build_text_encoder(options.sizes, tokenizer)
    unet.load_state_dict(state["average_unet"])
    text_encoder.load_state_dict(state["average_text"])
    progress = state["progress"]
    done = progress["step"] * options.batch
    return TrainedDenoiser(
        unet.eval().to(options.device), text_encoder.eval().to(options.device), done, progress["spent_s"] / 60, {}, False
    )


def start_from(folder: Path, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
    """Loads the weights of an exported folder into networks of the same shape.

    Words that both vocabularies know keep what they mean; a new word starts as an untrained one.

    Raises:
        UserError: the folder holds no such networks.
    """
    try:
        with quietly():
            words = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True, dtype=torch.float32).state_dict()
        before = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True).get_vocab()
        found = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True, torch_dtype=torch.float32)
        unet.load_state_dict(found.state_dict())
        table = next(name for name in words if name.endswith("token_embedding.weight"))
        now = tokenizer.get_vocab()
        both = [word for word in now if word in before]
        meaning = text_encoder.state_dict()[table].clone()
        meaning[[now[word] for word in both]] = words[table][[before[word] for word in both]]
        text_encoder.load_state_dict({**words, table: meaning})
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"'{folder}' should hold the networks of a prior of these sizes: {first_line(error)}.") from None


def train_denoiser(
    options: TrainOptions,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    training: Latents,
    held_out: Latents,
    work: Path,
    stop: StopSignal,
    *,
    first: Path | None = None,
    grid: tuple[str, ...] = GRID_PROMPTS,
    export: Export = lambda trained: None,
    report: Report = quiet,
) -> TrainedDenoiser:
    """Train, or go on training, to the end of the budget or until asked to stop; a checkpoint is written either way.

    `first` is an exported folder whose weights, as the live ones and as their average, come before the first step; optimiser and
    warm-up are fresh. `grid` is what the sheets show. `export` is called every `export_every_minutes` and at the end with the averaged
    networks. On one machine and boxed by steps, an interrupted and resumed run equals an uninterrupted one bit for bit.

    Raises:
        UserError: as `start_from`.
        NumericalError: the loss is not finite; the last checkpoint is untouched.
    """
    device = options.device
    torch.manual_seed(child_seed(options.seed, "denoiser weights"))
    unet = build_denoiser(options.sizes).to(device, memory_format=torch.channels_last).train()  # a fifth faster on a CPU
    text_encoder = build_text_encoder(options.sizes, tokenizer).to(device).train()
    path = work / "denoiser.ckpt"
    saved = load_state(path) if options.resume else None
    if first is not None and saved is None:
        start_from(first, unet, text_encoder, tokenizer)
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=options.peak_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    averages = {"unet": Average(unet), "text": Average(text_encoder)}
    progress = Progress(minutes=options.minutes, steps=options.steps)
    generator = torch.Generator(device).manual_seed(child_seed(options.seed, "denoiser draws"))
    journal = Journal(work / "logs", "denoiser", anew=saved is None)
    if saved is not None:
        unet.load_state_dict(saved["unet"])
        text_encoder.load_state_dict(saved["text"])
        for name, average in averages.items():
            average.values = {k: v.to(device) for k, v in saved[f"average_{name}"].items()}
        optimiser.load_state_dict(saved["optimiser"])
        progress.restore(saved["progress"])
        if saved.get("drawn_on", "cpu") == generator.device.type:
            generator.set_state(saved["generator"])
        else:  # the states of two kinds of generator have nothing in common
            generator.manual_seed(child_seed(options.seed, f"denoiser draws from step {progress.step}"))

    def state() -> dict[str, Any]:
        return {
            "unet": unet.state_dict(), "text": text_encoder.state_dict(),
            "average_unet": averages["unet"].values, "average_text": averages["text"].values,
            "optimiser": optimiser.state_dict(), "progress": progress.state(), "generator": generator.get_state(),
            "drawn_on": generator.device.type,
        }  # fmt: skip

    running: list[Tensor] = []  # loss and plain error of a step, [2] on the device

    def checked() -> list[float]:
        """Means of what `running` holds; before a state is kept, too, so that no checkpoint is lost itself."""
        means: list[float] = torch.stack(running).mean(0).tolist() if running else [0.0, 0.0]
        if not np.isfinite(means[0]):
            raise NumericalError(
                f"The denoiser's loss is not finite near step {progress.step}; the last checkpoint is kept.",
                "Give the same command with a lower --rate.",
            )
        return means

    def keep() -> None:
        checked()
        save_state(path, state())

    def averaged() -> TrainedDenoiser:
        checked()
        trained = load_averaged(options, tokenizer, state())
        trained.is_finished = progress.is_done
        return trained

    def write_sheet() -> dict[str, float]:
        trained = averaged()
        made = sample_pictures(trained.unet, trained.text_encoder, tokenizer, vae, grid)
        save_sheet(work / "sheets" / f"samples_{trained.samples // 1000:05d}k.png", to_bytes(made), 8, zoom=2)
        measures = held_out_losses(trained.unet, trained.text_encoder, held_out)
        journal.write(progress.step, measures)
        journal.draw()
        report("denoiser", progress.fraction, f"samples {trained.samples} " + " ".join(f"{k} {v:.4f}" for k, v in measures.items()))
        return measures

    shown = training.on(device)
    alpha, sigma = (levels.to(device) for levels in signal_levels())
    empty = tokenize(tokenizer, [""]).to(device)
    twins = ViewTwins(tokenizer, options.twins, device)
    loss_of = torch.compile(denoiser_loss) if options.compiled else denoiser_loss
    last = {"checkpoint": time.monotonic(), "sheet": time.monotonic(), "export": time.monotonic()}
    began = (time.monotonic(), progress.step)
    progress.start_clock()
    while not progress.is_done and not stop.is_set:
        rows = batch_rows(options.seed, progress.step, options.batch, len(shown.latents), device)
        latents = shown.latents[rows].float().contiguous(memory_format=torch.channels_last)
        is_dropped = torch.rand(options.batch, generator=generator, device=device) < options.empty_captions
        tokens = torch.where(is_dropped[:, None], empty, shown.tokens[rows]).long()
        t = stratified_timesteps(options.batch, generator)
        noise = torch.randn(latents.shape, generator=generator, device=device)
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(options.peak_rate, progress.fraction, progress.step, warm_steps=150, last=0.02)
        # They break the ice; what is learnt in the end is how much a view tells, which the plain loss alone knows.
        twin_weight = torch.tensor(options.twin_weight * (1.0 - progress.fraction) ** 2)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=options.bf16):
            loss, error = loss_of(
                unet, text_encoder, latents, tokens, t, noise, alpha[t], sigma[t], twins.draw(tokens, t, generator),
                cap=options.snr_cap, floor=options.weight_floor, ceiling=options.weight_ceiling, twin_weight=twin_weight,
            )  # fmt: skip
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        decay = ema_decay(progress.step, options.ema)
        averages["unet"].update(unet, decay)
        averages["text"].update(text_encoder, decay)
        running.append(torch.stack([loss.detach(), error.mean()]))
        progress.advance()
        if progress.step % 50 == 0:
            mean, plain = checked()
            running.clear()
            speed = (progress.step - began[1]) * options.batch / (time.monotonic() - began[0])
            journal.write(progress.step, {"loss": mean, "error": plain, "samples_per_s": speed})
            report("denoiser", progress.fraction, f"samples {progress.step * options.batch} loss {mean:.4f} {speed:.0f}/s")
        now = time.monotonic()
        if now - last["checkpoint"] > CHECKPOINT_EVERY_S:
            keep()
            last["checkpoint"] = time.monotonic()
        if now - last["sheet"] > 60 * options.sheet_every_minutes:
            write_sheet()
            last["sheet"] = time.monotonic()
        if now - last["export"] > 60 * options.export_every_minutes:
            export(averaged())
            last["export"] = time.monotonic()
    keep()
    measures = write_sheet()
    trained = averaged()
    trained.measures = measures
    export(trained)
    return trained
