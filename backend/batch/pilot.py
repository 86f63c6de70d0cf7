"""What a job will cost, from a few steps of every stage of one that is like it, export included."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backend.assets.atomic import write_bytes
from backend.batch.check_job import card_of
from backend.batch.fingerprints import prior_digest
from backend.batch.plan import CHECKPOINT_FILE, PlannedJob
from backend.errors import SketchBridgeError
from protocol.job import RefineJob

if TYPE_CHECKING:
    from backend.priors.contract import Prior
    from backend.refine.inputs import Inputs

PILOTS_FILE = "pilots.json"
STEPS = 3
"""Of every stage."""
TRIED = 3
"""Jobs of one kind, where the first ones fail."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a pilot measured: seconds of one step of every stage and of everything else, megabytes at once, bytes left and held."""

    step_s: tuple[float, ...]
    fixed_s: float
    memory_mib: float
    result_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Of one job: seconds, megabytes of memory at once, bytes of its folder once it is done."""

    seconds: float
    memory_mib: float
    result_bytes: int


Measure = Callable[[RefineJob], Cost]
"""An engine's `gauge`."""


def kind_of(job: RefineJob, device: str) -> str:
    """Jobs of one kind cost alike: one prior, mode, preset, method, size and device. The sketch is not looked at."""
    told = (
        *(prior_digest(job.prior), job.mode, job.preset, job.method, job.parameters, job.canvas, job.stages, job.budget, job.grid),
        *(job.warm_start, bool(job.source_prompt or job.domain), bool(job.sketch), device),
    )
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


def read_pilots(out: Path) -> dict[str, Cost]:
    """Those that were made before in this folder, by kind."""
    try:
        return msgspec.json.decode((out / PILOTS_FILE).read_bytes(), type=dict[str, Cost])
    except (OSError, msgspec.MsgspecError):
        return {}


def make_pilots(
    jobs: Sequence[PlannedJob], device: str, out: Path, measure: Measure, tell: Callable[[int, int], None]
) -> tuple[dict[str, Cost], dict[str, str]]:
    """A cost for every kind among the jobs, measured on `device`; those of an earlier call are read from `out`. Beside them, by id, why
    jobs could not be measured: for each of these the next one of its kind was taken, `TRIED` at most.

    `tell`: pilots made, of how many.
    """
    costs = read_pilots(out)
    wanted: dict[str, list[PlannedJob]] = {}
    for planned in jobs:
        kind = kind_of(planned.job, device)
        if kind not in costs:
            wanted.setdefault(kind, []).append(planned)
    failed: dict[str, str] = {}
    for index, (kind, alike) in enumerate(sorted(wanted.items(), key=lambda item: item[1][0].job.prior)):
        tell(index, len(wanted))
        for planned in alike[:TRIED]:
            try:
                costs[kind] = measure(planned.job)
            except SketchBridgeError as error:
                failed[planned.id] = error.sentence
                continue
            write_bytes(out / PILOTS_FILE, msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")
            break
    tell(len(wanted), len(wanted))
    return costs, failed


def estimates(jobs: Sequence[PlannedJob], device: str, costs: Mapping[str, Cost]) -> dict[str, Estimate]:
    """By job id, of those whose kind was measured."""
    from backend.refine.resolve import resolve

    found = {}
    for planned in jobs:
        cost = costs.get(kind_of(planned.job, device))
        if cost is None:
            continue
        stages = resolve(planned.job, card_of(planned.job.prior)).stages
        seconds = cost.fixed_s + sum(stage.steps * step_s for stage, step_s in zip(stages, cost.step_s, strict=True))
        found[planned.id] = Estimate(seconds, cost.memory_mib, cost.result_bytes)
    return found


class Gauge:
    """Runs pilots on one device, with the prior of the last one still loaded."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._prior: tuple[str, Prior] | None = None

    def __call__(self, job: RefineJob, inputs: "Inputs") -> Cost:
        """Errors: as `refine`."""
        from backend.priors.resolve import resolve_prior  # seconds of imports

        if self._prior is None or self._prior[0] != job.prior:
            self._prior = None
            self._prior = (job.prior, resolve_prior(job.prior, self._device))
        return _pilot(job, inputs, self._device, self._prior[1])


def _pilot(job: RefineJob, inputs: "Inputs", device: str, prior: "Prior") -> Cost:
    import torch

    from backend.batch.peak_memory import PeakMemory
    from backend.refine.report import write_report
    from backend.refine.resolve import resolve
    from backend.refine.run import refine

    peak = PeakMemory(torch.device(device))
    stages = resolve(job, card_of(job.prior)).stages
    few = tuple(msgspec.structs.replace(stage, name=f"stage {k}", steps=min(STEPS, stage.steps)) for k, stage in enumerate(stages))
    short = msgspec.structs.replace(job, stages=few, method="", parameters={}, steps=-1, device=device, preview_every=0)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        result = refine(short, inputs, out=out, prior=prior, keep_checkpoint=True)
        write_report(result, out)
        checkpoint = out / CHECKPOINT_FILE
        held = checkpoint.stat().st_size if checkpoint.is_file() else 0
        left = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) - held
    seconds = dict(result.seconds)
    step_s, first = [], True
    for stage in few:
        spent = seconds.pop(stage.name, 0.0)
        # The first stage times a denoiser call and a picture before it begins, which is about a step.
        step_s.append(spent / (stage.steps + first) if stage.steps else 0.0)
        first = first and not stage.steps
    seconds.pop("load", None)  # once for a worker, not for a job
    return Cost(
        step_s=tuple(step_s),
        fixed_s=sum(seconds.values()),
        memory_mib=round(peak.bytes() / 2**20, 1),
        result_bytes=left,
        checkpoint_bytes=held,
    )
