# SPDX-License-Identifier: GPL-3.0-or-later
"""Headless use: tick until a job has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Row, Session


def run_until_done(session: Session, job: str, deadline_s: float, wait: Callable[[float], None]) -> Row:
    """The row once the job ended and, where it is done, its result is here. `wait(seconds)` is called between ticks (`time.sleep`).

    Errors: ResourceError when the deadline passes or the connection is refused.
    """
    raise NotImplementedError
