"""Sketch to asset: SDS against Bridge at equal cost, by fidelity to the sketch and by the judge (gradients.md 4.4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.experiments.captions import Caption, caption_of, known_nouns
from backend.experiments.charts import sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import kept
from backend.experiments.object_runs import by_seed, failures, run_object, seconds_of_job
from backend.experiments.shape_runs import sketch
from backend.refine.inputs import Inputs
from backend.study.entries import TITLES
from protocol.job import RefineJob

METHODS = ("sds", "bridge")
PROMPTS = {
    "flower": ("flower", "red"),
    "snowman": ("snowman", "white"),
    "mug": ("mug", "blue"),
    "chair": ("chair", "brown"),
    "cactus": ("cactus", "green"),
    "fish": ("fish", "orange"),
    "mushrooms": ("mushroom", "red"),
    "quad_vase": ("vase", "purple"),
}
"""Sketch -> noun and colour that it is asked to become."""
MEASURES = ("noun", "colour", "similarity", "recall", "growth", "moved_share", "silhouette_iou", "rows", "steps")
COLUMNS = ("noun", "colour", "similarity", "recall", "growth", "moved", "silhouette IoU", "rows", "steps")
SHOWN = (1, 4, 7, 17)


class SketchToReal:
    name = "sketch-to-real"
    title = "Sketch to asset: SDS and Bridge at equal cost"

    def cells(self, plan: Plan) -> list[Cell]:
        count = plan.pick(plan.captions, quick=1, full=len(PROMPTS))
        known = [name for name, (noun, _) in PROMPTS.items() if noun in known_nouns(plan.card)]
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        return [
            Cell(
                f"{name}: {TITLES[method]}, seed {seed}",
                {"method": method, "sketch": name, "caption": list(caption_of(*PROMPTS[name])), "seed": seed, "steps": steps},
            )
            for seed in range(plan.pick(plan.seeds, quick=1, full=3))
            for name in known[:count]
            for method in plan.chosen(METHODS)
        ]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_job(_job(cell), context, "rows")

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        inputs = Inputs(sketch=sketch(cell.spec["sketch"]))
        return run_object(_job(cell), inputs, Caption(*cell.spec["caption"]), context, "rows")

    def tables(self, results: Sequence[Result]) -> list[Table]:
        rows = []
        for method in METHODS:
            own = [result for result in results if result.cell.spec["method"] == method]
            if own:
                shown = [by_seed(own, measure) for measure in MEASURES]
                rows.append([TITLES[method], *shown, by_seed(own, "seconds", 60.0), failures(own)])
        sketches = len({result.cell.spec["sketch"] for result in results})
        note = (
            f"{sketches} sketches; spreads are over seeds. Recall: share of the sketch that is still there, within 1.5 cells and slack. "
            "Growth: share of the result further outside the sketch. Moved: share of it that is further than half a cell from the start."
        )
        digits = {"noun": 2, "colour": 2, "rows": 0, "steps": 0, "minutes": 1}
        return [Table("sketch_to_real", self.title, ("method", *COLUMNS, "minutes", "remark"), rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        shown = []
        for name in PROMPTS:
            for method in METHODS:
                own = [r for r in results if (r.cell.spec["sketch"], r.cell.spec["method"]) == (name, method)]
                arrays = next((found for result in own if (found := kept(folder, result.values)) is not None), None)
                if arrays is not None:
                    shown.append((f"{name}, {TITLES[method]}", arrays["pictures"][list(SHOWN)]))
        return [sheet(folder / "objects.png", shown)] if shown else []


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    return RefineJob(prompt=spec["caption"][0], sketch=spec["sketch"], method=spec["method"], seed=spec["seed"], steps=spec["steps"])


EXPERIMENT = SketchToReal()
