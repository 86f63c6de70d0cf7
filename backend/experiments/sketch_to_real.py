"""Sketch to asset: SDS against Bridge at equal cost, by fidelity to the sketch and by the judge (arXiv 2406.09417, appendix B)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.experiments.captions import Caption, caption_of, known_nouns
from backend.experiments.charts import sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import first_kept
from backend.experiments.object_runs import rows_by, run_object, seconds_of_job, staged
from backend.experiments.shape_runs import settled, sketch
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
MEASURES = ("noun", "colour", "similarity", "recall", "growth", "moved_share", "silhouette_iou", "rows", "steps", "minutes")
COLUMNS = ("noun", "colour", "similarity", "recall", "growth", "moved", "silhouette IoU", "rows", "steps", "minutes")
SHOWN = (1, 4, 7, 17)
VERSION = 1


class SketchToReal:
    name = "sketch-to-real"
    title = "Sketch to asset: SDS and Bridge at equal cost"

    def cells(self, plan: Plan) -> list[Cell]:
        plan.refuse(self.name, "equal")
        count = plan.pick(plan.captions, quick=1, full=len(PROMPTS))
        nouns = known_nouns(plan.card, [noun for noun, _ in PROMPTS.values()])
        known = [name for name, (noun, _) in PROMPTS.items() if noun in nouns]
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=3)):
            for name in known[:count]:
                for method in plan.chosen(METHODS):
                    spec = {"version": VERSION, "method": method, "sketch": name, "caption": list(caption_of(*PROMPTS[name]))}
                    made.append(Cell(f"{name}: {TITLES[method]}, seed {seed}", {**spec, "seed": seed, "steps": steps}))
        return [settled(cell, staged(_job(cell), plan.card), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_job(_job(cell), context, "rows")

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        inputs = Inputs(sketch=sketch(cell.spec["sketch"]))
        return run_object(_job(cell), inputs, Caption(*cell.spec["caption"]), context, "rows")

    def tables(self, results: Sequence[Result]) -> list[Table]:
        rows, left_out = rows_by(results, "method", "sketch", {name: TITLES[name] for name in METHODS}, MEASURES)
        sketches = len({result.cell.spec["sketch"] for result in results})
        note = (
            f"{sketches} sketches. Recall: share of the sketch that is still there, within 1.5 cells and slack. Growth: share of the "
            "result further outside the sketch. Moved: share of it that is further than half a cell from the start. Spreads are over "
            "seeds; sketches, prompts and real renders are the same for all, so that their choice is not in the spreads."
            f"{left_out}"
        )
        digits = {"noun": 2, "colour": 2, "rows": 0, "steps": 0, "minutes": 1}
        return [Table("sketch_to_real", self.title, ("method", *COLUMNS, "remark"), rows, digits, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        shown = []
        for name in PROMPTS:
            for method in METHODS:
                own = [r for r in results if (r.cell.spec["sketch"], r.cell.spec["method"]) == (name, method)]
                arrays = first_kept(folder, own)
                if arrays is not None:
                    shown.append((f"{name}, {TITLES[method]}", arrays["pictures"][list(SHOWN)]))
        return [sheet(folder / "objects.png", shown)] if shown else []


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    return RefineJob(prompt=spec["caption"][0], sketch=spec["sketch"], method=spec["method"], seed=spec["seed"], steps=spec["steps"])


EXPERIMENT = SketchToReal()
