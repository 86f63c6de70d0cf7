# SPDX-License-Identifier: GPL-3.0-or-later
"""The session: one connection and its jobs, moved on by one tick at a time."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from protocol.events import Event, Link

from . import words
from .feed import Feeds
from .recent_log import RecentLog
from .reduce import reduce
from .rows import LinkView, Row
from .words import say

if TYPE_CHECKING:
    from protocol.messages import Status, Welcome

    from ..ports import JobRecord, Ports, Server

__all__ = ["LinkView", "Row", "Session"]

PUMP_SHARE = 0.5
"""Part of a tick that the client may use."""
ERRORS_IN_A_ROW = 3
HISTORY = 500
NOTES = 20

log = logging.getLogger(__name__)


class Session:
    """Everything the panel shows. `rows`: job id -> Row, oldest first; `earlier`: jobs of earlier sessions that are not in this file.

    `file`: of the open .blend, as far as it was told. `address`: of the server, "" before the first. `removed`: jobs that the artist
    dismissed, of which no more is heard. `history`: (seconds of the clock, job, what happened).
    """

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self.link = LinkView()
        self.welcome: Welcome | None = None
        self.status: Status | None = None
        self.rows: dict[str, Row] = {}
        self.earlier: tuple[JobRecord, ...] = ()
        self.file = ""
        self.address = ""
        self.removed: set[str] = set()
        self.feeds = Feeds()
        self.history: deque[tuple[float, str, str]] = deque(maxlen=HISTORY)
        self.log = RecentLog()
        self._inbox: deque[Event] = deque()
        self._errors = 0
        self._countdown = -1
        self._given_up = False

    @property
    def ready(self) -> bool:
        """The server listens to us."""
        return self.link.link is Link.READY

    def tick(self, deadline_s: float = 0.008) -> bool:
        """Take what the server said, feed the previews, give credit for the next. True if a redraw is wanted. Never raises."""
        try:
            changed = self._step(deadline_s)
        except Exception:  # what failed is lost; the rest goes on with the next tick
            log.exception("A tick failed")
            self._errors += 1
            if self._errors >= ERRORS_IN_A_ROW:
                self._give_up()
            return True
        self._errors = 0
        return changed

    def set_link(self, link: Link, kind: str = "", sentence: str = "", hint: str = "", retry_in_s: float = 0.0) -> None:
        """The connection is so from now on."""
        now = self.ports.clock.now()
        since = self.link.since if link is self.link.link else now
        self.link = LinkView(link, kind, sentence, hint, now + retry_in_s if link is Link.LOST else 0.0, since)
        self.feeds.forget_credit()
        self._given_up = False
        if link in (Link.OFF, Link.REFUSED):
            self.status = None
        self.remember("", f"link {link.value} {kind}".rstrip())

    def use(self, server: Server, address: str) -> None:
        """Talk to this server from now on. What the one before was asked and did not answer is void."""
        self.ports.server = server
        self.address = address
        self._inbox.clear()
        for row in self.rows.values():
            row.held = row.pulling = row.sending = False
            row.wish = ""

    def remember(self, job: str, what: str) -> None:
        """One line of the state history."""
        self.history.append((self.ports.clock.now(), job, what))

    def note(self, sentence: str) -> None:
        """One line for the panel about no job in particular."""
        self.ports.notes.append(sentence)
        del self.ports.notes[:-NOTES]

    def save(self, record: JobRecord) -> None:
        """Keep the record; where the folder refuses, the job goes on and the panel says what is lost."""
        try:
            self.ports.records.save(record)
        except OSError as error:
            log.warning("A record could not be saved", exc_info=True)
            self.note(say(words.NOT_REMEMBERED, name=record.name or say(words.UNTITLED), problem=error.strerror or error))

    def drop(self, job: str) -> None:
        """The job is no longer ours: row, stream and record go; what is still said of it is passed over."""
        self.removed.add(job)
        self.rows.pop(job, None)
        self.feeds.close(job)
        try:
            self.ports.records.remove(job)
        except OSError:  # it is offered again in the next session, and found to be gone
            log.warning("A record could not be removed", exc_info=True)
        self.earlier = tuple(record for record in self.earlier if record.job != job)

    def _step(self, deadline_s: float) -> bool:
        if self._given_up:
            return False
        clock = self.ports.clock
        until = clock.now() + deadline_s
        if not self._inbox:
            self._inbox.extend(self.ports.server.pump(deadline_s * PUMP_SHARE))
        changed = bool(self._inbox)
        while self._inbox:
            reduce(self, self._inbox.popleft())
            if clock.now() >= until:
                break
        return self.feeds.step(self, until) or self._counted() or changed

    def _counted(self) -> bool:
        """Whether the seconds to the next attempt changed."""
        left = int(self.link.retry_at - self.ports.clock.now()) if self.link.retry_at else -1
        changed, self._countdown = left != self._countdown, left
        return changed

    def _give_up(self) -> None:
        self._inbox.clear()
        self._errors = 0
        try:
            self.ports.server.close()
        except Exception:  # the connection is given up either way
            log.exception("Closing failed")
        self.set_link(Link.REFUSED, "internal", say(words.INTERNAL), say(words.LINK_REMEDY["internal"]))
        self._given_up = True
