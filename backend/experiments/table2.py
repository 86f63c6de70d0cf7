"""Text to 3D: prompt mode under several methods, by the judge over 24 views of the asset (arXiv 2406.09417, table 2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.experiments.captions import Caption, caption_of, known_colour, known_nouns
from backend.experiments.charts import Mark, scatter, sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import first_kept
from backend.experiments.object_runs import by_seed, finished, rows_by, run_object, seconds_of_job, staged
from backend.experiments.shape_runs import settled
from backend.refine.inputs import Inputs
from backend.study.entries import TITLES
from protocol.job import RefineJob

METHODS = ("sds", "vsd", "bridge", "esd", "sdi", "pfd")
NOUNS = ("apple", "mushroom", "snowman", "mug", "rocket", "flower", "cottage", "vase", "cactus", "fish", "chair", "lamp")
SHOWN = (1, 7)  # of the 24 views
VERSION = 1


class TextTo3D:
    name = "table2"
    title = "Text to 3D"

    def cells(self, plan: Plan) -> list[Cell]:
        count = plan.pick(plan.captions, quick=1, full=6)
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        asked = []
        for k, noun in enumerate(known_nouns(plan.card, NOUNS)[:count]):
            asked.append(caption_of(noun, known_colour(plan.card, noun, np.random.default_rng([k, 47]))))
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=2)):
            for caption in asked:
                for name in plan.chosen(METHODS):
                    spec = {"version": VERSION, "method": name, "caption": list(caption), "seed": seed, "steps": steps, "equal": plan.equal}
                    made.append(Cell(f"{caption.text}: {TITLES[name]}, seed {seed}", spec))
        return [settled(cell, staged(_job(cell), plan.card), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_job(_job(cell), context, cell.spec["equal"])

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        return run_object(_job(cell), Inputs(), Caption(*cell.spec["caption"]), context, cell.spec["equal"])

    def tables(self, results: Sequence[Result]) -> list[Table]:
        with_clip = any("clip" in result.values for result in results)
        measures = ["noun", "colour", "similarity", *(["clip"] if with_clip else []), "rows", "steps", "minutes"]
        rows, left_out = rows_by(results, "method", "caption", {name: TITLES[name] for name in METHODS}, measures)
        prompts = len({result.cell.spec["caption"][0] for result in results})
        note = (
            f"{prompts} prompts, prompt mode. Noun and colour: share of 24 lit views in which the judge's likeliest label is the prompt's. "
            "Similarity: mean cosine to the mean of real renders, in the judge's embedding. Spreads are over seeds; prompts and real "
            f"renders are the same for all, so that their choice is not in the spreads.{left_out}"
        )
        digits = {"noun": 2, "colour": 2, "rows": 0, "steps": 0, "minutes": 1}
        return [Table("table2", self.title, ("method", *measures, "remark"), rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        made, marks, shown = [], [], []
        counted, _ = finished(results, "method", "caption")
        texts = list(dict.fromkeys(result.cell.spec["caption"][0] for result in counted))
        for name in METHODS:
            same = [result for result in counted if result.cell.spec["method"] == name]
            x, y = by_seed(same, "seconds", 60.0), by_seed(same, "noun")
            if x is not None and y is not None:
                marks.append(Mark(TITLES[name], x, y))
            kept = [first_kept(folder, [result for result in same if result.cell.spec["caption"][0] == text]) for text in texts]
            pictures = [arrays["pictures"][list(SHOWN)] for arrays in kept if arrays is not None]
            if pictures and len(pictures) == len(texts):
                shown.append((TITLES[name], np.concatenate(pictures)))
        if marks:
            made.append(scatter(folder / "accuracy.png", marks, x="minutes per object", y="views whose noun is right", log_x=True))
        if shown:
            made.append(sheet(folder / "objects.png", shown, [words for text in texts for words in (text, "")]))
        return made


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    return RefineJob(prompt=spec["caption"][0], mode="prompt", method=spec["method"], seed=spec["seed"], steps=spec["steps"])


EXPERIMENT = TextTo3D()
