# SPDX-License-Identifier: GPL-3.0-or-later
"""From the panel's settings to the job description. Nothing else may add to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from protocol.errors import UserError
from protocol.job import Budget, RefineJob, job_from
from protocol.messages import Limits

from . import words
from .amounts import size
from .choices import parameters
from .words import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.messages import Choice, MethodCard, Parameter, PriorInfo, Welcome

    from ..ports import Sketch

IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Settings:
    """What the artist chose. Empty `method`: as the preset says; `steps` -1: the preset's own numbers; `keep_group`: read by the reader."""

    mode: Literal["sketch", "prompt", "texture"] = "sketch"
    prompt: str = ""
    preset: str = "default"
    method: str = ""
    parameters: dict[str, float | int | bool | str] = field(default_factory=dict)
    prior: str = "starter"
    seed: int = 0
    slack: float = 0.25
    steps: int = -1
    symmetric: bool = False
    front_deg: float = 0.0
    faces: int = 20_000
    texture_px: int = 1024
    keep_group: str = ""


def build_job(settings: Settings, sketch: Sketch, welcome: Welcome | None) -> RefineJob:
    """The complete description of the run. Errors: UserError naming the setting or the array that the server does not take.

    Without `welcome` nothing is compared with the server's offer. The placement is the identity: arrays travel in the domain.
    """
    check_prompt(settings.prompt, welcome)
    _check_arrays(settings.mode, sketch, welcome)
    if welcome is not None:
        _check_offer(settings, welcome)
        _check_parameters(settings, welcome)
        _check_budget(settings, welcome.limits)
    job = RefineJob(
        prompt=settings.prompt.strip(),
        mode=settings.mode,
        preset=settings.preset,
        method=settings.method,
        parameters=dict(settings.parameters),
        steps=settings.steps,
        prior=settings.prior,
        seed=settings.seed,
        slack=settings.slack,
        symmetric=settings.symmetric,
        front_deg=settings.front_deg,
        budget=Budget(faces=settings.faces, texture_px=settings.texture_px),
        placement=IDENTITY,
    )
    return job_from(msgspec.to_builtins(job))  # the server checks ranges in the same way: better to hear of it before sending


def check_prompt(prompt: str, welcome: Welcome | None) -> None:
    """Nothing, where the server takes this prompt. Errors: UserError."""
    count = len(prompt.strip())
    if not count:
        raise UserError(say(words.PROMPT_EMPTY), say(words.PROMPT_EMPTY_HINT))
    limit = (welcome.limits if welcome else Limits()).prompt_characters
    if count > limit:
        raise UserError(say(words.PROMPT_LONG, count=count, limit=limit), say(words.PROMPT_LONG_HINT))


def _check_arrays(mode: str, sketch: Sketch, welcome: Welcome | None) -> None:
    limits = welcome.limits if welcome else Limits()
    empty = any(array.size == 0 for array in sketch.arrays.values())
    if empty or (mode != "prompt" and "vertices" not in sketch.arrays):
        raise UserError(say(words.SKETCH_EMPTY), say(words.SKETCH_EMPTY_HINT))
    faces = len(sketch.arrays.get("faces", sketch.arrays.get("polygon_start", ())))
    if faces > limits.faces:
        raise UserError(say(words.SKETCH_FACES, count=faces, limit=limits.faces), say(words.SKETCH_HINT))
    total = sum(array.nbytes for array in sketch.arrays.values())
    if total > limits.upload_bytes:
        raise UserError(say(words.SKETCH_BYTES, size=size(total), limit=size(limits.upload_bytes)), say(words.SKETCH_HINT))


def _check_offer(settings: Settings, welcome: Welcome) -> None:
    offers: tuple[tuple[str, str, Iterable[Choice | MethodCard | PriorInfo], str], ...] = (
        ("mode", settings.mode, welcome.modes, words.MODE_HINT),
        ("preset", settings.preset, welcome.presets, words.NOT_OFFERED_HINT),
        ("method", settings.method, welcome.methods, words.NOT_OFFERED_HINT),
        ("prior", settings.prior, welcome.priors, words.NOT_OFFERED_HINT),
    )
    for what, chosen, offered, hint in offers:
        if chosen not in {one.name for one in offered} and not (what == "method" and not chosen):
            raise UserError(say(words.NOT_OFFERED, what=say(words.WHAT[what]), name=chosen), say(hint))


def _check_parameters(settings: Settings, welcome: Welcome) -> None:
    known = {parameter.name: parameter for parameter in parameters(welcome, settings.method)}
    for name, value in settings.parameters.items():
        if name not in known:
            raise UserError(say(words.PARAMETER_UNKNOWN, method=settings.method, name=name), say(words.PARAMETER_UNKNOWN_HINT))
        _check_value(known[name], value)


def _check_value(parameter: Parameter, value: float | int | bool | str) -> None:
    name = parameter.title or parameter.name
    if parameter.choices and value not in parameter.choices:
        raise UserError(say(words.PARAMETER_CHOICE, name=name, value=value), say(words.PARAMETER_RANGE_HINT))
    if isinstance(value, (bool, str)):
        return
    low, high = parameter.minimum, parameter.maximum
    if not (low is None or value >= low) or not (high is None or value <= high):
        sentence = say(words.PARAMETER_RANGE, name=name, value=value, low="-" if low is None else low, high="-" if high is None else high)
        raise UserError(sentence, say(words.PARAMETER_RANGE_HINT))


def _check_budget(settings: Settings, limits: Limits) -> None:
    if settings.faces > limits.faces:
        raise UserError(say(words.FACES_MANY, count=settings.faces, limit=limits.faces), say(words.SMALLER_HINT))
    if settings.texture_px > limits.texture_px:
        raise UserError(say(words.TEXTURE_LARGE, count=settings.texture_px, limit=limits.texture_px), say(words.SMALLER_HINT))
