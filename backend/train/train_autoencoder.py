"""The autoencoder's training loop: teacher first, then half its pull, then the decoder alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from backend.errors import NumericalError, UserError, first_line
from backend.train.autoencoder import PatchTeacher, autoencoder_loss, build_autoencoder, measure_autoencoder
from backend.train.checkpoints import Average, load_state, save_state
from backend.train.journal import Journal, Report, quiet, save_sheet, to_bytes
from backend.train.options import TrainOptions
from backend.train.pool import Pool
from backend.train.progress import Progress, StopSignal, child_seed, cosine_rate, ema_decay

DECODER_ALONE_FROM = 0.75  # of the budget
TEACHER_PICTURES = 3000


@dataclass
class TrainedAutoencoder:
    vae: AutoencoderKL  # averaged weights, evaluation mode, `scaling_factor` set
    measures: dict[str, float]  # on the validation pictures
    is_finished: bool


def as_pictures(rows: np.ndarray, device: str) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, 3, H, W] float32 in [-1, 1]; to a GPU through pinned memory, so that the host need not wait."""
    held = torch.from_numpy(np.array(rows))
    if torch.device(device).type == "cuda":
        held = held.pin_memory()
    return held.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def train_autoencoder(
    options: TrainOptions, training: Pool, validation: Pool, work: Path, stop: StopSignal, report: Report = quiet
) -> TrainedAutoencoder:
    """Train, or go on training, to the end of the budget or until asked to stop; a checkpoint is written either way.

    Rows and noises are drawn on the CPU: they are few, and the same on every device.
    """
    device = options.device
    torch.manual_seed(child_seed(options.seed, "vae weights"))
    vae = build_autoencoder(options.sizes).to(device).train()
    shrink = 2 ** (len(options.sizes.vae_widths) - 1)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=options.vae_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = Average(vae)
    progress = Progress(minutes=options.vae_minutes, steps=options.vae_steps)
    generator = torch.Generator().manual_seed(child_seed(options.seed, "vae draws"))
    path = work / "vae.ckpt"
    saved: dict[str, Any] | None = load_state(path) if options.resume else None
    journal = Journal(work / "logs", "vae", anew=saved is None)
    if saved is not None:
        vae.load_state_dict(saved["vae"])
        average.values = {k: v.to(device) for k, v in saved["average"].items()}
        optimiser.load_state_dict(saved["optimiser"])
        progress.restore(saved["progress"])
        if not progress.is_done and (work / "denoiser.ckpt").exists():
            raise UserError(
                "The denoiser in this folder was trained on the autoencoder as it is, which more time would change.",
                "Give --vae-minutes as before, or --no-resume to begin anew.",
            )
        generator.set_state(saved["generator"])
        teacher = PatchTeacher(shrink, *(saved["teacher"][k].to(device) for k in ("mean", "axes", "scale")))
    else:
        first = as_pictures(training.pictures[: min(TEACHER_PICTURES, training.facts.count)], "cpu")
        fitted = PatchTeacher.fit(first, shrink, options.sizes.latent_channels)
        teacher = PatchTeacher(shrink, *(v.to(device) for v in (fitted.mean, fitted.axes, fitted.scale)))
    held_out = as_pictures(validation.pictures[:256], device)

    def averaged() -> AutoencoderKL:
        copy = build_autoencoder(options.sizes).to(device)
        copy.load_state_dict(average.values)
        return copy.eval()

    def check(loss: float) -> None:
        if not np.isfinite(loss):
            raise NumericalError(f"The autoencoder's loss is not finite at step {progress.step}; the last checkpoint is kept.")

    def write_checkpoint() -> None:
        check(float(loss.detach()))
        save_state(path, {
            "vae": vae.state_dict(), "average": average.values, "optimiser": optimiser.state_dict(),
            "progress": progress.state(), "generator": generator.get_state(),
            "teacher": {"mean": teacher.mean, "axes": teacher.axes, "scale": teacher.scale},
        })  # fmt: skip

    last_line = time.monotonic()
    loss = torch.zeros(())
    progress.start_clock()
    while not progress.is_done and not stop.is_set:
        alone = progress.fraction >= DECODER_ALONE_FROM
        rows = torch.randint(training.facts.count, (options.vae_batch,), generator=generator).numpy()
        pictures = as_pictures(training.pictures[np.sort(rows)], device)
        side = options.sizes.picture_px // shrink
        noise = torch.randn(options.vae_batch, options.sizes.latent_channels, side, side, generator=generator).to(device)
        weight = 1.0 - 0.5 * min(progress.fraction / DECODER_ALONE_FROM, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(options.vae_rate, progress.fraction, progress.step, warm_steps=100, last=0.0)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=options.bf16):
            loss, parts = autoencoder_loss(vae, pictures, noise, teacher, teacher_weight=weight, frozen_encoder=alone)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in vae.parameters() if p.grad is not None], 1.0)
        optimiser.step()
        average.update(vae, ema_decay(progress.step, 0.999))
        progress.advance()
        if progress.step % 50 == 0:
            values = {k: float(v) for k, v in parts.items()} | {"loss": float(loss.detach())}
            check(values["loss"])
            journal.write(progress.step, values)
            report("vae", progress.fraction, " ".join(f"{k} {v:.4f}" for k, v in values.items()))
        if time.monotonic() - last_line > 90:
            write_checkpoint()
            measures = measure_autoencoder(averaged(), held_out)
            journal.write(progress.step, {f"held_out_{k}": v for k, v in measures.items()})
            report("vae", progress.fraction, f"step {progress.step} " + " ".join(f"{k} {v:.4f}" for k, v in measures.items()))
            last_line = time.monotonic()
    write_checkpoint()
    final = averaged()
    measures = measure_autoencoder(final, held_out)
    measures["linear_psnr_db"] = _linear_psnr(teacher, held_out)
    final.register_to_config(scaling_factor=round(1.0 / max(measures["latent_deviation"], 1e-6), 5))
    journal.write(progress.step, {f"held_out_{k}": v for k, v in measures.items()})
    with torch.no_grad():
        made = final.decode(final.encode(held_out[:32]).latent_dist.mean).sample
    pairs = torch.stack([held_out[:32], made], 1).flatten(0, 1)
    save_sheet(work / "sheets" / "reconstructions.png", to_bytes(pairs), 16)
    journal.draw()
    return TrainedAutoencoder(final, measures, progress.is_done)


