"""The sheet of samples beside an export, with the judge's accuracies on pairs that no training picture shows, and on view words."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw, ImageFont
from transformers import CLIPTokenizer

from backend.errors import ResourceError
from backend.evaluate.judge import load_judge
from backend.evaluate.prior_samples import caption_of
from backend.evaluate.wanted import prompt_accuracy
from backend.train.cards import SAMPLING_STEPS
from backend.train.journal import to_bytes
from backend.train.sampling import sample_pictures
from backend.train.train_denoiser import TrainedDenoiser
from backend.views import VIEW_WORDS
from backend.zoo.catalogue import HELD_OUT, HELD_OUT_PAIRS
from backend.zoo.palette import COLOURS

SHOWN = 8  # samples of a prompt
ACROSS = 2  # prompts in a row
TITLE_PX = 14
MOST_BYTES = 400_000
FIRST_SEED = 20_000


@dataclass(frozen=True)
class PairAccuracy:
    """Shares of the samples of one prompt in which the judge sees its noun, its colour, and both."""

    prompt: str
    noun: float
    colour: float
    both: float


def pair_prompts() -> tuple[str, ...]:
    """One prompt for every pair of noun and colour that no training picture shows."""
    return tuple(caption_of(noun, colour) for noun, colour in HELD_OUT_PAIRS)


def draw_samples(
    trained: TrainedDenoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer, prompts: tuple[str, ...], count: int, guidance: float
) -> np.ndarray:  # [prompts, count, S, S, 3] uint8
    """DDIM samples of every prompt, each from a seed of its own."""
    asked = tuple(prompt for prompt in prompts for _ in range(count))
    made = sample_pictures(
        trained.unet, trained.text_encoder, tokenizer, vae, asked,
        guidance=guidance, steps=SAMPLING_STEPS, seed=FIRST_SEED,
    )  # fmt: skip
    pixels = to_bytes(made)
    return pixels.reshape(len(prompts), count, *pixels.shape[1:])


def judge_pairs(pictures: np.ndarray) -> list[PairAccuracy]:
    """Of the samples of `pair_prompts`, [pairs, N, S, S, 3] uint8. Empty where the judge's weights are not there.

    Pairs whose noun or colour the judge does not know are left out.
    """
    try:
        judge = load_judge()
    except ResourceError:
        return []
    found = []
    for prompt, (noun, colour), rows in zip(pair_prompts(), HELD_OUT_PAIRS, pictures, strict=True):
        if noun in judge.nouns and colour in judge.colours:
            verdict = judge(torch.from_numpy(rows).permute(0, 3, 1, 2).float() / 255)
            shares = prompt_accuracy(judge, verdict, {"noun": noun, "colour": colour})
            found.append(PairAccuracy(prompt, shares["noun"], shares["colour"], shares["all"]))
    return found


def judge_views(trained: TrainedDenoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer, count: int, guidance: float) -> dict[str, float]:
    """For every view word, the share of samples in which the judge sees that view: `count` of each noun that has a front.

    In colours that training pictures show. Empty where the judge's weights are not there.
    """
    try:
        judge = load_judge()
    except ResourceError:
        return {}
    found = {}
    for view in VIEW_WORDS:
        colours = {noun: [c for c in COLOURS if c not in HELD_OUT.get(noun, ())] for noun in judge.fronted}
        asked = tuple(f"{caption_of(noun, colours[noun][k % len(colours[noun])])}, {view}" for noun in judge.fronted for k in range(count))
        rows = draw_samples(trained, vae, tokenizer, asked, 1, guidance)[:, 0]
        said = judge(torch.from_numpy(rows).permute(0, 3, 1, 2).float() / 255).view.argmax(-1)
        found[view] = float((said == judge.views.index(view)).float().mean())
    return found


def sheet_png(prompts: tuple[str, ...], pictures: np.ndarray) -> bytes:
    """The first samples [prompts, N, S, S, 3] of every prompt under its words, two prompts a row; at most `MOST_BYTES`."""
    shown = pictures[:, :SHOWN]
    count, n, h, w, _ = shown.shape
    rows = -(-count // ACROSS)
    gap = w // 8
    sheet = Image.new("RGB", (ACROSS * n * w + (ACROSS - 1) * gap, rows * (h + TITLE_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TITLE_PX - 3)
    for i, (prompt, strip) in enumerate(zip(prompts, shown, strict=True)):
        left, top = (i % ACROSS) * (n * w + gap), (i // ACROSS) * (h + TITLE_PX)
        draw.text((left + 2, top + 1), prompt[: n * w // 6], fill="black", font=font)
        sheet.paste(Image.fromarray(np.concatenate(list(strip), axis=1)), (left, top + TITLE_PX))
    content = b""
    for colours in (256, 160, 96, 48):  # soft pictures in few colours: a third of the bytes, and no eye sees it at this size
        file = io.BytesIO()
        few = sheet.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(file, "PNG", optimize=True)
        content = file.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return content
