"""What a training run is told: one frozen struct, the same for the command line, tests and the card of the exported folder."""

from __future__ import annotations

from typing import Literal

import msgspec

Stage = Literal["data", "vae", "denoiser", "all"]


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Widths of the three networks; the defaults are the shipped starter."""

    picture_px: int = 64
    vae_widths: tuple[int, ...] = (32, 32, 32)
    latent_channels: int = 8
    unet_widths: tuple[int, ...] = (64, 128, 128)
    unet_groups: int = 16
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    tokens: int = 64


class TrainOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A training run. Minutes are wall time of one stage, summed over resumed parts; steps, where given, replace minutes."""

    out: str = "backend/priors/starter"  # the exported folder, replaced file by file
    work: str = "~/.cache/sketchbridge/train"  # pictures, latents, checkpoints, sheets
    stage: Stage = "all"
    start: str = ""  # an exported folder: its weights are the first ones, its autoencoder is kept
    vae: str = ""  # an exported folder whose autoencoder is used as it is
    minutes: float = 100.0  # of the denoiser
    vae_minutes: float = 9.0
    steps: int | None = None  # of the denoiser, instead of minutes: exactly repeatable
    vae_steps: int | None = None
    images: int = 110_000
    validation_images: int = 512
    processes: int | None = None  # of picture making; None: one per core
    batch: int = 32
    vae_batch: int = 16
    rate: float = 1e-3
    vae_rate: float = 2e-3
    snr_cap: float = 5.0
    weight_floor: float = 0.2
    empty_captions: float = 0.1
    ema: float = 0.9995
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    bf16: bool = True
    compiled: bool = False
    resume: bool = True  # go on from the checkpoints in `work` where there are any
    export_every_minutes: float = 10.0
    sheet_every_minutes: float = 8.0
    sizes: Sizes = Sizes()
