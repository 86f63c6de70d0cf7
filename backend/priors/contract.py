"""What a prior is: a frozen denoiser that can say what it believes the clean latent to be.

Parametrisation (noise, velocity, sample) is hidden behind `predict_noise`. Notation: `abar_t` is the scheduler's
cumulative product, alpha_t = sqrt(abar_t), sigma_t = sqrt(1 - abar_t), x_t = alpha_t z + sigma_t e.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from backend.priors.card import PriorCard


@dataclass(frozen=True)
class Condition:
    """What a denoiser row is conditioned on; every tensor has one entry per row. Only `text` is always there."""

    text: Tensor  # [B, L, D] last hidden states; closed forms: [B, 1] int64 labels, or [B, N] log weights over exemplars
    pooled: Tensor | None = None  # [B, D'] (SDXL)
    image_hint: Tensor | None = None  # [B, 3, H, W] display values (ControlNet)
    camera: Tensor | None = None  # [B, 16] camera-to-world, row-major (multi-view priors, critics)

    def __len__(self) -> int:
        return int(self.text.shape[0])

    def expand(self, rows: int) -> "Condition":
        """One row repeated `rows` times, or itself if it already has that many."""
        if len(self) == rows:
            return self
        if len(self) != 1:
            raise ValueError(f"a condition of {len(self)} rows cannot stand for {rows} latents; give one row or {rows}")
        return self.map(lambda value: value.expand(rows, *value.shape[1:]))

    def map(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """The same condition with `change` applied to every tensor that is present."""
        optional = (None if value is None else change(value) for value in (self.pooled, self.image_hint, self.camera))
        return Condition(change(self.text), *optional)

    def rows(self, index: Tensor) -> "Condition":
        """The chosen rows, [n] int64 on the same device."""
        return self.map(lambda value: value.index_select(0, index))

    @staticmethod
    def cat(parts: "Sequence[Condition]") -> "Condition":
        """Conditions one under the other; all must carry the same fields."""
        columns = zip(*((c.text, c.pooled, c.image_hint, c.camera) for c in parts), strict=True)
        joined = []
        for column in columns:
            present = [value for value in column if value is not None]
            if present and len(present) != len(column):
                raise ValueError("conditions joined in one call must carry the same fields")
            joined.append(torch.cat(present) if present else None)
        return Condition(*joined)  # type: ignore[arg-type]


class Prior(Protocol):
    """A frozen denoiser over latents [B, C, H, W]. Implementations: `DiffusersPrior`, `ExemplarPrior`, `GaussianMixturePrior`."""

    card: PriorCard
    latent_shape: tuple[int, int, int]  # C, H, W
    image_size_px: int  # side of the square picture that `encode` expects
    timesteps: int  # number of training noise levels; t is an index in 0..timesteps-1
    device: torch.device
    abar_host: Tensor  # [T] float64 on the host, the cumulative products, for choosing noise levels without a read-back
    parametrisation: str  # "epsilon" | "v_prediction" | "sample"; for reports only

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t, sigma_t, each [B] float32 (float64 for closed-form priors) on the prior's device; t [B] int64, host or device."""
        ...

    def predict_noise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """eps [B,C,H,W] in the dtype of z_t, without a graph; one denoiser call of B rows."""
        ...

    def encode(self, rgb: Tensor) -> Tensor:
        """rgb [B,3,H,W], display values 0..1 -> scaled latents [B,C,h,w] (posterior mean), differentiable in rgb."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> rgb [B,3,H,W] display values, clamped to 0..1."""
        ...

    def embed(self, prompts: Sequence[str]) -> Condition:
        """One condition row per prompt; cached by content."""
        ...

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of the prompt outside the prior's vocabulary (empty for priors with an open vocabulary)."""
        ...

    def dropped_words(self, prompt: str) -> list[str]:
        """Words at the end of the prompt that the prior does not read (empty for priors without a limit)."""
        ...

    def fingerprint(self) -> str:
        """sha256 over the weights, for the report and the checkpoint."""
        ...
