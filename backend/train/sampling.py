"""Pictures drawn by a half-trained prior: the fixed grid that a person judges, and losses on held-out pictures."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from backend.train.denoiser import TIMESTEPS, build_scheduler, signal_levels
from backend.train.latents import Latents, tokenize

GRID_PROMPTS = (
    "a red flower, front view", "a yellow flower, side view", "a purple flower", "a white spotted flower, front view",
    "a red mushroom with white spots, front view", "a brown mushroom, side view", "a blue mushroom, overhead view", "an orange mushroom",
    "a red apple, front view", "a green apple, overhead view", "a yellow pear", "a green pear, side view",
    "a green cactus, front view", "a pink cactus, side view", "a green tree, front view", "an orange tree",
    "a red cottage, front view", "a blue cottage, back view", "a striped blue mug, side view", "a white mug, front view",
    "a purple vase", "a striped green vase, front view", "a brown chair, front view", "a red chair, back view",
    "a snowman, front view", "a black snowman, side view", "a red rocket, front view", "a blue rocket",
    "an orange fish, side view", "a striped yellow fish", "a pink lamp, front view", "a spotted green lamp",
    "a clay flower, front view", "a clay mushroom", "a clay chair", "a clay cottage",
    "a red flower, blurry, noisy, pixelated", "a green tree, painting", "a blue mug, cartoon", "a yellow pear, foggy, hazy",
)  # fmt: skip


@torch.no_grad()
def sample_pictures(
    unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, vae: AutoencoderKL,
    prompts: tuple[str, ...], *, guidance: float = 4.0, steps: int = 20, seed: int = 0,
) -> Tensor:  # fmt: skip
    """DDIM samples with classifier-free guidance, [N, 3, S, S] in [-1, 1]; picture i starts from its own seed."""
    device = next(unet.parameters()).device
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    text = text_encoder(tokenize(tokenizer, [*prompts, *([""] * len(prompts))]).long().to(device)).last_hidden_state
    z = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed + i)) for i in range(len(prompts))]).to(device)
    for t in scheduler.timesteps:
        conditional, empty = unet(torch.cat([z, z]), t.to(device), encoder_hidden_states=text).sample.chunk(2)
        z = scheduler.step(empty + guidance * (conditional - empty), t, z).prev_sample
    return vae.decode(z / vae.config.scaling_factor).sample


@torch.no_grad()
def held_out_losses(unet: UNet2DConditionModel, text_encoder: CLIPTextModel, held_out: Latents) -> dict[str, float]:
    """Mean squared noise error on held-out rows with fixed noises: all levels, and the low and high thirds of t."""
    device = next(unet.parameters()).device
    alpha, sigma = signal_levels()
    count = min(256, len(held_out.latents))
    generator = torch.Generator().manual_seed(1)
    t = ((torch.arange(count) * 0.618034) % 1.0 * TIMESTEPS).long()
    noise = torch.randn(held_out.latents[:count].shape, generator=generator)
    errors = []
    for rows in torch.arange(count).split(64):
        a, s = alpha[t[rows], None, None, None], sigma[t[rows], None, None, None]
        noisy = (a * held_out.latents[rows].float() + s * noise[rows]).to(device)
        text = text_encoder(held_out.tokens[rows].long().to(device)).last_hidden_state
        made = unet(noisy, t[rows].to(device), encoder_hidden_states=text).sample.cpu()
        errors.append((made - noise[rows]).square().mean((1, 2, 3)))
    error = torch.cat(errors)
    return {
        "held_out": float(error.mean()),
        "held_out_low_t": float(error[t < TIMESTEPS // 3].mean()),
        "held_out_high_t": float(error[t >= 2 * TIMESTEPS // 3].mean()),
    }
