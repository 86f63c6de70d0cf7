# SPDX-License-Identifier: GPL-3.0-or-later
"""Headless use: tick until a job has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol.errors import ResourceError
from protocol.events import Link

from . import words
from .words import say

if TYPE_CHECKING:
    from .session import Row, Session

TICK_S = 0.02


def run_until_done(session: Session, job: str, deadline_s: float, wait: Callable[[float], None]) -> Row:
    """The row once the job ended and, where it is done, its result is here. `wait(seconds)` is called between ticks (`time.sleep`).

    Errors: ResourceError when the deadline passes, the connection is refused, or the job is not (or no longer) held.
    """
    until = session.ports.clock.now() + deadline_s
    while True:
        session.tick()
        row = session.rows.get(job)
        if row is None:
            raise ResourceError(say(words.NOT_HELD, job=job), say(words.NOT_HELD_HINT))
        if row.ended and (row.phase != "done" or row.asset is not None):
            return row
        if row.faults and not row.pulling and (row.state is None or row.phase == "done"):
            raise ResourceError(row.faults[-1].sentence, row.faults[-1].hint)
        if row.unknown:
            raise ResourceError(say(words.UNKNOWN), say(words.UNKNOWN_HINT))
        if session.link.link is Link.REFUSED:
            raise ResourceError(session.link.sentence, session.link.hint)
        if session.ports.clock.now() >= until:
            raise ResourceError(say(words.TOO_SLOW, seconds=int(deadline_s), state=row.phase or "unsent"), say(words.TOO_SLOW_HINT))
        wait(TICK_S)
