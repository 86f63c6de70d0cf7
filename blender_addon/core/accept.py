# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a result, and go back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocol.errors import UserError

from ..ports import JobRecord
from . import words
from .build_job import IDENTITY
from .words import say

if TYPE_CHECKING:
    from ..ports import Accepted
    from .rows import Row
    from .session import Session


def why_no_result(row: Row) -> str:
    """Why there is nothing to accept yet, as a key of `words.WHY`; "" if there is."""
    if row.phase != "done":
        return "no_result" if row.ended else "not_done"
    if row.asset is None:
        return "fetching" if row.pulling else "no_result"
    arrays, files = row.asset.arrays, row.asset.files
    texture = row.state is not None and row.state.mode == "texture"
    whole = "base_colour.png" in files if texture else {"vertices", "faces"} <= arrays.keys()
    return "" if whole else "half"


def why_not_accept(session: Session, job: str) -> str:
    """Why there is nothing to accept now; "" if there is. Reads state only. What was accepted may be accepted again, after undo."""
    row = session.rows.get(job)
    reason = "no_job" if row is None else why_no_result(row)
    return say(words.WHY[reason]) if reason else session.ports.previews.blocked()


def accept(session: Session, job: str) -> Accepted:
    """Put the result into the scene and take the preview away. Called by an undoable operator. Errors: UserError with the reason.

    The record stays until the job is removed, so that a file closed without saving still finds its result.
    """
    reason = why_not_accept(session, job)
    if reason:
        raise UserError(reason)
    row = session.rows[job]
    record = _as_steered(row.record, row) if row.record is not None else _stand_in(job, row)
    if row.asset is None:
        raise UserError(say(words.WHY["no_result"]))
    accepted = session.ports.versions.accept(record, row.asset)
    session.ports.previews.remove(job)
    session.feeds.close(job)
    row.preview = False
    row.accepted = True
    row.object_name = accepted.object_name
    session.remember(job, "accepted")
    return accepted


def revert(session: Session, uid: str, index: int) -> None:
    """Show an older version of the object again. Called by an undoable operator. Errors: UserError."""
    blocked = session.ports.previews.blocked()
    if blocked:
        raise UserError(blocked)
    if not session.ports.versions.knows(uid):
        raise UserError(say(words.NO_OBJECT), say(words.NO_OBJECT_HINT))
    if not 0 <= index < len(session.ports.versions.versions(uid)):
        raise UserError(say(words.NO_VERSION), say(words.NO_VERSION_HINT))
    session.ports.versions.revert(uid, index)


def _as_steered(record: JobRecord, row: Row) -> JobRecord:
    """The record with the prompt that the run followed last."""
    return replace(record, prompt=row.state.prompt) if row.state is not None and row.state.prompt else record


def _stand_in(job: str, row: Row) -> JobRecord:
    """For a job without a record: a new object at the world origin, in the domain's size."""
    state = row.state
    mode, prompt = (state.mode, state.prompt) if state else ("sketch", "")
    return JobRecord(job=job, token="", name=row.name or say(words.UNTITLED), mode=mode, prompt=prompt, to_world=IDENTITY)