def finished_autoencoder(options: TrainOptions, folder: Path, training: Pool, validation: Pool) -> TrainedAutoencoder:
    """The autoencoder of an exported folder in full precision, measured on these pictures.

    Raises:
        UserError: the folder has none, or one of another shape than `options.sizes`.
    """
    wanted = build_autoencoder(options.sizes)
    try:
        vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True, torch_dtype=torch.float32)
        wanted.load_state_dict(vae.state_dict())
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"'{folder}' should hold an autoencoder of these sizes in its folder vae: {first_line(error)}.") from None
    vae = vae.eval().to(options.device)
    shrink = 2 ** (len(options.sizes.vae_widths) - 1)
    first = as_pictures(training.pictures[: min(TEACHER_PICTURES, training.facts.count)], "cpu")
    held_out = as_pictures(validation.pictures[:256], options.device)
    measures = measure_autoencoder(vae, held_out)
    measures["linear_psnr_db"] = _linear_psnr(PatchTeacher.fit(first, shrink, options.sizes.latent_channels), held_out.cpu())
    return TrainedAutoencoder(vae, measures, True)


def _linear_psnr(teacher: PatchTeacher, pictures: Tensor) -> float:
    made = teacher.decode(teacher.encode(pictures)).clamp(-1, 1)
    return float((-10 * torch.log10(((made - pictures) / 2).square().mean((1, 2, 3)))).mean())
