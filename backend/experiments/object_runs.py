"""Whole runs on objects, as a person would start them, judged over 24 views: what table2, janus and sketch-to-real share."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from backend.errors import NumericalError
from backend.evaluate.asset import AssetVerdict, judge_result
from backend.evaluate.metrics import Inception, gain
from backend.experiments.captions import REAL_SEED, Caption, caption_of, renders
from backend.experiments.contract import Context, Result, Spread
from backend.experiments.judged import judge_of, keep_pictures
from backend.experiments.report import spread
from backend.experiments.shape_runs import seconds_of_run
from backend.priors.counting import CountingPrior
from backend.refine.estimate import rows_of
from backend.refine.events import Event, Progress
from backend.refine.inputs import Inputs
from backend.refine.resolve import resolve
from backend.refine.run import refine
from protocol.job import RefineJob

CHEAP_ROWS = 4.0  # denoiser rows a view and step; methods above get fewer steps, so that all have the same rows
RENDERS_EACH = 16
VIEWS = 24


def fair(job: RefineJob, context: Context, equal: str = "") -> RefineJob:
    """The job with as many steps as it should get beside SDS.

    That is the whole preset's number, or `job.steps`, for a cheap method; a costly one gets as many as have the denoiser rows that SDS
    has in these. `equal` "rows" or "steps" decides for all methods alike.
    """
    card = context.prior.card
    plain = msgspec.structs.replace(job, method="", parameters={})
    total = job.steps if job.steps >= 0 else sum(stage.steps for stage in resolve(plain, card).stages)
    asked = msgspec.structs.replace(job, steps=total)
    mine, sds = rows_of_job(asked, context), rows_of_job(msgspec.structs.replace(asked, method="sds", parameters={}), context)
    by_rows = equal == "rows" or (equal == "" and mine > CHEAP_ROWS / 2 * sds)
    return msgspec.structs.replace(asked, steps=max(1, round(total * sds / mine))) if by_rows else asked


def rows_of_job(job: RefineJob, context: Context) -> float:
    """Denoiser rows of a whole job, as estimated."""
    prior = CountingPrior(context.prior)
    return sum(rows_of(stage, prior) for stage in resolve(job, prior.card).stages)


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


def _clip_similarity(context: Context, seen: AssetVerdict, caption: Caption) -> float:
    from backend.evaluate.clip_similarity import load_clip

    model = context.shared("clip", lambda: load_clip(context.clip, context.prior.device))
    rgb = torch.from_numpy(seen.pictures[:VIEWS]).permute(0, 3, 1, 2).float() / 255
    return float(model(rgb, [caption.text] * len(rgb)).mean())


def _share_of(tell: Callable[[float], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            tell(event.fraction)

    return listen
