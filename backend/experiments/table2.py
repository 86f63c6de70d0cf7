"""Text to 3D: prompt mode under several methods, by the judge over 24 views of the asset (gradients.md 4.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.experiments.captions import Caption, caption_of, known_nouns
from backend.experiments.charts import Mark, scatter, sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import kept
from backend.experiments.object_runs import by_seed, failures, run_object, seconds_of_job
from backend.refine.inputs import Inputs
from backend.study.entries import TITLES
from backend.zoo.catalogue import draw_colour
from protocol.job import RefineJob

METHODS = ("sds", "vsd", "bridge", "esd", "sdi", "pfd")
NOUNS = ("apple", "mushroom", "snowman", "mug", "rocket", "flower", "cottage", "vase", "cactus", "fish", "chair", "lamp")
SHOWN = (1, 4, 7, 17)  # of the 24 views


class TextTo3D:
    name = "table2"
    title = "Text to 3D"

    def cells(self, plan: Plan) -> list[Cell]:
        count = plan.pick(plan.captions, quick=1, full=6)
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        asked = []
        for k, noun in enumerate(known_nouns(plan.card, NOUNS)[:count]):
            asked.append(caption_of(noun, draw_colour(noun, np.random.default_rng([k, 47]))))
        return [
            Cell(
                f"{caption.text}: {TITLES[name]}, seed {seed}",
                {"method": name, "caption": list(caption), "seed": seed, "steps": steps, "equal": plan.equal},
            )
            for seed in range(plan.pick(plan.seeds, quick=1, full=2))
            for caption in asked
            for name in plan.chosen(METHODS)
        ]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_job(_job(cell), context, cell.spec["equal"])

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        return run_object(_job(cell), Inputs(), Caption(*cell.spec["caption"]), context, cell.spec["equal"])

    def tables(self, results: Sequence[Result]) -> list[Table]:
        with_clip = any("clip" in result.values for result in results)
        measures = ["noun", "colour", "similarity", *(["clip"] if with_clip else []), "rows", "steps"]
        rows = []
        for name in METHODS:
            own = [result for result in results if result.cell.spec["method"] == name]
            if own:
                minutes = by_seed(own, "seconds", 60.0)
                shown = [by_seed(own, measure) for measure in measures]
                rows.append([TITLES[name], *shown, minutes, failures(own)])
        prompts = len({result.cell.spec["caption"][0] for result in results})
        note = (
            f"{prompts} prompts, prompt mode; spreads over seeds. Noun and colour: share of 24 lit views in which the judge's likeliest "
            "label is the prompt's. Similarity: mean cosine to the mean of real renders, in the judge's embedding."
        )
        digits = {"noun": 2, "colour": 2, "rows": 0, "steps": 0, "minutes": 1}
        return [Table("table2", self.title, ("method", *measures, "minutes", "remark"), rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        made, marks, shown = [], [], []
        for name in METHODS:
            own = [result for result in results if result.cell.spec["method"] == name]
            x, y = by_seed(own, "seconds", 60.0), by_seed(own, "noun")
            if x is not None and y is not None:
                marks.append(Mark(TITLES[name], x, y))
            arrays = next((found for result in own if (found := kept(folder, result.values)) is not None), None)
            if arrays is not None:
                shown.append((TITLES[name], arrays["pictures"][list(SHOWN)]))
        if marks:
            made.append(scatter(folder / "accuracy.png", marks, x="minutes per object", y="views whose noun is right", log_x=True))
        if shown:
            made.append(sheet(folder / "objects.png", shown))
        return made


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    return RefineJob(prompt=spec["caption"][0], mode="prompt", method=spec["method"], seed=spec["seed"], steps=spec["steps"])


EXPERIMENT = TextTo3D()
