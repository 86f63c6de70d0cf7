"""Painting to real: paintings made of renders, and what Bridge, SDS and SDEdit make of them (arXiv 2406.09417, section 3.3)."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from backend.distill.prompts import role_text
from backend.evaluate.metrics import frechet_distance, kernel_distance
from backend.experiments.captions import FLOOR_SEED, REAL_SEED, Caption, captions, renders
from backend.experiments.charts import Mark, scatter, sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import first_kept, judge_of, keep_pictures, shares
from backend.experiments.object_runs import by_seed, failures
from backend.experiments.shape_runs import settled
from backend.priors.counting import CountingPrior
from backend.priors.sampling import sdedit
from backend.refine.inputs import Inputs
from backend.refine.resolve import resolve
from backend.refine.run import refine
from backend.refine.seeds import generator
from backend.zoo.captions import DOMAIN
from backend.zoo.corruptions import corrupt
from protocol.job import RefineJob

WAYS: dict[str, tuple[str, float]] = {
    "render": ("what was painted", 0.0),
    "nothing": ("the painting", 0.0),
    "bridge": ("Bridge, painting", 0.0),
    "sds": ("SDS", 0.0),
    "sdedit-0.3": ("SDEdit .3", 0.3),
    "sdedit-0.5": ("SDEdit .5", 0.5),
    "sdedit-0.7": ("SDEdit .7", 0.7),
}
DISTILLED = ("bridge", "sds")
SDEDIT_STEPS, BATCH = 20, 16
RENDERS_EACH = 4
SHOWN = 8
VERSION = 2
SEEDS_APART = 1_000_000


class PaintingToReal:
    name = "painting"
    title = "Painting to real"

    def cells(self, plan: Plan) -> list[Cell]:
        plan.refuse(self.name, "equal")
        plan.refuse_single()
        count = plan.pick(plan.captions, quick=4, full=32)
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        asked = [list(caption) for caption in captions(plan.card, count, seed=1)]
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=3)):
            for way in plan.chosen(tuple(WAYS)):
                spec = {"version": VERSION, "way": way, "captions": asked, "seed": seed, "steps": steps}
                cell = Cell(f"{WAYS[way][0]}, seed {seed}", spec)
                made.append(settled(cell, _job(cell, asked[0][0]), plan.card) if way in DISTILLED else cell)
        return made

    def seconds(self, cell: Cell, context: Context) -> float:
        count, costs = len(cell.spec["captions"]), context.costs
        judged = count * (0.05 + costs.decode)
        if WAYS[cell.spec["way"]][1]:
            return judged + count * (2 * SDEDIT_STEPS * costs.row + costs.encode)
        if cell.spec["way"] in ("render", "nothing"):
            return judged
        stages = resolve(_job(cell, cell.spec["captions"][0][0]), context.prior.card).stages
        return judged + count * sum(stage.steps * stage.views for stage in stages) * 2 * costs.row

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        way, seed = cell.spec["way"], cell.spec["seed"]
        wanted = [Caption(*words) for words in cell.spec["captions"]]
        size = context.prior.image_size_px
        clean = renders(wanted, 1, FLOOR_SEED + 10_000_000 + seed * 1_000_000, size)
        painted = paint(clean, seed)
        began, rows = time.perf_counter(), 0.0
        if way in ("render", "nothing"):
            made = clean if way == "render" else painted
        elif WAYS[way][1]:
            made, rows = _sdedited(context, painted, wanted, WAYS[way][1], seed)
        else:
            results = [_distilled(cell, context, painted[k], k, len(wanted)) for k in range(len(wanted))]
            made, rows = torch.cat([pictures for pictures, _ in results]), sum(each for _, each in results) / len(wanted)
        seconds = (time.perf_counter() - began) / len(wanted)
        judge = judge_of(context)
        verdict = judge(made)
        reference: Tensor = context.shared(
            f"real {cell.spec['captions']}", lambda: judge(renders(wanted, RENDERS_EACH, REAL_SEED, size)).embedding
        )
        file = context.file("cells", f"{context.key}.npz")
        keep_pictures(file, made)
        return {
            **shares(judge, verdict, wanted),
            "frechet": frechet_distance(verdict.embedding, reference),
            "kernel": kernel_distance(verdict.embedding, reference),
            "rows": rows,
            "from_painting": rms(made, painted),
            "from_render": rms(made, clean),
            "seconds": seconds,
            "file": str(file.relative_to(context.folder)),
        }

    def tables(self, results: Sequence[Result]) -> list[Table]:
        measures = ("frechet", "kernel", "noun", "colour", "pattern", "from_painting", "from_render", "rows", "seconds")
        columns = ("Frechet distance", "KID", "noun", "colour", "pattern", "from the painting", "from what was painted", "rows", "seconds")
        rows = [
            [WAYS[way][0], *(by_seed(own, measure) for measure in measures), failures(own)]
            for way in WAYS
            if (own := [result for result in results if result.cell.spec["way"] == way])
        ]
        count = ", ".join(str(n) for n in sorted({len(result.cell.spec["captions"]) for result in results}))
        note = (
            f"{count} paintings per line and seed: renders with brush strokes. Distances in the last columns are root mean squares of "
            "display values. The Frechet distance is to real renders of the same captions, biased upwards, less for pictures of less "
            "variety. KID is the kernel distance to the same; as both show the same captions it is below 0, more so for fewer of them, "
            "where pictures are as good as renders. Bridge and SDS share their stages, rates and steps. Captions are the same for all "
            "seeds."
        )
        digits = {"Frechet distance": 2, "noun": 2, "colour": 2, "pattern": 2, "rows": 0, "seconds": 1}
        return [Table("painting", self.title, ("way", *columns, "remark"), rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        made, marks, shown = [], [], []
        for way, (title, _) in WAYS.items():
            own = [result for result in results if result.cell.spec["way"] == way]
            x, y = by_seed(own, "from_painting"), by_seed(own, "frechet")
            if x is not None and y is not None:
                marks.append(Mark(title, x, y))
            arrays = first_kept(folder, own)
            if arrays is not None:
                shown.append((title, arrays["pictures"][:SHOWN]))
        if marks:
            made.append(scatter(folder / "distances.png", marks, x="distance from the painting", y="Frechet distance to real renders"))
        if shown:
            made.append(sheet(folder / "pictures.png", shown, [words[0] for words in results[0].cell.spec["captions"][:SHOWN]]))
        return made


def paint(pictures: Tensor, seed: int) -> Tensor:
    """Renders [N,3,S,S] as paintings, as training pictures called "painting" are made."""
    rows = [corrupt(p, (DOMAIN,), np.random.default_rng([seed, k, 59])) for k, p in enumerate(pictures.permute(0, 2, 3, 1).numpy())]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous()


def rms(a: Tensor, b: Tensor) -> float:
    """Root mean square of the difference of display values."""
    return float((a - b).square().mean().sqrt())


def _job(cell: Cell, text: str, k: int = 0) -> RefineJob:
    """Of the picture `k`, with draws of its own; `sketch` only says that there is a picture."""
    way, spec = cell.spec["way"], cell.spec
    return RefineJob(
        prompt=text,
        mode="image",
        sketch="painting",
        method=way,
        domain=DOMAIN if way == "bridge" else "",
        seed=spec["seed"] * SEEDS_APART + k,
        steps=spec["steps"],
        preview_every=0,
    )


def _distilled(cell: Cell, context: Context, painted: Tensor, k: int, count: int) -> tuple[Tensor, int]:
    """The picture [1,3,S,S] in display values, and the denoiser rows it took."""
    job = _job(cell, cell.spec["captions"][k][0], k)
    job = msgspec.structs.replace(job, device=context.prior.device.type)
    rgb = (painted.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    result = refine(job, Inputs(picture=rgb), prior=context.prior)
    assert result.exported is not None
    context.tell((k + 1) / count)
    return torch.from_numpy(result.exported.pictures["picture"]).permute(0, 3, 1, 2).float() / 255, result.rows


def _sdedited(context: Context, painted: Tensor, wanted: Sequence[Caption], strength: float, seed: int) -> tuple[Tensor, float]:
    """The pictures [N,3,S,S] in display values, and the denoiser rows that each took."""
    prior = CountingPrior(context.prior)
    made = []
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        condition = prior.embed([role_text("target", caption.text, prior.card) for caption in part])
        made.append(
            sdedit(
                prior,
                painted[start : start + BATCH].to(prior.device),
                condition,
                prior.embed([""] * len(part)),
                strength=strength,
                guidance=prior.card.guidance,
                steps=SDEDIT_STEPS,
                generator=generator(seed, "sdedit", start),
            ).cpu()
        )
        context.tell((start + len(part)) / len(wanted))
    return torch.cat(made).float(), prior.rows / len(wanted)


EXPERIMENT = PaintingToReal()
