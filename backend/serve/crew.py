"""What the dispatcher needs of those around it: workers that take orders, and somebody who looks on."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from backend.serve.orders import Shown
from backend.serve.workers import Worker


class Crew(Protocol):
    """Workers, wherever they are: `Workers` are processes on this machine."""

    def __iter__(self) -> Iterator[Worker]: ...

    def lost(self, now: float) -> Iterator[Worker]:
        """Workers that are gone since this was last asked; each is replaced after a while."""
        ...

    def end(self, worker: Worker) -> None:
        """End it now, whatever it does."""
        ...


class Audience(Protocol):
    """Who is told how jobs go: `Clients` are those connected to a server."""

    def touch(self, job: str, owner: str) -> None:
        """The job has moved on."""
        ...

    def show(self, job: str, preview: Shown, arrays: dict[str, np.ndarray]) -> None:
        """A preview of the job has come."""
        ...

    def hide(self, job: str) -> None:
        """The job's previews are over for now."""
        ...

    def wanted_vertices(self, job: str) -> int:
        """The largest preview of the job that anybody wants, 0 for none."""
        ...
