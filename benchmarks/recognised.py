"""How many views of finished runs the prior itself recognises, as a Markdown table.

    python benchmarks/recognised.py out/gallery/parts/*

A diffusion classifier over the "result" row of each folder's sheet: which noun, and which colour, explains the noise best. Judge and
teacher are the same model here, so it compares states of one run, never methods with each other.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.resolve import STARTER
from backend.train.recognition import caption_errors

VIEWS, GAP, TITLE = 8, 4, 14  # the layout of render.sheet.tile


def result_row(folder: Path) -> np.ndarray:
    """The eight pictures [8,S,S,3] of the sheet's last row but one."""
    sheet = np.asarray(Image.open(folder / "sheet.png").convert("RGB"))
    side = (sheet.shape[1] - GAP) // VIEWS - GAP
    bottom = sheet.shape[0] - GAP - (side + TITLE + 2 * GAP)
    top = bottom - side - GAP
    return np.stack([sheet[top : top + side, GAP + i * (side + GAP) :][:, :side] for i in range(VIEWS)])


@torch.no_grad()
def recognised(folder: Path, prior: DiffusersPrior) -> str:
    """One row of the table."""
    prompt = json.loads((folder / "report.json").read_text())["job"]["prompt"]
    words = prompt.split()
    noun = next(word for word in words if word in prior.card.nouns)
    colour = next((word for word in words if word in prior.card.colours), "")
    right, errors = {"noun": 0, "colour": 0}, []
    for picture in result_row(folder):
        small = Image.fromarray(picture).resize((prior.image_size_px,) * 2, Image.Resampling.BOX)
        latent = prior.encode(torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255)[0]

        def ask(captions: list[str], latent: torch.Tensor = latent) -> torch.Tensor:
            return caption_errors(prior.unet, prior.text_encoder, prior.tokenizer, latent, captions, torch.Generator().manual_seed(0))

        right["noun"] += prior.card.nouns[int(ask([f"a {colour} {other}" for other in prior.card.nouns]).argmin())] == noun
        right["colour"] += prior.card.colours[int(ask([f"a {other} {noun}" for other in prior.card.colours]).argmin())] == colour
        errors.append(float(ask([prompt])[0]))
    return f"| {folder.name} | {prompt} | {right['noun']}/{VIEWS} | {right['colour']}/{VIEWS} | {np.mean(errors):.4f} |"


def main() -> None:
    prior = DiffusersPrior.load(STARTER)
    print("| run | prompt | noun recognised | colour recognised | noise error of the prompt |\n|---|---|---|---|---|")
    for name in sys.argv[1:]:
        print(recognised(Path(name), prior), flush=True)


if __name__ == "__main__":
    main()
