"""From a job to the job that is run: every default filled in, every name checked, before anything heavy starts."""

import math

import msgspec

from backend.distill.methods import METHODS
from backend.distill.methods import method as method_named
from backend.distill.prompts import check_source
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule
from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.refine.image_checks import check_stages
from backend.refine.image_jobs import fill_in
from backend.refine.presets import SCHEDULE_KINDS, stages_of
from protocol.job import RefineJob, Stage
from protocol.strict import nearest

REGULARISERS = ("laplacian", "normal", "sign", "eikonal", "smooth")
"""Of surfaces and of the haze."""


def resolve(job: RefineJob, card: PriorCard) -> RefineJob:
    """The job with its stages written out, methods and parameters checked, and step counts scaled.

    What a stage leaves open of its method's parameters comes from the card at run time. Resolving twice changes nothing.

    Errors: UserError for an empty prompt, an unknown preset, method or parameter, for parameters of a method nobody runs, and for
    what the mode cannot do (`image_jobs`).
    """
    job = fill_in(job)
    if not job.prompt.strip():
        raise UserError("The prompt is empty.", "Say in a few words what it is.")
    check_source(job.source_prompt, job.domain)
    if not math.isfinite(job.front_deg):
        raise UserError(f"The front is turned by {job.front_deg} degrees, which is not a number.", "Give degrees from -Y.")
    if job.keep and job.mode != "sketch":
        raise UserError(f"Mode '{job.mode}' cannot keep parts as they are.", "Leave the keep mask out, or use mode sketch.")
    stages = job.stages or stages_of(job.preset, job.mode, card, job.canvas)
    if job.method:
        stages = _with_method(stages, job)
    elif job.parameters:
        raise UserError("Parameters were given without a method.", "Name the method they belong to.")
    for stage in stages:
        parse_parameters(stage.method, stage.parameters)
        Schedule.of(stage.timesteps.kind, stage.timesteps.low, stage.timesteps.high)
        if stage.clamp is not None and not all(0.0 < bound < math.inf for bound in stage.clamp):
            raise UserError(
                f"Stage '{stage.name}' clamps the gradient to {list(stage.clamp)}, which should be two numbers above 0.",
                "Write for example [1.0, 0.1], or leave clamp out.",
            )
        for name in stage.regularisers:
            if name not in REGULARISERS:
                raise UserError(f"Stage '{stage.name}' has no regulariser '{name}'.", nearest(name, list(REGULARISERS)))
        if not math.isfinite(stage.image_loss):
            raise UserError(f"Stage '{stage.name}' weighs its loss on pictures by {stage.image_loss}.", "Give a number from 0 to 1000.")
        if stage.image_loss > 0.0 and not method_named(stage.method).gives_clean:
            able = ", ".join(name for name, method in METHODS.items() if method.gives_clean)
            raise UserError(
                f"Stage '{stage.name}' asks for a loss on pictures, and the method '{stage.method}' has no clean estimate for it.",
                f"Use one of {able}, or leave image_loss out.",
            )
        if job.mode == "texture" and stage.optimise == "geometry":
            raise UserError(f"Stage '{stage.name}' moves the shape, which mode 'texture' leaves alone.", "Let it optimise colour.")
    check_stages(job, stages)
    if job.steps >= 0:
        stages = _scaled(stages, job.steps)
    return msgspec.structs.replace(job, stages=stages, method="", parameters={}, steps=-1)


def _with_method(stages: tuple[Stage, ...], job: RefineJob) -> tuple[Stage, ...]:
    """Every stage judged by the named method, at its own kind of noise levels.

    A method that needs another before it ("sds" before Bridge) takes the last stages only, unless it starts from something that words
    describe (`source_prompt`, `domain`): then it edits that from the first step on.
    """
    method = method_named(job.method)
    parse_parameters(job.method, job.parameters)
    first = "" if job.source_prompt or job.domain else method.first_stage
    chosen = []
    for stage in stages:
        if stage.method == job.method:
            chosen.append(msgspec.structs.replace(stage, parameters={**stage.parameters, **job.parameters}))
        elif first and stage.method == first:
            chosen.append(stage)
        elif stage.name == "bridge" and job.method == "sds":
            continue
        else:
            chosen.append(_judged_by(job.method, stage, job))
    if job.method not in {stage.method for stage in chosen}:
        chosen.append(msgspec.structs.replace(_judged_by(job.method, stages[-1], job), name=job.method))
    return tuple(chosen)


def _judged_by(method: str, stage: Stage, job: RefineJob) -> Stage:
    kind = SCHEDULE_KINDS.get(method, stage.timesteps.kind)
    timesteps = msgspec.structs.replace(stage.timesteps, kind=kind)
    return msgspec.structs.replace(stage, method=method, parameters=dict(job.parameters), timesteps=timesteps)


def _scaled(stages: tuple[Stage, ...], total: int) -> tuple[Stage, ...]:
    """The stages with their steps scaled to sum to `total`; the last one takes the rounding."""
    whole = sum(stage.steps for stage in stages)
    if whole == 0:
        return stages
    counts = [stage.steps * total // whole for stage in stages]
    counts[-1] += total - sum(counts)
    return tuple(msgspec.structs.replace(stage, steps=count) for stage, count in zip(stages, counts, strict=True))
