"""E2: what moves a sketch's shape best. Optimiser of the signed distance, shading of the views, and moments at a change of gradient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

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
from backend.priors.card import PriorCard
from backend.refine.descent import Descent
from backend.refine.inputs import Inputs
from backend.refine.object_workpiece import ObjectWorkpiece
from backend.refine.optimiser import UniformAdam
from backend.refine.presets import stages_of
from protocol.job import RefineJob, Shading, Stage

SKETCHES = (("flower", "a red flower"), ("cactus", "a green cactus"), ("chair", "a brown chair"))
OPTIMISERS = ("Adam", "smoothed uniform Adam", "coarse lattice")
SHADINGS = ("albedo only", "shading mix")
MOMENTS = ("cleared", "kept")
SMOOTHING = (2.0, 0.5)  # cells, standard deviation at the first and the last step
BRIDGE_STEPS = 80
VERSION = 2


class ElementAdam:
    """Adam with a second moment for every element, as torch has it, behind the interface of `UniformAdam`."""

    def __init__(self, parameter: Tensor) -> None:
        self.inner = torch.optim.Adam([parameter], betas=(0.9, 0.99), eps=1e-15)

    def step(self, rate: float) -> None:
        self.inner.param_groups[0]["lr"] = rate
        self.inner.step()

    def state(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)


class SmoothedAdam(UniformAdam):
    """Uniform Adam on the gradient of a grid field after a Gaussian, whose width falls over `steps`."""

    def __init__(self, parameter: Tensor, side: int, steps: int) -> None:
        super().__init__(parameter)
        self.side, self.whole = side, steps
        self.done = 0  # of this stage; `steps` goes on from another's where moments are handed on

    @torch.no_grad()
    def step(self, rate: float) -> None:
        if self.parameter.grad is not None:
            share = min(1.0, self.done / max(1, self.whole - 1))
            self.done += 1
            width = SMOOTHING[0] + (SMOOTHING[1] - SMOOTHING[0]) * share
            volume = self.parameter.grad.view(1, 1, self.side, self.side, self.side)
            self.parameter.grad = smoothed(volume, width).reshape(-1)
        super().step(rate)


def smoothed(volume: Tensor, width: float) -> Tensor:
    """[1,1,X,Y,Z] after a Gaussian of standard deviation `width` in cells, cut at three of them; zeros beyond the wall."""
    reach = max(1, round(3 * width))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=volume.device, dtype=volume.dtype) / width) ** 2)
    line = line / line.sum()
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = -1
        padding = [reach if a == axis else 0 for a in range(3)]
        volume = torch.nn.functional.conv3d(volume, line.view(shape), padding=padding)
    return volume


class Descents:
    """Every run: colours, the shape by SDS, then by Bridge on shape and colours, so that a gradient changes while the shape moves."""

    name = "descents"
    title = "E2: optimiser, shading and moments of a shape"

    def cells(self, plan: Plan) -> Sequence[Cell]:
        plan.refuse(self.name, "captions", "equal")
        quick = plan.size == "quick"
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=1)):
            for drawn, prompt in SKETCHES[:1] if quick else SKETCHES:
                for optimiser in plan.chosen(OPTIMISERS):
                    for shading in SHADINGS[1:] if quick else SHADINGS:
                        for moments in MOMENTS[:1] if quick else MOMENTS:
                            spec = {"version": VERSION, "sketch": drawn, "prompt": prompt, "seed": seed, "steps": plan.steps}
                            spec |= {"optimiser": optimiser, "shading": shading, "moments": moments}
                            made.append(Cell(f"{drawn}, {optimiser}, {shading}, {moments}, seed {seed}", spec))
        return [settled(cell, _job(cell, plan.card), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_run(_job(cell, context.prior.card), context)

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        made = workpiece_of(_job(cell, context.prior.card), Inputs(sketch=sketch(cell.spec["sketch"])), context)
        variant = _Variant(made, cell)
        counted = run_stages(made, made.job.stages, tell=context.tell, stepper=variant.stepper)
        return {**counted, **outcome(made.subject, cell, context)}

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        def group(result: Result) -> tuple[str, ...]:
            return (result.cell.spec["optimiser"], result.cell.spec["shading"], result.cell.spec["moments"])

        note = "Means and deviations over sketches and seeds. The guard had the last word on every shape, as in a run."
        return tables(self.name, self.title, results, ("optimiser", "shading", "moments"), group, note)

    def figures(self, results: Sequence[Result], folder: Path) -> Sequence[Path]:
        return comparison(
            results,
            folder,
            folder / "descents.png",
            lambda result: ", ".join(result.cell.spec[key] for key in ("optimiser", "shading", "moments")),
            lambda result: result.cell.spec["prompt"],
        )


class _Variant:
    """Makes the stages' descents with another optimiser, and hands the moments on where they are to be kept."""

    def __init__(self, made: ObjectWorkpiece, cell: Cell) -> None:
        self.made, self.spec = made, cell.spec
        self.before: Descent | None = None
        surface = made.subject.surface
        assert isinstance(surface, DMTet)
        if self.spec["optimiser"] != "coarse lattice":
            made.subject.surface = DMTet(surface.grid, surface.rest_sdf, bound=surface.bound, growth=surface.growth)

    def stepper(self, stage: Stage, first_step: int) -> Descent:
        under_way = self.made.stepper(stage, first_step)
        assert isinstance(under_way, Descent)
        shape: dict[str, Any] = dict(under_way.shape)
        if "sdf" in shape and self.spec["optimiser"] == "Adam":
            shape = {name: ElementAdam(leaf) for name, leaf in self.made.subject.surface.parameters().items()}
        elif "sdf" in shape and self.spec["optimiser"] != "coarse lattice":
            surface = self.made.subject.surface
            assert isinstance(surface, DMTet)
            shape["sdf"] = SmoothedAdam(surface.parameters()["sdf"], surface.grid.n + 1, stage.steps)
        under_way.shape = shape
        if self.spec["moments"] == "kept" and self.before is not None:
            under_way.colour.load_state_dict(self.before.colour.state_dict())
            for name, optimiser in self.before.shape.items():
                if name in shape:
                    shape[name].load_state(optimiser.state())
        self.before = under_way
        return under_way


def _job(cell: Cell, card: PriorCard) -> RefineJob:
    spec = cell.spec
    colour, shape, _, bridge = stages_of("default", "sketch", card)
    if spec["shading"] == "albedo only":
        shape = msgspec.structs.replace(shape, shading=Shading(albedo=1.0))
    rates = (card.bridge_rate_scale * shape.geometry_rate_h[0], card.bridge_rate_scale * shape.geometry_rate_h[1])
    both = msgspec.structs.replace(
        bridge,
        optimise="both",
        steps=BRIDGE_STEPS,
        bank=0,
        shading=shape.shading,
        geometry_rate_h=rates,
        anchor=shape.anchor,
        regularisers=shape.regularisers,
    )
    stages = (colour, shape, both)
    return RefineJob(prompt=spec["prompt"], seed=spec["seed"], stages=stages, steps=spec["steps"] or -1)


EXPERIMENT = Descents()
