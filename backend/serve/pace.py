"""How fast a run goes and when it will end, from its last minute rather than from its start."""

from collections import deque

WINDOW_S = 60.0
SHORTEST_S = 1.0


class Pace:
    """Steps per second and the seconds left; None while unknown. A steered run has more before it and is measured anew."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, float]] = deque()  # seconds, step, fraction

    def at(self, now: float, step: int, fraction: float) -> tuple[float | None, float | None]:
        """(rate, eta_s) at a moment: seconds of any clock that only goes forward, steps made, share of the work done 0..1."""
        if self._seen and (fraction < self._seen[-1][2] or step < self._seen[-1][1]):
            self._seen.clear()
        self._seen.append((now, step, fraction))
        while now - self._seen[0][0] > WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        before, first_step, first_fraction = self._seen[0]
        passed = now - before
        if passed < SHORTEST_S:
            return None, None
        rate = (step - first_step) / passed if step > first_step else None
        eta_s = (1 - fraction) * passed / (fraction - first_fraction) if fraction > first_fraction else None
        return rate, eta_s
