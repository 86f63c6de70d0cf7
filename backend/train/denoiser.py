"""The starter's denoiser and text encoder, their noise schedule and their loss.

z_t = alpha_t z + sigma_t e with the Stable Diffusion betas; the network predicts e. The loss is weighted by
max(min(snr, cap) / snr, floor): min-SNR weighting (Hang et al. 2023, eq. 8) with a floor that keeps the smallest noise levels,
and with them flat backgrounds and sharp outlines, in the game. Where there is more noise than signal the weight rises like
1 / sqrt(snr) up to a ceiling (Yu et al. 2023, "Debias the Training of Diffusion Models"): there a picture's layout is settled, and
with it what a view word says, at errors too small to be learnt from otherwise.
"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.train.options import Sizes
from backend.train.view_twins import Twins, twin_loss

TIMESTEPS = 1000


def build_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon",
    )  # fmt: skip


def build_denoiser(sizes: Sizes) -> UNet2DConditionModel:
    """An untrained UNet over the autoencoder's latents; attention at every level but the finest."""
    levels = len(sizes.unet_widths)
    return UNet2DConditionModel(
        sample_size=sizes.picture_px // 2 ** (len(sizes.vae_widths) - 1),
        in_channels=sizes.latent_channels,
        out_channels=sizes.latent_channels,
        block_out_channels=sizes.unet_widths,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (levels - 1),
        up_block_types=("CrossAttnUpBlock2D",) * (levels - 1) + ("UpBlock2D",),
        layers_per_block=1,
        cross_attention_dim=sizes.text_width,
        attention_head_dim=4,  # as in Stable Diffusion 1, this names the number of heads
        norm_num_groups=sizes.unet_groups,
    )


def build_text_encoder(sizes: Sizes, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder; the special ids are the tokenizer's, the class defaults lie outside this vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=sizes.text_width, intermediate_size=4 * sizes.text_width,
            num_hidden_layers=sizes.text_layers, num_attention_heads=sizes.text_heads, max_position_embeddings=sizes.tokens,
            projection_dim=sizes.text_width, hidden_act="quick_gelu", bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def signal_levels() -> tuple[Tensor, Tensor]:
    """alpha_t and sigma_t for every t, each [1000] float32."""
    cumulative = build_scheduler().alphas_cumprod.double()
    return cumulative.sqrt().float(), (1 - cumulative).sqrt().float()


def loss_weights(alpha: Tensor, sigma: Tensor, cap: float, floor: float, ceiling: float) -> Tensor:
    """max(min(snr, cap) / snr, floor) where snr is 1 or more, min(1 / sqrt(snr), ceiling) below; elementwise.

    Example:
        >>> loss_weights(torch.tensor([0.6]), torch.tensor([0.8]), 5.0, 0.2, 4.0)
        tensor([1.3333])
    """
    snr = (alpha / sigma).square()
    return (snr.clamp_max(cap) / snr).clamp_min(floor) * snr.rsqrt().clamp(1.0, ceiling)


def stratified_timesteps(batch: int, generator: torch.Generator) -> Tensor:
    """One integer t from each of `batch` equal slices of [0, 1000), in ascending order, [batch] int64 on the generator's device."""
    device = generator.device
    u = (torch.arange(batch, device=device) + torch.rand(batch, generator=generator, device=device)) / batch
    return (u * TIMESTEPS).long().clamp_max(TIMESTEPS - 1)


def denoiser_loss(
    unet: torch.nn.Module,
    text_encoder: torch.nn.Module,
    latents: Tensor,  # [B, C, H, W] scaled
    tokens: Tensor,  # [B, L] int64
    t: Tensor,  # [B] int64
    noise: Tensor,  # [B, C, H, W]
    alpha: Tensor,  # [B]
    sigma: Tensor,  # [B]
    twins: Twins,
    *,
    cap: float,
    floor: float,
    ceiling: float,
    twin_weight: Tensor,  # scalar
) -> tuple[Tensor, Tensor]:
    """Weighted loss of one batch and its twins, a scalar, and the plain squared error of every row, [B] without a graph."""
    noisy = alpha[:, None, None, None] * latents + sigma[:, None, None, None] * noise
    text = text_encoder(input_ids=torch.cat([tokens, twins.tokens])).last_hidden_state
    rows = torch.cat([torch.arange(len(t), device=t.device), twins.rows])
    shown = noisy[rows].contiguous(memory_format=torch.channels_last)  # indexing loses it
    predicted = unet(shown, t[rows], encoder_hidden_states=text, return_dict=False)[0]
    errors = (predicted.float() - noise[rows]).square().mean((1, 2, 3))
    own, wrong = errors[: len(t)], errors[len(t) :]
    loss = (loss_weights(alpha, sigma, cap, floor, ceiling) * own).mean()
    return loss + twin_weight * twin_loss(own[twins.rows], wrong, twins.counts), own.detach()
