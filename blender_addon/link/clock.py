# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the machine."""

import time


class MachineClock:
    """The Clock port."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()
