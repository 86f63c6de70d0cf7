# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs across files: let go before a load, found again after it, taken over from an earlier session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ports import JobRecord
    from .session import Session


def let_go(session: Session) -> None:
    """Before a file is loaded: previews are detached, jobs kept."""
    raise NotImplementedError


def match(session: Session, file: str = "") -> tuple[str, ...]:
    """After a file was loaded: jobs whose objects are in it (or, without objects, that began in `file`) are attached; their ids."""
    raise NotImplementedError


def others(session: Session) -> tuple[JobRecord, ...]:
    """Jobs of earlier sessions that belong to other files, newest first. Reads state only, fit for `draw`."""
    raise NotImplementedError


def adopt(session: Session, job: str) -> None:
    """Take over a job of an earlier session. Errors: UserError where no record of it is left."""
    raise NotImplementedError
