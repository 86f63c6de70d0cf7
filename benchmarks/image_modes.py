"""The picture of docs/image-modes.md: an apple on two canvases, a painted flower and what became of it, the overlays of an illusion.

python -m benchmarks.image_modes --write           a few minutes on one core
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from backend.experiments.captions import caption_of, renders
from backend.experiments.painting import paint
from backend.priors.resolve import resolve_prior
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from backend.render.sheet import tile
from protocol.job import Canvas, RefineJob

ROOT = Path(__file__).parent.parent
ZOOM = 3
PAINTED_SEED = 7
OVERLAID = ("a red apple", "a red fish", "a red cottage", "a red mushroom")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("out/image-modes"))
    options.add_argument("--write", action="store_true", help="put the picture into docs/")
    given = options.parse_args()
    prior = resolve_prior("starter", "cpu")

    def pictures(name: str, job: RefineJob, inputs: Inputs) -> dict[str, np.ndarray]:
        print(name, flush=True)
        result = refine(job, inputs, out=given.out / name, prior=prior)
        assert result.exported is not None
        return result.exported.pictures

    apples = [
        pictures(canvas, RefineJob(mode="image", prompt="a red apple", canvas=Canvas(kind=canvas), preview_every=0), Inputs())["picture"]
        for canvas in ("latent", "fourier")
    ]
    flower = renders([caption_of("flower", "red")], 1, PAINTED_SEED, prior.image_size_px)
    painted = (paint(flower, PAINTED_SEED)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    edit = RefineJob(mode="image", prompt="a red flower", domain="painting", sketch="a painting", preview_every=0)
    edited = pictures("painting", edit, Inputs(picture=painted))
    illusion = pictures("illusion", RefineJob(mode="illusion", prompt="", prompts=OVERLAID, preview_every=0), Inputs())
    rows = [
        ("from words: latent, fourier", np.concatenate(apples)),
        ("a painting, and what became of it", np.concatenate([edited["given"], edited["picture"]])),
        ("base, rotator", np.concatenate([illusion["base"], illusion["rotator"]])),
        (", ".join(f'"{text}"' for text in OVERLAID), illusion["overlays"]),
    ]
    picture = Image.fromarray(tile([(title, shown.repeat(ZOOM, 1).repeat(ZOOM, 2)) for title, shown in rows]))
    picture.save(given.out / "image-modes.png", optimize=True)
    if given.write:
        picture.save(ROOT / "docs" / "pictures" / "image-modes.png", optimize=True)


if __name__ == "__main__":
    main()
