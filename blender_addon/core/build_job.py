# SPDX-License-Identifier: GPL-3.0-or-later
"""From the panel's settings to the job description. Nothing else may add to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from protocol.job import RefineJob

if TYPE_CHECKING:
    from protocol.messages import Welcome

    from ..ports import Sketch


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
    """The complete description of the run. Errors: UserError naming the setting that the server does not take."""
    raise NotImplementedError
