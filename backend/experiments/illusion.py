"""Rotation overlays: how many of their four pictures the judge recognises, for pixels and networks, SDS and Bridge.

Source: arXiv 2406.09417, appendix B.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.errors import UserError
from backend.experiments.captions import Caption, caption_of, known_colour, known_nouns
from backend.experiments.charts import sheet
from backend.experiments.contract import Cell, Context, Plan, Result, Table
from backend.experiments.judged import first_kept, judge_of, keep_pictures, rightness
from backend.experiments.object_runs import rows_by, staged
from backend.experiments.shape_runs import seconds_of_run, settled
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from backend.zoo.catalogue import NOUNS
from protocol.job import Canvas, RefineJob

WAYS: dict[str, tuple[str, str, str]] = {
    "pixels": ("pixels, SDS and Bridge", "pixels", ""),
    "pixels-sds": ("pixels, SDS", "pixels", "sds"),
    "fourier": ("network, SDS and Bridge", "fourier", ""),
    "fourier-sds": ("network, SDS", "fourier", "sds"),
}
TURNS = 4
VERSION = 1


class Illusion:
    name = "illusion"
    title = "Rotation overlays"

    def cells(self, plan: Plan) -> list[Cell]:
        plan.refuse(self.name, "equal")
        count = plan.pick(plan.captions, quick=1, full=4)
        steps = plan.steps or (60 if plan.size == "quick" else -1)
        made = []
        for seed in range(plan.pick(plan.seeds, quick=1, full=2)):
            for k in range(count):
                four = _four(plan, k)
                spec = {"version": VERSION, "captions": [list(caption) for caption in four], "seed": seed, "steps": steps}
                made += [
                    Cell(f"{', '.join(caption.noun for caption in four)}: {WAYS[way][0]}, seed {seed}", {"way": way, **spec})
                    for way in plan.chosen(tuple(WAYS))
                ]
        return [settled(cell, staged(_job(cell), plan.card), plan.card) for cell in made]

    def seconds(self, cell: Cell, context: Context) -> float:
        return seconds_of_run(staged(_job(cell), context.prior.card), context, around_s=2.0, view_share=1.0)

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        began = time.perf_counter()
        job = staged(_job(cell, context.prior.device.type), context.prior.card)
        result = refine(job, Inputs(), prior=context.prior)
        assert result.exported is not None
        pictures = result.exported.pictures
        overlays = torch.from_numpy(pictures["overlays"]).permute(0, 3, 1, 2).float() / 255
        judge = judge_of(context)
        right = rightness(judge, judge(overlays), [Caption(*words) for words in cell.spec["captions"]])
        both = np.concatenate([pictures["base"], pictures["rotator"], pictures["overlays"]])
        file = context.file("cells", f"{context.key}.npz")
        keep_pictures(file, torch.from_numpy(both).permute(0, 3, 1, 2).float() / 255)
        return {
            **{head: sum(right[head]) / TURNS for head in ("noun", "colour")},
            "all_four": float(all(right["noun"])),
            "rows": result.rows,
            "seconds": time.perf_counter() - began,
            "file": str(file.relative_to(context.folder)),
        }

    def tables(self, results: Sequence[Result]) -> list[Table]:
        titles = {way: title for way, (title, *_) in WAYS.items()}
        rows, left_out = rows_by(results, "way", "captions", titles, ("noun", "colour", "all_four", "rows", "seconds"))
        note = (
            "Share of overlays whose noun and colour the judge gives first, and of illusions whose four nouns are all right. Spreads are "
            f"over seeds; captions are the same for all, so that their choice is not in the spreads.{left_out}"
        )
        columns = ("way", "noun", "colour", "all four", "rows", "seconds", "remark")
        return [Table("illusion", self.title, columns, rows, {"noun": 2, "colour": 2, "all four": 2, "rows": 0, "seconds": 0}, note)]

    def figures(self, results: Sequence[Result], folder: Path) -> list[Path]:
        shown = []
        for way, (title, *_) in WAYS.items():
            own = [result for result in results if result.cell.spec["way"] == way]
            arrays = first_kept(folder, own)
            if arrays is not None:
                shown.append((title, arrays["pictures"]))
        if not shown:
            return []
        return [sheet(folder / "pictures.png", shown, ["base", "rotator", *(words[0] for words in results[0].cell.spec["captions"])])]


def _four(plan: Plan, k: int) -> list[Caption]:
    rng = np.random.default_rng([k, 61])
    nouns = known_nouns(plan.card, NOUNS)
    if len(nouns) < TURNS:
        raise UserError(f"An illusion needs {TURNS} nouns, and the prior '{plan.card.name}' knows {len(nouns)} of the judge's.")
    return [caption_of(str(noun), known_colour(plan.card, str(noun), rng)) for noun in rng.permutation(nouns)[:TURNS]]


def _job(cell: Cell, device: str = "auto") -> RefineJob:
    spec = cell.spec
    _, kind, method = WAYS[spec["way"]]
    return RefineJob(
        prompt="",
        prompts=tuple(words[0] for words in spec["captions"]),
        mode="illusion",
        canvas=Canvas(kind=kind),  # type: ignore[arg-type]
        method=method,
        seed=spec["seed"],
        steps=spec["steps"],
        device=device,
        preview_every=0,
    )


EXPERIMENT = Illusion()
