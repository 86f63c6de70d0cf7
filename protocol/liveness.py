"""How long a client waits: for signs of life, and before it tries again."""

import random

from protocol.version import PING_S

LOST_S = 3 * PING_S
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0
JITTER = 0.25
"""Largest share that chance adds to a delay, so that many clients do not come back at once."""


class Silence:
    """Seconds without a sign of life, as far as somebody was listening: a caller that was away for long counts as one interval."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked_at: float | None = None

    def look(self, now: float) -> None:
        if self._looked_at is not None:
            self.seconds += min(max(now - self._looked_at, 0.0), PING_S)
        self._looked_at = now

    def broken(self) -> None:
        """Something was heard."""
        self.seconds = 0.0


class Retry:
    """Delays that double from 0.5 s to 30 s, plus chance."""

    def __init__(self) -> None:
        self._next_s = FIRST_RETRY_S

    def delay_s(self) -> float:
        delay = self._next_s
        self._next_s = min(2 * self._next_s, LONGEST_RETRY_S)
        return delay * (1 + JITTER * random.random())

    def reset(self) -> None:
        self._next_s = FIRST_RETRY_S
