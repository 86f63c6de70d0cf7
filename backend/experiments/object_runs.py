"""Whole runs on objects, as a person would start them, judged over 24 views: what table2, janus and sketch-to-real share."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from backend.distill.methods import method as method_named
from backend.errors import NumericalError
from backend.evaluate.asset import AssetVerdict, judge_result
from backend.evaluate.metrics import Inception, gain
from backend.experiments.captions import REAL_SEED, Caption, caption_of, renders
from backend.experiments.contract import Context, Result, Spread
from backend.experiments.judged import judge_of, keep_pictures
from backend.experiments.report import Entry, spread
from backend.experiments.shape_runs import seconds_of_run
from backend.priors.card import PriorCard
from backend.priors.counting import CountingPrior
from backend.refine.estimate import rows_of
from backend.refine.events import Event, Progress
from backend.refine.inputs import Inputs
from backend.refine.resolve import resolve
from backend.refine.run import refine
from protocol.job import RefineJob, Stage

CHEAP_ROWS = 4.0  # denoiser rows a view and step; methods above get fewer steps, so that all have the same rows
RENDERS_EACH = 16
VIEWS = 24


def fair(job: RefineJob, context: Context, equal: str = "") -> RefineJob:
    """The job with as many steps as it should get beside SDS.

    That is the whole preset's number, or `job.steps`, for a cheap method; a costly one gets as many as have the denoiser rows that SDS
    has in these. `equal` "rows" or "steps" decides for all methods alike.
    """
    card, prior = context.prior.card, CountingPrior(context.prior)
    job = staged(job, card)
    total = job.steps if job.steps >= 0 else sum(stage.steps for stage in job.stages)
    asked = msgspec.structs.replace(job, steps=total)
    plain = staged(msgspec.structs.replace(asked, method="sds", parameters={}), card)
    stages = resolve(asked, card).stages
    own = [stage for stage in stages if stage.method == job.method]
    dear = _rows(own, prior) > CHEAP_ROWS * sum(stage.steps * stage.views for stage in own)
    if equal == "rows" or (equal == "" and dear):
        share = _rows(resolve(plain, card).stages, prior) / _rows(stages, prior)
        return msgspec.structs.replace(asked, steps=max(1, round(total * share)))
    return asked


def staged(job: RefineJob, card: PriorCard) -> RefineJob:
    """The job with its preset's stages written out; only a method that needs another before it keeps the stage "bridge".

    For the others its steps go to the colours before it, so that the shape and the colours get the same steps from every method.
    """
    stages = resolve(msgspec.structs.replace(job, method="", parameters={}, steps=-1), card).stages
    if stages[-1].name == "bridge" and job.method and not method_named(job.method).first_stage:
        *before, colours, bridge = stages
        stages = (*before, msgspec.structs.replace(colours, steps=colours.steps + bridge.steps))
    return msgspec.structs.replace(job, stages=stages)


def seconds_of_job(job: RefineJob, context: Context, equal: str = "") -> float:
    """What `run_object` will take."""
    return seconds_of_run(fair(job, context, equal), context)


def run_object(job: RefineJob, inputs: Inputs, caption: Caption, context: Context, equal: str = "") -> dict[str, Any]:
    """One run to its asset in memory, and the judge over its views."""
    job = msgspec.structs.replace(fair(job, context, equal), device=context.prior.device.type, preview_every=0)
    began = time.perf_counter()
    result = refine(job, inputs, prior=context.prior, listen=_share_of(context.tell))
    if result.exported is None:
        raise NumericalError("The run ended without an asset.")
    seen = judge_result(judge_of(context), result, VIEWS, card=context.prior.card)
    file = context.file("cells", f"{context.key}.npz")
    keep_pictures(file, torch.from_numpy(seen.pictures[:VIEWS]).permute(0, 3, 1, 2).float() / 255)
    facts = {name: result.facts.get(name) for name in ("recall", "growth", "moved_share", "silhouette_iou")}
    clip = {"clip": _clip_similarity(context, seen, caption)} if context.clip else {}
    return {
        "noun": seen.noun_share,
        "colour": seen.colour_share,
        "view": seen.view_accuracy,
        "back": seen.back_share,
        "false_fronts": seen.false_fronts,
        "iq": seen.inception.iq,
        "iv": seen.inception.iv,
        "similarity": similarity(context, seen.verdict.embedding, caption),
        **clip,
        **facts,
        "rows": result.rows,
        "steps": result.steps_done,
        "seconds": time.perf_counter() - began,
        "file": str(file.relative_to(context.folder)),
    }


def similarity(context: Context, embedding: Tensor, caption: Caption) -> float:
    """Mean cosine between views' embeddings and the mean embedding of real renders from all sides."""
    plain = caption_of(caption.noun, caption.colour, caption.pattern)

    def real() -> Tensor:
        return judge_of(context)(renders([plain], RENDERS_EACH, REAL_SEED, context.prior.image_size_px)).embedding.mean(0)

    centre: Tensor = context.shared(f"real {plain.text}", real)
    return float(torch.nn.functional.cosine_similarity(embedding.float(), centre[None].float()).mean())


