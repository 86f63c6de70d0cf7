# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews by credit: the newest surface of each job into its preview object, and leave to send the next once that is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from protocol.events import PreviewArrived

    from .session import Session

WANTED_INTERVAL_S = 0.2
APPLY_SHARE = 10.0
"""An apply may take one part in so many of the time."""
MAX_VERTICES = 5_000

MOVING = ("preparing", "running", "finishing")
"""States in which there is something to see."""


@dataclass
class Feed:
    """One stream. `shown`: what was applied last, None where that is not known; `asked`: credit was given and is not used up."""

    waiting: PreviewArrived | None = None
    shown: PreviewArrived | None = None
    asked: bool = False
    next_at: float = 0.0


class Feeds:
    """The streams of all jobs that have a preview."""

    def __init__(self) -> None:
        self.by_job: dict[str, Feed] = {}

    def arrived(self, event: PreviewArrived) -> None:
        """Keep it in place of an older one that was not shown yet."""
        feed = self.by_job.setdefault(event.job, Feed())
        feed.waiting = event
        feed.asked = False

    def close(self, job: str) -> None:
        """No more is shown or asked for."""
        self.by_job.pop(job, None)

    def ask_again(self, job: str) -> None:
        """The credit given may have lapsed with the state of the job; giving it twice does no harm."""
        if feed := self.by_job.get(job):
            feed.asked = False

    def shown_anew(self) -> None:
        """What lies in the preview objects is not known any more: an undo step or a load changed them."""
        for feed in self.by_job.values():
            feed.shown = None

    def forget_credit(self) -> None:
        """A new connection knows of no credit given on the one before it."""
        for feed in self.by_job.values():
            feed.asked = False

    def step(self, session: Session, until: float) -> bool:
        """Apply what waits while there is time (one at least), then give credit. True if a preview changed."""
        due = self._due(session)
        waiting = [job for job, feed in self.by_job.items() if feed.waiting is not None]
        if not (due or waiting) or session.ports.previews.blocked():
            return False
        for job in waiting:
            self._apply(session, job)
            if session.ports.clock.now() >= until:
                break
        for job in self._due(session):
            self.by_job.setdefault(job, Feed()).asked = True
            session.ports.server.grant(job, 1, MAX_VERTICES)
        return bool(waiting)

    def _due(self, session: Session) -> list[str]:
        """Jobs that may be asked for a preview now."""
        if not session.ready:
            return []
        now = session.ports.clock.now()
        due = []
        for job, row in session.rows.items():
            if row.preview and row.phase in MOVING and not row.unknown:
                feed = self.by_job.get(job)
                if feed is None or (feed.waiting is None and not feed.asked and now >= feed.next_at):
                    due.append(job)
        return due

    def _apply(self, session: Session, job: str) -> None:
        feed = self.by_job[job]
        event, feed.waiting = feed.waiting, None
        row = session.rows.get(job)
        if event is None or row is None or not row.preview:
            self.close(job)
            return
        clock = session.ports.clock
        started = clock.now()
        row.preview = False  # stays so where the object is gone or cannot be written
        same = feed.shown is not None and _same_topology(feed.shown, event)
        row.preview = session.ports.previews.update(job, event.vertices, event.faces, event.colours, same)
        if not row.preview:
            self.close(job)
            return
        feed.shown = event
        feed.next_at = clock.now() + max(WANTED_INTERVAL_S, APPLY_SHARE * (clock.now() - started))


def _same_topology(before: PreviewArrived, after: PreviewArrived) -> bool:
    """Against what was applied, which need not be what arrived last."""
    return (
        before.topology == after.topology
        and len(before.vertices) == len(after.vertices)
        and (before.faces is after.faces or np.array_equal(before.faces, after.faces))
    )
