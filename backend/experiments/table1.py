"""Text to image: every method on the same captions, from the same noise, against real renders of them (arXiv 2406.09417, table 1).

Each latent is optimised on its own for its caption; pictures of one batch share a critic, where the method has one. Costly methods, more
than `CHEAP_ROWS` denoiser rows a step, get as many rows as SDS in its steps; the others as many steps. The Frechet distance of few
pictures is biased upwards, and less so for pictures that lack variety; the kernel distance beside it is not, but both sets show the same
captions, so that it is below 0 where pictures are as good as renders: the line of real renders says by how much.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.distill.parameters import PARAMETERS
from backend.distill.prompts import role_text
from backend.errors import NumericalError
from backend.evaluate.metrics import frechet_distance, kernel_distance
from backend.experiments.captions import FLOOR_SEED, REAL_SEED, Caption, captions, renders
from backend.experiments.charts import Mark, scatter, sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Spread, Table
from backend.experiments.judged import first_kept, judge_of, keep_pictures, shares
from backend.experiments.object_runs import CHEAP_ROWS
from backend.experiments.report import spread
from backend.priors.counting import CountingPrior
from backend.refine.estimate import lesson_rows
from backend.study.entries import TITLES
from backend.study.images import SAMPLER_STEPS, PictureRun, sampled_latents

BATCH = 16
RENDERS_EACH = 4
REAL, REAL_DECODED, DDIM = "real", "real_decoded", "ddim"
REFERENCES = {REAL: "real renders", REAL_DECODED: "real renders, encoded and decoded", DDIM: f"DDIM, {SAMPLER_STEPS} steps"}
METHODS = tuple(name for name in PARAMETERS if name not in ("dds", "esd"))
"""DDS edits a picture, and here there is none; ESD is VSD where pictures are not views of one object."""
VERSION = 3
SEEDS_APART = 1_000_000  # so that no batch of one seed begins where one of another does
SHEET_COLUMNS = 8
COLUMNS = ("method", "Frechet distance", "KID", "noun", "colour", "both", "rows", "steps", "seconds", "remark")


class TextToImage:
    name = "table1"
    title = "Text to image"

    def cells(self, plan: Plan) -> list[Cell]:
        plan.refuse_single()
        count, steps = plan.pick(plan.captions, quick=16, full=64), plan.pick(plan.steps, quick=40, full=300)
        spec = {"version": VERSION, "captions": [list(caption) for caption in captions(plan.card, count)]}
        names = plan.chosen((*REFERENCES, *METHODS))
        return [
            Cell(
                f"{REFERENCES.get(name) or TITLES[name]}, seed {seed}",
                {"of": name, "seed": seed, **spec, **({} if name in REFERENCES else {"steps": steps, "equal": plan.equal})},
            )
            for seed in range(plan.pick(plan.seeds, quick=1, full=3))
            for name in names
        ]

    def seconds(self, cell: Cell, context: Context) -> float:
        name, count = cell.spec["of"], len(cell.spec["captions"])
        judged = count * (context.costs.decode + 0.02)
        if name == REAL:
            return judged
        if name == REAL_DECODED:
            return judged + count * context.costs.encode
        if name == DDIM:
            return judged + 2 * SAMPLER_STEPS * count * context.costs.row
        run = _run(context, cell.spec, slice(0, 1), {})
        try:
            rows = run.mean_rows()
            return judged + count * steps_of(rows, cell.spec) * (rows + lesson_rows(run.method, run.parameters)) * context.costs.row
        finally:
            run.close()

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        name, seed = cell.spec["of"], cell.spec["seed"]
        wanted = [Caption(*words) for words in cell.spec["captions"]]
        values: dict[str, Any] = {}
        if name in (REAL, REAL_DECODED):
            pictures = renders(wanted, 1, FLOOR_SEED + seed * 1_000_000, context.prior.image_size_px)
            if name == REAL_DECODED:
                parts = pictures.to(context.prior.device).split(BATCH)
                with torch.no_grad():
                    pictures = torch.cat([context.prior.decode(context.prior.encode(part)).cpu() for part in parts])
        elif name == DDIM:
            pictures = _sampled(context, wanted, seed, values)
        else:
            pictures = _distilled(context, cell.spec, values)
        judge = judge_of(context)
        verdict = judge(pictures.clamp(0, 1).float())
        reference = context.shared(f"real {cell.spec['captions']}", lambda: _reference(context, wanted))
        file = context.file("cells", f"{context.key}.npz")
        keep_pictures(file, pictures, embedding=verdict.embedding)
        return {
            **values,
            "frechet": frechet_distance(verdict.embedding, reference),
            "kernel": kernel_distance(verdict.embedding, reference),
            "shares": shares(judge, verdict, wanted),
            "file": str(file.relative_to(context.folder)),
        }

    def tables(self, results: Sequence[Result]) -> list[Table]:
        rows: list[list[str | int | float | Spread | None]] = []
        for name, own in _by_method(results).items():
            done = [result.values for result in own if not result.failure]
            failed = next((result.failure for result in own if result.failure), "")
            rows.append(
                [
                    REFERENCES.get(name) or TITLES[name],
                    spread(values["frechet"] for values in done),
                    spread(values["kernel"] for values in done),
                    *(spread(values["shares"][head] for values in done) for head in ("noun", "colour", "both")),
                    spread(values["rows"] for values in done if "rows" in values),
                    next((values["steps"] for values in done if "steps" in values), None),
                    spread(values["seconds"] for values in done if "seconds" in values),
                    failed,
                ]
            )
        counts = sorted({len(result.cell.spec["captions"]) for result in results})
        note = (
            f"{', '.join(map(str, counts))} pictures per line and seed, each of its own caption. The Frechet distance is to {RENDERS_EACH} "
            "renders of each caption, in the judge's embedding; it is biased upwards, less for pictures of less variety. KID is the kernel "
            "distance to the same; as both show the same captions it is below 0, more so for fewer of them, where pictures are as good as "
            "renders. Captions and renders are the same for all seeds. Accuracies are the judge's. Rows "
            f"and seconds are per picture, in batches of {BATCH}; a critic's lessons are in the seconds, its predictions in the rows."
        )
        digits = {"Frechet distance": 2, "KID": 3, "noun": 2, "colour": 2, "both": 2, "rows": 0, "seconds": 2}
        return [Table("table1", "Text to image", COLUMNS, rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        made, marks, levels = [], [], []
        for name, own in _by_method(results).items():
            done = [result.values for result in own if not result.failure]
            height, seconds = spread(values["frechet"] for values in done), spread(values.get("seconds", 0.0) for values in done)
            if height is None or seconds is None:
                continue
            if name in REFERENCES:
                levels.append((REFERENCES[name], height.mean))
            else:
                marks.append(Mark(TITLES[name], seconds, height))
        if marks:
            path = folder / "frechet.png"
            names = {"x": "seconds per picture", "y": "Frechet distance to real renders"}
            made.append(scatter(path, marks, **names, levels=levels, log_x=True, log_y=True))
        shown = []
        for name, own in _by_method(results).items():
            arrays = first_kept(folder, own)
            if arrays is not None:
                shown.append((REFERENCES.get(name) or TITLES[name], arrays["pictures"][:SHEET_COLUMNS]))
        if shown:
            words = [caption[0] for caption in results[0].cell.spec["captions"][:SHEET_COLUMNS]]
            made.append(sheet(folder / "pictures.png", shown, words))
        return made


def steps_of(rows_per_step: float, spec: Mapping[str, Any]) -> int:
    """Steps of a method: all of them for a cheap one, and as many as have the rows of SDS for a costly one."""
    steps = int(spec["steps"])
    by_rows = spec["equal"] == "rows" or (spec["equal"] == "" and rows_per_step > CHEAP_ROWS)
    return max(1, round(2 * steps / rows_per_step)) if by_rows else steps


def _run(context: Context, spec: Mapping[str, Any], part: slice, given: Mapping[str, Any]) -> PictureRun:
    texts = [words[0] for words in spec["captions"][part]]
    return PictureRun(context.prior, spec["of"], given, texts, count=len(texts), seed=spec["seed"] * SEEDS_APART + part.start)


def _distilled(context: Context, spec: Mapping[str, Any], values: dict[str, Any]) -> Tensor:
    count = len(spec["captions"])
    pictures, rows, seconds, steps = [], 0.0, 0.0, 0
    for start in range(0, count, BATCH):
        run = _run(context, spec, slice(start, min(start + BATCH, count)), {})
        try:
            steps = steps_of(run.mean_rows(), spec)
            for k in range(steps):
                run.step(steps)
                context.tell((start + run.count * (k + 1) / steps) / count)
            if not run.is_finite():
                raise NumericalError(f"{TITLES[spec['of']]} left the finite numbers.", "Use a smaller rate.")
            pictures.append(run.pictures().float())
        finally:
            run.close()
        rows += run.rows * run.count / count
        seconds += run.seconds / count
    values.update(rows=rows, seconds=seconds, steps=steps)
    return torch.cat(pictures)


def _sampled(context: Context, wanted: Sequence[Caption], seed: int, values: dict[str, Any]) -> Tensor:
    prior = CountingPrior(context.prior)
    texts = [role_text("target", caption.text, prior.card) for caption in wanted]
    began = time.perf_counter()
    pictures = []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        pictures.append(prior.decode(sampled_latents(prior, part, len(part), seed * SEEDS_APART + start)).float().cpu())
        context.tell((start + len(part)) / len(texts))
    values.update(rows=prior.rows / len(texts), seconds=(time.perf_counter() - began) / len(texts), steps=SAMPLER_STEPS)
    return torch.cat(pictures)


def _reference(context: Context, wanted: Sequence[Caption]) -> Tensor:
    """Embeddings of real renders of the captions."""
    pictures = renders(wanted, RENDERS_EACH, REAL_SEED, context.prior.image_size_px)
    embedding: Tensor = judge_of(context)(pictures).embedding
    return embedding


def _by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.cell.spec["of"], []).append(result)
    return found


EXPERIMENT = TextToImage()