def by_seed(results: Sequence[Result], name: str, unit: float = 1.0) -> Spread | None:
    """Mean of a value over the objects of a seed, in units of `unit`, and its spread over seeds; objects without the value are left out."""
    found: dict[int, list[float]] = {}
    for result in results:
        if not result.failure and (number := result.values.get(name)) is not None:
            found.setdefault(result.cell.spec["seed"], []).append(number / unit)
    return spread(math.fsum(values) / len(values) for values in found.values())


def finished(results: Sequence[Result], way: str, of: str) -> tuple[list[Result], str]:
    """Results of the objects that every method has finished, and a sentence on the others, "" for none.

    `way` is what a spec calls its method, `of` what it calls its object, which counts anew with every seed. A method that has finished
    nothing has no say.
    """
    by: dict[tuple[int, str], set[str]] = {}
    for result in results:
        methods = by.setdefault(_object(result, of), set())
        if not result.failure:
            methods.add(result.cell.spec[way])
    every = set().union(*by.values())
    whole = {key for key, methods in by.items() if methods == every}
    counted = [result for result in results if not result.failure and _object(result, of) in whole]
    seeds, total = dict.fromkeys(seed for seed, _ in by), len({(seed, thing) for seed, _ in by for _, thing in by})
    if len(whole) == total:
        return counted, ""
    those = ", ".join(f"{sum(key[0] == seed for key in whole)} of seed {seed}" for seed in seeds)
    return counted, f" {total - len(whole)} of {total} are left out, since not every method has finished them; counted are {those}."


def rows_by(
    results: Sequence[Result], way: str, of: str, titles: Mapping[str, str], measures: Sequence[str]
) -> tuple[list[list[Entry]], str]:
    """Of every method in `titles` that has results: its title, its measures over seeds, what failed. And the sentence of `finished`."""
    counted, left_out = finished(results, way, of)
    rows: list[list[Entry]] = []
    for name, title in titles.items():
        if own := [result for result in results if result.cell.spec[way] == name]:
            same = [result for result in counted if result.cell.spec[way] == name]
            shown = [by_seed(same, "seconds", 60.0) if measure == "minutes" else by_seed(same, measure) for measure in measures]
            rows.append([title, *shown, failures(own)])
    return rows, left_out


def gains(results: Sequence[Result]) -> list[list[Inception]]:
    """IQ, IV and IG of every object, by seed."""
    found: dict[int, list[Inception]] = {}
    for result in results:
        if not result.failure:
            iq, iv = result.values["iq"], result.values["iv"]
            found.setdefault(result.cell.spec["seed"], []).append(Inception(iq, iv, gain(iq, iv)))
    return list(found.values())


def failures(results: Sequence[Result]) -> str:
    """How many failed, and the first one's sentence."""
    failed = [result.failure for result in results if result.failure]
    return f"{len(failed)} failed: {failed[0]}" if failed else ""


def _rows(stages: Sequence[Stage], prior: CountingPrior) -> float:
    return sum(rows_of(stage, prior) for stage in stages)


def _object(result: Result, of: str) -> tuple[int, str]:
    spec = result.cell.spec
    return spec["seed"], str(spec[of])


def _clip_similarity(context: Context, seen: AssetVerdict, caption: Caption) -> float:
    rgb = torch.from_numpy(seen.pictures[:VIEWS]).permute(0, 3, 1, 2).float() / 255
    return float(context.clip_model(rgb, [caption.text] * len(rgb)).mean())


def _share_of(tell: Callable[[float], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            tell(event.fraction)

    return listen
