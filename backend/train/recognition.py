"""The release gate: does the prior recognise held-out pictures by their captions (a diffusion classifier)?

For a latent z and candidate captions c, the mean over fixed levels of ||eps(z_t, c) - e||^2, the same noises for every candidate,
is smallest for the right caption. Source: Li et al. 2023, "Your Diffusion Model is Secretly a Zero-Shot Classifier", eq. 4.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from backend.train.denoiser import signal_levels
from backend.train.latents import Latents, tokenize
from backend.train.view_twins import TURNED
from backend.views import VIEW_WORDS, view_words
from backend.zoo.captions import CORRUPTIONS, DOMAIN, PATTERN_WORDS
from backend.zoo.catalogue import NOUNS, make_object
from backend.zoo.palette import COLOURS
from backend.zoo.pictures import draw_shot
from backend.zoo.primitives import Pattern

LEVELS = (300, 420, 540, 660, 780)
MOST_CAPTIONS = 16


@torch.no_grad()
def caption_errors(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    latent: Tensor,  # [C, H, W] scaled
    captions: list[str],
    generator: torch.Generator,
) -> Tensor:  # [captions] mean squared noise error
    """How badly each caption explains one picture; the noises are drawn once and shared."""
    device = next(unet.parameters()).device
    alpha, sigma = signal_levels()
    levels = torch.tensor(LEVELS)
    noise = torch.randn(len(levels), *latent.shape, generator=generator)
    noisy = alpha[levels, None, None, None] * latent.float() + sigma[levels, None, None, None] * noise
    text = text_encoder(tokenize(tokenizer, captions).long().to(device)).last_hidden_state
    n = len(captions)
    made = unet(
        noisy.repeat(n, 1, 1, 1).to(device),
        levels.repeat(n).to(device),
        encoder_hidden_states=text.repeat_interleave(len(levels), 0),
    ).sample.cpu()
    return (made - noise.repeat(n, 1, 1, 1)).square().mean((1, 2, 3)).view(n, len(levels)).mean(1)


def recognition(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    held_out: Latents,
    captions: list[str],
    first_seed: int,
    count: int = 40,
) -> dict[str, float]:
    """Shares of held-out pictures of the zoo whose noun, colour, pattern and view are recognised among all that it knows.

    Only coloured and unspoilt pictures are asked about, the first `count` of them; about the view, those of objects with sides. Pictures
    are remade from their seeds to know what they show, so `captions` and `first_seed` must be those of the pool. About 0.6 s a picture on
    a CPU core.
    """
    generator = torch.Generator().manual_seed(0)
    right: dict[str, list[bool]] = {"noun": [], "colour": [], "pattern": [], "view": []}
    for i in range(len(held_out.latents)):
        if len(right["noun"]) == count:
            break
        thing = make_object(first_seed + i)
        shot = draw_shot(np.random.default_rng([first_seed + i, 11]), thing)
        if shot.clay is not None or any(f", {mark}" in captions[i] for mark in (*CORRUPTIONS, DOMAIN)):
            continue
        view = view_words(shot.azimuth_deg, shot.elevation_deg)

        def say(noun: str, colour: str, pattern: Pattern, view: str = view) -> str:
            words = [PATTERN_WORDS[pattern]] if pattern is not Pattern.PLAIN else []
            return f"a {' '.join([*words, colour, noun])}, {view}"

        asked = {
            "noun": ([say(n, thing.colour_word, thing.pattern) for n in NOUNS], NOUNS.index(thing.noun)),
            "colour": ([say(thing.noun, c, thing.pattern) for c in COLOURS], COLOURS.index(thing.colour_word)),
            "pattern": ([say(thing.noun, thing.colour_word, p) for p in Pattern], int(thing.pattern)),
        }
        if thing.noun in TURNED:
            views = [say(thing.noun, thing.colour_word, thing.pattern, other) for other in VIEW_WORDS]
            asked["view"] = (views, VIEW_WORDS.index(view))
        for what, (candidates, answer) in asked.items():
            errors = caption_errors(unet, text_encoder, tokenizer, held_out.latents[i], candidates, generator)
            right[what].append(int(errors.argmin()) == answer)
    return {what: float(np.mean(hits)) if hits else float("nan") for what, hits in right.items()}


def caption_recognition(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    held_out: Latents,
    captions: list[str],
    known: list[str],
    count: int = 40,
) -> dict[str, float]:
    """Share of held-out pictures whose caption explains them better than others do, and the share that guessing would get.

    `known` are the captions to choose from, `MOST_CAPTIONS` at most for one picture, its own among them. Empty where all are alike.
    """
    known = list(dict.fromkeys(known))
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    hits, chances = [], []
    for row, caption in enumerate(captions[:count]):
        others = [other for other in known if other != caption]
        if not others:
            return {}
        taken = rng.permutation(len(others))[: MOST_CAPTIONS - 1]
        errors = caption_errors(unet, text_encoder, tokenizer, held_out.latents[row], [caption, *(others[i] for i in taken)], generator)
        hits.append(int(errors.argmin()) == 0)
        chances.append(1 / (1 + len(taken)))
    return {"caption": float(np.mean(hits)), "caption_by_chance": float(np.mean(chances))}
