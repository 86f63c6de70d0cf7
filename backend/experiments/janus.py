"""Mode collapse: SDS, VSD and ESD at several lambda, by IQ, IV and IG (ESD, arXiv 2401.00909, table 1).

Two ways. "particles": pictures of one prompt that stand for views from as many sides, which the critic is told; they begin alike, and
nothing holds them together after that, so what a method does to the joint distribution shows undiluted and cheaply. The prompt has no
view words, which would spread the views by themselves. "objects": assets of prompt mode, whose views agree in what they show but need not
differ in side: besides the gains, the share of side and back views that look like a front.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.errors import NumericalError
from backend.evaluate.metrics import inception, mean_gain
from backend.experiments.captions import Caption, caption_of, known_colour, known_nouns
from backend.experiments.charts import Line, lines, sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Spread, Table
from backend.experiments.judged import first_kept, judge_of, keep_pictures, shares
from backend.experiments.object_runs import by_seed, failures, finished, gains, run_object, seconds_of_job, staged
from backend.experiments.report import spread
from backend.experiments.shape_runs import settled
from backend.refine.estimate import lesson_rows
from backend.refine.inputs import Inputs
from backend.study.images import PictureRun
from protocol.job import RefineJob, Setting

FRONTED = ("snowman", "fish", "chair", "duck", "cat", "car")  # of the others the judge does not tell the views
LAMBDA_OF = {f"esd-{value:g}": value for value in (0.5, 1.0)}
VARIANTS: dict[str, tuple[str, str, dict[str, Setting]]] = {
    "sds": ("SDS", "sds", {}),
    "vsd": ("VSD", "vsd", {}),
    **{name: (f"ESD, λ {value:g}", "esd", {"lambda": value}) for name, value in LAMBDA_OF.items()},
}
CRITIC: dict[str, Setting] = {"camera_dropout": 0.5, "camera_map": True, "critic_lessons": 4}
"""Of the particles: lambda acts through what the critic says with a camera and without, and 200 steps are few to learn both in."""
PARTICLES = 16
SHOWN = 8
BORDER_PX = 4  # of 64: things stand in the middle, so this is background
VERSIONS = {"particles": 5, "objects": 2}
BOTH = ("IQ", "IV", "IG of means", "mean IG")


class Janus:
    name = "janus"
    title = "Views that differ: SDS, VSD and ESD"

    def cells(self, plan: Plan) -> list[Cell]:
        plan.refuse(self.name, "equal")
        count = plan.pick(plan.captions, quick=1, full=4)
        asked = [
            caption_of(noun, known_colour(plan.card, noun, np.random.default_rng([k, 53])))
            for k, noun in enumerate(known_nouns(plan.card, FRONTED))
        ]
        chosen = plan.chosen(tuple(VARIANTS))
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=2)):
            for caption in asked[:count]:
                for form, steps in (
                    ("particles", plan.pick(plan.steps, quick=60, full=200)),
                    ("objects", plan.steps or (60 if plan.size == "quick" else -1)),
                ):
                    for name in chosen:
                        spec = {"version": VERSIONS[form], "form": form, "variant": name, "caption": list(caption)}
                        spec |= {"seed": seed, "steps": steps}
                        cell = Cell(f"{form}, {caption.text}: {VARIANTS[name][0]}, seed {seed}", spec)
                        made.append(settled(cell, staged(_job(cell), plan.card), plan.card) if form == "objects" else cell)
        return sorted(made, key=lambda cell: cell.spec["form"] == "objects")  # the cheap and telling ones first

    def seconds(self, cell: Cell, context: Context) -> float:
        if cell.spec["form"] == "objects":
            return seconds_of_job(_job(cell), context, "steps")
        run = _particles(cell, context, 1)
        try:
            rows = run.mean_rows() + lesson_rows(run.method, run.parameters)
            return PARTICLES * (int(cell.spec["steps"]) * rows * context.costs.row + context.costs.decode)
        finally:
            run.close()

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        caption = Caption(*cell.spec["caption"])
        if cell.spec["form"] == "objects":
            return run_object(_job(cell), Inputs(), caption, context, "steps")
        run, steps = _particles(cell, context, PARTICLES), cell.spec["steps"]
        try:
            for k in range(steps):
                run.step(steps)
                context.tell((k + 1) / steps)
            if not run.is_finite():
                raise NumericalError("The particles left the finite numbers.")
            pictures = run.pictures().float().clamp(0, 1)
        finally:
            run.close()
        judge = judge_of(context)
        verdict = judge(pictures)
        seen = inception((verdict.noun[:, :, None] * verdict.view[:, None, :]).flatten(1))
        right = shares(judge, verdict, [caption] * PARTICLES)
        said = torch.bincount(verdict.view.argmax(-1), minlength=len(judge.views)) / PARTICLES
        file = context.file("cells", f"{context.key}.npz")
        keep_pictures(file, pictures)
        return {
            "iq": seen.iq,
            "iv": seen.iv,
            "noun": right["noun"],
            "colour": right["colour"],
            "front": float(said[0]),
            "apart": float(torch.pdist(verdict.embedding.float()).mean()),
            "backgrounds": spread_of_backgrounds(pictures),
            "seconds": run.seconds,
            "rows": run.rows,
            "file": str(file.relative_to(context.folder)),
        }

    def tables(self, results: Sequence[Result]) -> list[Table]:
        digits = dict.fromkeys(("noun", "colour", "fronts", "view accuracy", "backs", "false fronts"), 2) | {"rows": 0, "minutes": 1}
        note = (
            "IQ, IV in nats over the judge's nouns times views. IG once as the ratio of means over objects, once as the mean of ratios. "
            "Spreads are over seeds; prompts are the same for all, so that their choice is not in the spreads."
        )
        particles = (
            f"{note} {PARTICLES} pictures of one prompt without view words, which begin alike. Fronts: share of them that look like a front"
            " view. Apart: mean distance between two of them in the judge's embedding. Backgrounds: standard deviation over them of the"
            " mean colour along a picture's border, in display values."
        )
        objects = (
            f"{note} 24 views of an asset of prompt mode. View accuracy: share of views judged to be what they are; false fronts: share of "
            "side and back views judged to be a front."
        )
        own = {"particles": ("noun", "colour", "front", "apart", "backgrounds"), "objects": ("noun", "view", "back", "false_fronts")}
        renamed = {"front": "fronts", "view": "view accuracy", "back": "backs", "false_fronts": "false fronts"}
        made = []
        for form, below in (("particles", particles), ("objects", objects)):
            counted, left_out = _finished(results, form)
            rows = [
                [
                    VARIANTS[name][0],
                    *_measures(same := _group(counted, form, name)),
                    *(by_seed(same, value) for value in (*own[form], "rows")),
                    by_seed(same, "seconds", 60.0),
                    failures(group),
                ]
                for name in VARIANTS
                if (group := _group(results, form, name))
            ]
            if rows:
                columns = ("method", *BOTH, *(renamed.get(value, value) for value in own[form]), "rows", "minutes", "remark")
                made.append(Table(f"janus_{form}", f"{self.title}, {form}", columns, rows, digits, below + left_out))
        return made

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        made, drawn = [], []
        for form in ("particles", "objects"):
            found = []
            counted, _ = _finished(results, form)
            for name, (_, method, _) in VARIANTS.items():
                gain = _measures(_group(counted, form, name))[2]
                if gain is not None and method != "sds":
                    found.append((LAMBDA_OF.get(name, 0.0), gain))
            if len(found) > 1:
                drawn.append(Line(form, [x for x, _ in found], [y for _, y in found]))
        if drawn:
            made.append(lines(folder / "gain.png", drawn, x="λ (0 is VSD)", y="information gain IG"))
        shown = []
        for name, (title, *_) in VARIANTS.items():
            arrays = first_kept(folder, _group(results, "particles", name))
            if arrays is not None:
                shown.append((title, arrays["pictures"][:SHOWN]))
        if shown:
            made.append(sheet(folder / "particles.png", shown))
        return made


def spread_of_backgrounds(pictures: Tensor) -> float:
    """Standard deviation over pictures [N,3,S,S] of the mean colour within BORDER_PX of the edge; mean over the channels."""
    inside = torch.zeros(pictures.shape[-2:], dtype=torch.bool)
    inside[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    return float(pictures[:, :, ~inside].mean(2).std(0).mean())


def _particles(cell: Cell, context: Context, count: int) -> PictureRun:
    _, method, parameters = VARIANTS[cell.spec["variant"]]
    parameters = {**parameters, **(CRITIC if method in ("vsd", "esd") else {})}
    return PictureRun(context.prior, method, parameters, cell.spec["caption"][0], count=count, seed=cell.spec["seed"], around=True)


def _job(cell: Cell) -> RefineJob:
    spec = cell.spec
    _, method, parameters = VARIANTS[spec["variant"]]
    # The quick preset: its haze is where an object gets its faces.
    return RefineJob(
        prompt=spec["caption"][0],
        mode="prompt",
        preset="quick",
        method=method,
        parameters=parameters,
        seed=spec["seed"],
        steps=spec["steps"],
    )


def _finished(results: Sequence[Result], form: str) -> tuple[list[Result], str]:
    return finished([result for result in results if result.cell.spec["form"] == form], "variant", "caption")


def _group(results: Sequence[Result], form: str, variant: str) -> list[Result]:
    return [result for result in results if (result.cell.spec["form"], result.cell.spec["variant"]) == (form, variant)]


def _measures(results: Sequence[Result]) -> list[Spread | None]:
    """IQ, IV, and IG in both ways, over seeds."""
    both = [mean_gain(objects) for objects in gains(results)]
    return [by_seed(results, "iq"), by_seed(results, "iv"), spread(a for a, _ in both), spread(b for _, b in both)]


EXPERIMENT = Janus()
