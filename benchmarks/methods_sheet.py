"""The sheet of docs/methods.md: one sketch under every gradient, each with as many denoiser rows as the default run has.

python -m benchmarks.methods_sheet --write           all of it (about half an hour on two cores)
python -m benchmarks.methods_sheet --only pfd        one method, into --out alone
"""

import argparse
import time
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from backend.distill.parameters import PARAMETERS
from backend.experiments.page import put
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.refine.estimate import rows_of
from backend.refine.read_inputs import read_inputs
from backend.refine.report import report
from backend.refine.resolve import resolve
from backend.refine.run import refine
from backend.render.sheet import tile
from protocol.job import RefineJob

ROOT = Path(__file__).parent.parent
SKETCH, PROMPT = ROOT / "examples" / "sketches" / "flower.glb", "a red flower"
SHOWN = 5  # views
HEAD = "| method | steps | denoiser rows | seconds | recall | moved > h/2 | roughness |\n|---|---|---|---|---|---|---|"


def rows(job: RefineJob, prior: CountingPrior) -> float:
    return sum(rows_of(stage, prior) for stage in resolve(job, prior.card).stages)


def sheet(pictures: list[tuple[str, np.ndarray]]) -> Image.Image:
    """Two columns of titled rows of views."""
    half = (len(pictures) + 1) // 2
    columns = [Image.fromarray(tile(part)) for part in (pictures[:half], pictures[half:]) if part]
    whole = Image.new("RGB", (sum(column.width for column in columns), columns[0].height), "white")
    for k, column in enumerate(columns):
        whole.paste(column, (k * columns[0].width, 0))
    return whole


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("out/methods"))
    options.add_argument("--only", default="", help="methods whose name contains this")
    options.add_argument("--write", action="store_true", help="put picture and table into docs/")
    given = options.parse_args()
    prior = CountingPrior(resolve_prior("starter", "cpu"))
    plain = RefineJob(prompt=PROMPT, sketch=str(SKETCH), preview_every=0, warm_start=False)
    budget = rows(plain, prior)
    pictures, lines = [], []
    for name in PARAMETERS:
        if given.only not in name:
            continue
        job = msgspec.structs.replace(plain, method=name)
        whole = sum(stage.steps for stage in resolve(job, prior.card).stages)
        job = msgspec.structs.replace(job, steps=max(4, round(whole * budget / rows(job, prior))))
        began = time.perf_counter()
        result = refine(job, read_inputs(job), out=given.out / name, prior=prior.prior)
        facts = report(result)
        assert result.exported is not None
        if not pictures:
            pictures.append(("sketch", result.exported.pictures["sketch"][:SHOWN]))
        pictures.append((name, result.exported.pictures["result"][:SHOWN]))
        measured = " | ".join(f"{facts[key]:.3f}" for key in ("recall", "moved_share", "roughness"))
        lines.append(f"| {name} | {result.steps_done} | {result.rows} | {time.perf_counter() - began:.0f} | {measured} |")
        print(lines[-1], flush=True)
        given.out.mkdir(parents=True, exist_ok=True)
        sheet(pictures).save(given.out / "sheet.png", optimize=True)
    if given.write and not given.only:
        where = ROOT / "docs" / "pictures" / "methods"
        where.mkdir(parents=True, exist_ok=True)
        sheet(pictures).save(where / "sketch.png", optimize=True)
        page = ROOT / "docs" / "methods.md"
        put("\n".join([HEAD, *lines]), page, "sheet")


if __name__ == "__main__":
    main()
