"""The starter's autoencoder: an `AutoencoderKL` kept near a linear teacher so that no colour axis is lost.

From scratch, a small autoencoder spends its first thousands of steps on luminance and drops a chroma axis. The teacher is the
PCA of the pictures' 4 x 4 patches: the encoder's mean is pulled towards it throughout, and the two chroma planes carry a
loss of their own. Pictures are display values; the networks see them as 2 x - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from backend.train.options import Sizes

# ITU-R BT.601 luma and colour differences, rows Y, Cb, Cr, for display values
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def build_autoencoder(sizes: Sizes) -> AutoencoderKL:
    """An untrained autoencoder, f = 2 ** (levels - 1); `scaling_factor` is set to 1 until it is measured."""
    levels = len(sizes.vae_widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.vae_widths,
        layers_per_block=0,
        latent_channels=sizes.latent_channels,
        norm_num_groups=min(8, sizes.vae_widths[0]),
        sample_size=sizes.picture_px,
        scaling_factor=1.0,
        force_upcast=False,
    )


@dataclass(frozen=True)
class PatchTeacher:
    """Linear code of square patches: half-whitened PCA axes with unit variance over the whole.

    Scaling each axis by sd^-0.5 keeps colour ahead of fine detail without drowning the detail in noise.
    """

    patch: int
    mean: Tensor  # [3 patch^2]
    axes: Tensor  # [C, 3 patch^2], orthonormal rows
    scale: Tensor  # [C]

    @staticmethod
    def fit(pictures: Tensor, patch: int, channels: int) -> PatchTeacher:
        """From pictures [N, 3, H, W] in [-1, 1].

        Raises:
            ValueError: more channels are asked for than a patch has values.
        """
        if channels > 3 * patch * patch:
            raise ValueError(f"a {patch} x {patch} patch has {3 * patch * patch} values, {channels} channels were asked for")
        rows = F.unfold(pictures, patch, stride=patch).transpose(1, 2).reshape(-1, 3 * patch * patch).double()
        mean = rows.mean(0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        values, vectors = torch.linalg.eigh(covariance)
        values, axes = values.flip(0)[:channels].clamp_min(1e-12), vectors.T.flip(0)[:channels]
        spread = values.sqrt()
        scale = spread**-0.5
        scale = scale / (spread * scale).square().mean().sqrt()  # unit variance over all channels
        return PatchTeacher(patch, mean.float(), axes.float().contiguous(), scale.float())

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] -> codes [N, C, H / patch, W / patch]."""
        n, _, h, w = pictures.shape
        rows = F.unfold(pictures, self.patch, stride=self.patch).transpose(1, 2) - self.mean
        codes = (rows @ self.axes.T) * self.scale
        return codes.transpose(1, 2).reshape(n, -1, h // self.patch, w // self.patch)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes -> pictures in [-1, 1], the best linear reconstruction."""
        n, c, h, w = codes.shape
        rows = (codes.reshape(n, c, -1).transpose(1, 2) / self.scale) @ self.axes + self.mean
        return F.fold(rows.transpose(1, 2), (h * self.patch, w * self.patch), self.patch, stride=self.patch)


def chroma(pictures: Tensor) -> Tensor:
    """The two colour-difference planes of pictures [N, 3, H, W], [N, 2, H, W]."""
    matrix = torch.tensor(YCBCR[1:], dtype=pictures.dtype, device=pictures.device)
    return torch.einsum("kc,nchw->nkhw", matrix, pictures)


def chroma_l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the chroma planes, a scalar; large as soon as one colour axis is lost."""
    return (chroma(a) - chroma(b)).abs().mean()


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 + 0.5 MSE + 0.5 L1 of finite differences + L1 of the chroma planes, on pictures in [-1, 1]."""
    across = ((made.diff(dim=3) - wanted.diff(dim=3)).abs().mean() + (made.diff(dim=2) - wanted.diff(dim=2)).abs().mean()) / 2
    return F.l1_loss(made, wanted) + 0.5 * F.mse_loss(made, wanted) + 0.5 * across + 1.0 * chroma_l1(made, wanted)


def autoencoder_loss(
    vae: AutoencoderKL,
    pictures: Tensor,  # [B, 3, H, W] in [-1, 1]
    noise: Tensor,  # [B, C, h, w] standard normal, the posterior's draw
    teacher: PatchTeacher,
    *,
    teacher_weight: float,
    kl_weight: float = 1e-4,
    frozen_encoder: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of one batch and its parts. With a frozen encoder the decoder alone learns, from the posterior's mean."""
    if frozen_encoder:
        with torch.no_grad():
            posterior = vae.encode(pictures).latent_dist
        latents = posterior.mean
    else:
        posterior = vae.encode(pictures).latent_dist
        latents = posterior.mean + posterior.std * noise
    made = vae.decode(latents).sample.float()
    reconstruction = reconstruction_loss(made, pictures)
    parts = {"reconstruction": reconstruction.detach(), "chroma": chroma_l1(made.detach(), pictures) / 2}
    if frozen_encoder:
        return reconstruction, parts
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    pull = (mean - teacher.encode(pictures)).square().mean()
    parts["teacher"] = pull.detach()
    return reconstruction + teacher_weight * pull + kl_weight * kl, parts


@torch.no_grad()
def measure_autoencoder(vae: AutoencoderKL, pictures: Tensor) -> dict[str, float]:
    """PSNR (dB, display values, mean over pictures), chroma L1 (display values) and latent deviation on pictures in [-1, 1]."""
    psnr, colour, codes = [], [], []
    for part in pictures.split(64):
        mean = vae.encode(part).latent_dist.mean
        made = vae.decode(mean).sample.clamp(-1, 1)
        mse = ((made - part) / 2).square().mean((1, 2, 3))
        psnr.append(-10 * torch.log10(mse))
        colour.append(chroma_l1(made / 2, part / 2))
        codes.append(mean)
    return {
        "psnr_db": float(torch.cat(psnr).mean()),
        "chroma_l1": float(torch.stack(colour).mean()),
        "latent_deviation": float(torch.cat(codes).std()),
    }
