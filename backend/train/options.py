"""What a training run is told: one frozen struct, the same for the command line, tests and the card of the exported folder."""

from __future__ import annotations

from typing import Literal

import msgspec

Stage = Literal["data", "vae", "denoiser", "all"]

ZOO_IMAGES = 110_000
FIRST_RATE = 1e-3  # of a denoiser whose weights are random
NEXT_RATE = 3e-4  # of one that goes on from trained weights: a fresh optimiser at the first rate would undo much of them


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
    """A training run. Minutes are wall time of one stage, summed over resumed parts; steps, where given, replace minutes.

    Folders of exported priors are paths, or "starter" for the shipped one.
    """

    out: str = "backend/priors/starter"  # the exported folder, replaced file by file
    work: str = "~/.cache/sketchbridge/train"  # pictures, latents, checkpoints, sheets
    stage: Stage = "all"
    pictures: str = ""  # a folder of captioned pictures instead of the zoo's
    mix_zoo: float = 0.0  # share of the zoo's pictures beside those of the folder
    start: str = ""  # an exported folder: its weights are the first ones, its autoencoder and sizes are kept
    vae: str = ""  # an exported folder whose autoencoder is used as it is
    minutes: float = 100.0  # of the denoiser
    vae_minutes: float = 9.0
    stop_after: float | None = None  # minutes of this call, all stages: then a checkpoint and an export, as after Ctrl-C
    steps: int | None = None  # of the denoiser, instead of minutes: exactly repeatable
    vae_steps: int | None = None
    images: int | None = None  # None: 110 000 of the zoo; of a folder, see `own_pictures.default_count`
    validation_images: int = 512
    processes: int | None = None  # of picture making; None: one per core
    batch: int = 32
    vae_batch: int = 16
    rate: float | None = None  # None: 1e-3, and 3e-4 with `start`
    vae_rate: float = 2e-3
    snr_cap: float = 5.0
    weight_floor: float = 0.2
    weight_ceiling: float = 1.0  # of levels with more noise than signal; 1: no more than the others
    twins: int = 0  # rows of a step that are shown again with another view word
    twin_weight: float = 0.05  # at the start; it falls to 0 with the square of what is left
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
    sheet_samples: int = 16  # of every prompt of the finished export's sheet, which shows eight at most and has all of them judged
    sizes: Sizes = Sizes()

    @property
    def peak_rate(self) -> float:
        """The denoiser's highest learning rate."""
        return self.rate if self.rate is not None else NEXT_RATE if self.start else FIRST_RATE
