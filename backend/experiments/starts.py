"""E3: what prompt mode should start from: random signs on the grid, a noisy ball, or a haze that thickens. Is the handle open?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.shape_runs import comparison, outcome, run_stages, seconds_of_run, settled, tables, workpiece_of
from backend.geometry.dmtet import DMTet
from backend.priors.card import PriorCard
from backend.refine.inputs import Inputs
from backend.refine.presets import PROMPT_WEIGHTS, stages_of
from backend.refine.resolve import resolve
from backend.refine.seeds import generator
from protocol.job import RefineJob, Stage, Timesteps

PROMPTS = ("a blue mug", "a green vase", "a brown chair")
STARTS = ("random signs", "noisy ball", "haze")
SIGN_RADIUS, SIGN_CELLS = 0.7, 4
VERSION = 2


class Starts:
    """All three see the prior equally often: as many views while the shape moves, to within a step, then the same stage of colours."""

    name = "starts"
    title = "E3: what prompt mode starts from"

    def cells(self, plan: Plan) -> Sequence[Cell]:
        plan.refuse(self.name, "captions", "equal")
        quick = plan.size == "quick"
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=2)):
            for prompt in PROMPTS[:1] if quick else PROMPTS:
                for start in plan.chosen(STARTS):
                    spec = {"version": VERSION, "prompt": prompt, "start": start, "seed": seed, "steps": plan.steps}
                    made.append(Cell(f"{prompt}, {start}, seed {seed}", spec))
        return [settled(cell, _job(cell, plan.card), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_run(_job(cell, context.prior.card), context)

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        made = workpiece_of(_job(cell, context.prior.card), Inputs(), context)
        if cell.spec["start"] == "random signs":
            surface = made.subject.surface
            assert isinstance(surface, DMTet)
            surface.rest_on(random_signs(surface, cell.spec["seed"]))
        counted = run_stages(made, made.job.stages, tell=context.tell)
        return {**counted, **outcome(made.subject, cell, context)}

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        def group(result: Result) -> tuple[str, ...]:
            return (result.cell.spec["prompt"], result.cell.spec["start"])

        note = (
            "Means and deviations over seeds. The largest hole is what one can look through, as a share of the silhouette around it; "
            "a hook that overlaps itself in some view counts, too; genus counts every tunnel, however narrow. An open handle has both."
        )
        return tables(self.name, self.title, results, ("prompt", "start"), group, note)

    def figures(self, results: Sequence[Result], folder: Path) -> Sequence[Path]:
        return comparison(
            results,
            folder,
            folder / "starts.png",
            lambda result: result.cell.spec["start"],
            lambda result: result.cell.spec["prompt"],
            views=(0, 2, 5),
        )


def random_signs(surface: DMTet, seed: int) -> torch.Tensor:
    """[N] inside or outside by chance, in lumps of `SIGN_CELLS` cells within a ball, as far from the surface as a lump is wide."""
    grid = surface.grid
    coarse = torch.randn(1, 1, *(grid.n // SIGN_CELLS + 1,) * 3, generator=generator(seed, "random signs")).to(grid.device)
    lumps = torch.nn.functional.interpolate(coarse, size=grid.shape, mode="trilinear", align_corners=True).flatten()
    return torch.maximum(lumps * SIGN_CELLS * grid.h, grid.positions.norm(dim=-1) - SIGN_RADIUS)


def _job(cell: Cell, card: PriorCard) -> RefineJob:
    spec = cell.spec
    *without_bridge, _ = stages_of("default", "prompt", card)
    asked = RefineJob(prompt=spec["prompt"], mode="prompt", seed=spec["seed"], stages=tuple(without_bridge), steps=spec["steps"] or -1)
    haze, form, colour = stages = resolve(asked, card).stages
    if spec["start"] != "haze":
        views = haze.steps * haze.views + form.steps * form.views
        grow = Stage(
            name="grow",
            optimise="both",
            steps=views // form.views,
            parameters=form.parameters,
            timesteps=Timesteps(kind="window", low=haze.timesteps.low, high=haze.timesteps.high),
            shading=form.shading,
            geometry_rate_h=(1.2 * card.geometry_rate, 0.1 * card.geometry_rate),
            anchor=(0.0, 0.0),
            regularisers=PROMPT_WEIGHTS,
        )
        stages = (grow, colour)
    return msgspec.structs.replace(asked, stages=stages, steps=-1)


EXPERIMENT = Starts()
