"""How long a run will take, measured on its own prior and pictures before its first step."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import torch

from backend.distill import methods
from backend.distill.contract import Method
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule, bounds
from backend.priors.counting import CountingPrior
from backend.refine.resolve import resolve
from backend.refine.workpiece import Stepper
from protocol.job import RefineJob, Stage

LEVELS = 9  # over which a method's rows are averaged; most do not depend on the level at all
TRAINING_ROWS = 3  # of a critic's lesson: forward and backward


class Cost(NamedTuple):
    """Seconds of one denoiser row, and of one view's picture, encoded and led back."""

    row: float
    view: float


def estimate(asked: RefineJob, stages: Sequence[Stage], prior: CountingPrior, stepper: Stepper, *, begun: bool = False) -> str:
    """A sentence on the time that the stages will take, and all of the preset's where the job scaled its steps.

    `begun`: these are what is left of a run that goes on.
    """
    cost = measure(prior, stepper)
    steps = sum(stage.steps for stage in stages)
    now = in_words(seconds_of(stages, prior, cost))
    if begun:
        return f"What is left of the run, {_counted(steps)}, will take about {now}, and its export some more."
    whole = resolve(msgspec.structs.replace(asked, steps=-1), prior.card).stages if asked.steps >= 0 else stages
    full = sum(stage.steps for stage in whole)
    if full == steps:
        return f"This run of {_counted(steps)} will take about {now}, and its export some more."
    all_of_it = in_words(seconds_of(whole, prior, cost))
    these = "This step" if steps == 1 else f"These {steps} steps"
    return f"{these} will take about {now}; all {full} of the preset would take about {all_of_it}."


def measure(prior: CountingPrior, stepper: Stepper) -> Cost:
    """Two denoiser calls and one picture in the stage of `stepper`; nothing of the run changes and nothing is counted."""
    counts = prior.rows, prior.calls, prior.encode_calls
    views = stepper.stage.views
    condition = prior.embed([""]).expand(views)
    latents = torch.zeros(views, *prior.latent_shape, device=prior.device)
    levels = torch.full((views,), prior.timesteps // 2)
    row = min(_timed(lambda: prior.predict_noise(latents, levels, condition), prior.device) for _ in range(2)) / views
    view = _timed(stepper.rehearse, prior.device) / views
    prior.rows, prior.calls, prior.encode_calls = counts
    return Cost(row, view)


def rows_of(stage: Stage, prior: CountingPrior) -> float:
    """Denoiser rows of a whole stage, a critic's predictions included: exact where rows do not depend on the level, else a mean."""
    method, parameters = methods.method(stage.method), parse_parameters(stage.method, stage.parameters, prior.card)
    schedule = Schedule.of(stage.timesteps.kind, stage.timesteps.low, stage.timesteps.high)
    total, seen = 0.0, 0
    for k in range(LEVELS):
        low, high = bounds(schedule, k * max(0, stage.steps - 1) // (LEVELS - 1), max(1, stage.steps), prior.timesteps)
        for level in {low, (low + high) // 2, high}:
            total, seen = total + method.rows(parameters, level), seen + 1
    return stage.steps * stage.views * total / seen


def lesson_rows(method: Method, parameters: Any) -> int:
    """What the critic's lessons of a step cost, in denoiser rows per view; 0 without a critic."""
    return TRAINING_ROWS * int(parameters.critic_lessons) if method.uses_critic(parameters) else 0


def seconds_of(stages: Sequence[Stage], prior: CountingPrior, cost: Cost) -> float:
    """Seconds of the stages' steps, a critic's lessons included."""
    seconds = 0.0
    for stage in stages:
        method, parameters = methods.method(stage.method), parse_parameters(stage.method, stage.parameters, prior.card)
        views = stage.steps * stage.views
        seconds += (rows_of(stage, prior) + lesson_rows(method, parameters) * views) * cost.row + views * cost.view
    return seconds


def in_words(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _counted(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"


def _timed(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
