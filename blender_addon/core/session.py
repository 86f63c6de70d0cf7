# SPDX-License-Identifier: GPL-3.0-or-later
"""The session: one connection and its jobs, moved on by one tick at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rows import LinkView, Row

if TYPE_CHECKING:
    from protocol.messages import Status, Welcome

    from ..ports import JobRecord, Ports

__all__ = ["LinkView", "Row", "Session"]


class Session:
    """Everything the panel shows. `rows`: job id -> Row, oldest first; `earlier`: jobs of earlier sessions that are not in this file."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self.link = LinkView()
        self.welcome: Welcome | None = None
        self.status: Status | None = None
        self.rows: dict[str, Row] = {}
        self.earlier: tuple[JobRecord, ...] = ()

    def tick(self, deadline_s: float = 0.008) -> bool:
        """Take what the server said, feed the previews, give credit for the next. True if a redraw is wanted. Never raises."""
        raise NotImplementedError
