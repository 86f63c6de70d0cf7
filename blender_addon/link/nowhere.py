# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a session that was never connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from protocol.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from protocol.events import Event
    from protocol.job import RefineJob, Steer


class Nowhere:
    """The Server port with nobody behind it: it tells nothing, and every request is a UserError."""

    def connect(self) -> None:
        self._refuse()

    def close(self) -> None:
        """It is closed."""

    def pump(self, deadline_s: float) -> list[Event]:
        return []

    def submit(self, job: str, description: RefineJob, arrays: dict[str, np.ndarray], label: str = "") -> None:
        self._refuse()

    def steer(self, job: str, command: Steer) -> None:
        self._refuse()

    def pause(self, job: str) -> None:
        self._refuse()

    def resume(self, job: str) -> None:
        self._refuse()

    def cancel(self, job: str, how: Literal["discard", "finish"]) -> None:
        self._refuse()

    def forget(self, job: str) -> None:
        self._refuse()

    def attach(self, job: str, last_seq: int = 0, token: str = "") -> None:
        self._refuse()

    def list_jobs(self) -> None:
        self._refuse()

    def grant(self, job: str, previews: int = 1, max_vertices: int = 5_000) -> None:
        self._refuse()

    def pull(self, job: str, names: tuple[str, ...]) -> None:
        self._refuse()

    def release_memory(self) -> None:
        self._refuse()

    def _refuse(self) -> None:
        raise UserError("There is no connection to a server.", "Press Connect.")
