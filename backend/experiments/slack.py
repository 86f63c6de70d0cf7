"""E1: slack against recall and growth, with growth bounded on its own or as tightly as shrinking, matching and wrong nouns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.shape_runs import (
    comparison,
    outcome,
    run_stages,
    seconds_of_run,
    settled,
    sketch,
    tables,
    workpiece_of,
)
from backend.geometry.dmtet import DMTet
from backend.refine.inputs import Inputs
from protocol.job import RefineJob

MATCHING = (
    ("flower", "a red flower"),
    ("snowman", "a white snowman"),
    ("cactus", "a green cactus"),
    ("chair", "a brown chair"),
    ("mug", "a blue mug"),
    ("mushrooms", "a red mushroom"),
)
WRONG = (("snowman", "a red vase"), ("cactus", "a yellow lamp"), ("chair", "a green cottage"))
SLACKS = (0.0, 0.25, 0.5, 1.0)
BOUNDS = ("one-sided", "symmetric")
VERSION = 1


class Slack:
    """At slack 0 the two bounds are the same, so it is run once."""

    name = "slack"
    title = "E1: slack and the bound on growth"

    def cells(self, plan: Plan) -> Sequence[Cell]:
        plan.refuse(self.name, "captions", "equal")
        quick, bounds = plan.size == "quick", plan.chosen(BOUNDS)
        pairs = (MATCHING[0], WRONG[0]) if quick else MATCHING + WRONG
        slacks = (0.25, 1.0) if quick else SLACKS
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=1)):
            for drawn, prompt in pairs:
                for slack in slacks:
                    for bound in bounds if slack else bounds[:1]:
                        spec = {"version": VERSION, "sketch": drawn, "prompt": prompt, "slack": slack, "bound": bound, "seed": seed}
                        made.append(Cell(f"{drawn}, {prompt}, {slack:g} {bound}, seed {seed}", {**spec, "steps": plan.steps}))
        return [settled(cell, _job(cell), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_run(_job(cell), context)

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        spec = cell.spec
        made = workpiece_of(_job(cell), Inputs(sketch=sketch(spec["sketch"])), context)
        surface = made.subject.surface
        assert isinstance(surface, DMTet)
        if spec["bound"] == "symmetric":
            surface.growth = surface.bound
        counted = run_stages(made, made.job.stages, tell=context.tell)
        return {**counted, **outcome(made.subject, cell, context)}

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        def group(result: Result) -> tuple[str, ...]:
            return (_kind(result), f"{result.cell.spec['slack']:g}", result.cell.spec["bound"])

        note = "Means and deviations over sketches and seeds. Recall: within 1.5 cells, or a third of the radius, plus slack x radius."
        return tables(self.name, self.title, results, ("pair", "slack", "growth bound"), group, note)

    def figures(self, results: Sequence[Result], folder: Path) -> Sequence[Path]:
        return comparison(
            results,
            folder,
            folder / "slack.png",
            lambda result: f"{result.cell.spec['slack']:g} {result.cell.spec['bound']}",
            lambda result: f"{result.cell.spec['sketch']}: {result.cell.spec['prompt']}",
        )


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    return RefineJob(prompt=spec["prompt"], slack=spec["slack"], seed=spec["seed"], steps=spec["steps"] or -1)


def _kind(result: Result) -> str:
    return "matching" if (result.cell.spec["sketch"], result.cell.spec["prompt"]) in MATCHING else "wrong noun"


EXPERIMENT = Slack()
