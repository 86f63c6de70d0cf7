"""From a job to the job that is run: every default filled in, every name checked, before anything heavy starts."""

import math

import msgspec

from backend.distill.methods import method as method_named
from backend.distill.read_parameters import parse_parameters
from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.refine.presets import stages_of
from protocol.job import RefineJob, Stage


def resolve(job: RefineJob, card: PriorCard) -> RefineJob:
    """The job with its stages written out, methods and parameters checked, and step counts scaled.

    What a stage leaves open of its method's parameters comes from the card at run time. Resolving twice changes nothing.

    Errors: UserError for an empty prompt, an unknown preset, method or parameter, for parameters of a method nobody runs, and for
    what the mode cannot do.
    """
    if not job.prompt.strip():
        raise UserError("The prompt is empty.", "Say in a few words what the sketch is.")
    if not math.isfinite(job.front_deg):
        raise UserError(f"The front is turned by {job.front_deg} degrees, which is not a number.", "Give degrees from -Y.")
    if job.keep and job.mode != "sketch":
        raise UserError(f"Mode '{job.mode}' cannot keep parts as they are.", "Leave the keep mask out, or use mode sketch.")
    stages = job.stages or stages_of(job.preset, job.mode, card)
    if job.method:
        stages = _with_method(stages, job)
    elif job.parameters:
        raise UserError("Parameters were given without a method.", "Name the method they belong to.")
    for stage in stages:
        parse_parameters(stage.method, stage.parameters)
        if job.mode == "texture" and stage.optimise == "geometry":
            raise UserError(f"Stage '{stage.name}' moves the shape, which mode 'texture' leaves alone.", "Let it optimise colour.")
    if job.steps >= 0:
        stages = _scaled(stages, job.steps)
    return msgspec.structs.replace(job, stages=stages, method="", parameters={}, steps=-1)


def _with_method(stages: tuple[Stage, ...], job: RefineJob) -> tuple[Stage, ...]:
    """Every stage judged by the named method; one that needs another before it ("sds" before Bridge) takes the last stages only."""
    method = method_named(job.method)
    parse_parameters(job.method, job.parameters)
    chosen = []
    for stage in stages:
        if stage.method == job.method:
            chosen.append(msgspec.structs.replace(stage, parameters={**stage.parameters, **job.parameters}))
        elif method.first_stage and stage.method == method.first_stage:
            chosen.append(stage)
        elif stage.method == "sds" or method.first_stage == "":
            if stage.name == "bridge" and job.method == "sds":
                continue
            chosen.append(msgspec.structs.replace(stage, method=job.method, parameters=dict(job.parameters)))
    if job.method not in {stage.method for stage in chosen}:
        last = stages[-1]
        chosen.append(msgspec.structs.replace(last, name=job.method, method=job.method, parameters=dict(job.parameters)))
    return tuple(chosen)


def _scaled(stages: tuple[Stage, ...], total: int) -> tuple[Stage, ...]:
    """The stages with their steps scaled to sum to `total`; the last one takes the rounding."""
    whole = sum(stage.steps for stage in stages)
    if whole == 0:
        return stages
    counts = [stage.steps * total // whole for stage in stages]
    counts[-1] += total - sum(counts)
    return tuple(msgspec.structs.replace(stage, steps=count) for stage, count in zip(stages, counts, strict=True))
