# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest log lines in memory, for Copy Report."""

from __future__ import annotations

import logging
from collections import deque

LINES = 50


class RecentLog(logging.Handler):
    """A handler that keeps the last lines; `lines` oldest first. Who adds it to a logger takes it away again."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.extend(self.format(record).splitlines())
