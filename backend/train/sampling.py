"""Pictures drawn by a half-trained prior: the fixed grid that a person judges, and losses on held-out pictures."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from backend.evaluate.prior_samples import caption_of
from backend.train.denoiser import TIMESTEPS, build_scheduler, signal_levels
from backend.train.latents import Latents, tokenize
from backend.zoo.catalogue import HELD_OUT_PAIRS

AT_ONCE = 64  # samples

GRID_PROMPTS = (
    "a red flower, front view", "a white spotted flower", "a red mushroom with white spots, front view", "a brown mushroom, side view",
    "a red apple, front view", "a green apple, overhead view", "a yellow pear", "a marbled green pear, side view",
    "a green cactus, front view", "a pink cactus, side view", "a green tree, front view", "an orange tree",
    "an orange fish, side view", "a striped yellow fish", "a red cottage, front view", "a blue cottage, back view",
    "a striped blue mug, side view", "a white mug, front view", "a plain purple vase", "a checkered green vase, front view",
    "a brown chair, front view", "a red chair, back view", "a white snowman, front view", "a marbled blue snowman",
    "a red rocket, front view", "a checkered white rocket", "a pink lamp, front view", "a spotted green lamp",
    "a yellow duck, side view", "a white duck, front view", "an orange cat, front view", "a striped brown cat, back view",
    "a red car, side view", "a checkered yellow car, front view", "a blue boat, side view", "a striped white boat",
    "a purple flower, side view", "a black cat, side view", "a white car, back view", "a red boat, overhead view",
    *(f"{caption_of(noun, colour)}, front view" for noun, colour in HELD_OUT_PAIRS[::2]),
    "a clay flower, front view", "a clay cottage, side view", "a clay chair", "a clay duck",
    "a red flower, blurry, noisy, pixelated", "a green tree, painting", "a blue mug, cartoon", "a yellow pear, foggy, hazy",
)  # fmt: skip
"""Of the zoo: every noun, every pattern, eight pairs never trained on (row 6 of 7), clay, and spoilt pictures, eight a row."""


def grid_of(captions: list[str], most: int = 40) -> tuple[str, ...]:
    """Prompts for the sheets of other pictures: their captions, each once, evenly taken, in whole rows of eight where there are enough."""
    known = list(dict.fromkeys(captions))
    if len(known) > 8:
        count = min(most, len(known) // 8 * 8)
        known = [known[i * len(known) // count] for i in range(count)]
    return tuple(known)


@torch.no_grad()
def sample_pictures(
    unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, vae: AutoencoderKL,
    prompts: tuple[str, ...], *, guidance: float = 4.0, steps: int = 20, seed: int = 0,
) -> Tensor:  # fmt: skip
    """DDIM samples with classifier-free guidance, [N, 3, S, S] in [-1, 1]; picture i starts from its own seed.

    The first noises are drawn on the CPU, so that every device starts from the same ones.
    """
    device = next(unet.parameters()).device
    shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    made = []
    for first in range(0, len(prompts), AT_ONCE):
        asked = prompts[first : first + AT_ONCE]
        scheduler = build_scheduler()
        scheduler.set_timesteps(steps)
        text = text_encoder(tokenize(tokenizer, [*asked, *([""] * len(asked))]).long().to(device)).last_hidden_state
        seeds = range(seed + first, seed + first + len(asked))
        z = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]).to(device)
        for t in scheduler.timesteps:
            conditional, empty = unet(torch.cat([z, z]), t.to(device), encoder_hidden_states=text).sample.chunk(2)
            z = scheduler.step(empty + guidance * (conditional - empty), t, z).prev_sample
        made.append(vae.decode(z / vae.config.scaling_factor).sample)
    return torch.cat(made)


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
