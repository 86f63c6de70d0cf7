# SPDX-License-Identifier: GPL-3.0-or-later
"""View models: what the panel writes, words included. Reads the session only, fit for `draw`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class JobLine:
    """One job as the panel shows it. `fraction` None: no bar. `buttons`: the verbs that are possible now."""

    job: str
    icon: str
    title: str
    text: str
    fraction: float | None = None
    eta_text: str = ""
    place_text: str = ""
    detail: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""
    buttons: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ServerLine:
    """One line of the Server panel. `level`: "note" or "error"."""

    icon: str
    text: str
    level: str = "note"


def server_lines(session: Session, now: float) -> list[ServerLine]:
    """How the connection and the server are, and what to do about it."""
    raise NotImplementedError


def job_lines(session: Session, now: float) -> list[JobLine]:
    """Every job that was not dismissed, newest first."""
    raise NotImplementedError
