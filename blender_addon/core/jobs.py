# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a job that runs or ran."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from protocol.errors import UserError
from protocol.job import Steer

from . import words
from .accept import why_no_result
from .build_job import check_prompt
from .reduce import fetch
from .words import say

if TYPE_CHECKING:
    from .rows import Row
    from .session import Session

VERBS = ("pause", "resume", "stop", "finish", "steer", "accept", "retry", "preview", "remove", "report")
OFFLINE_VERBS = ("accept", "preview", "remove", "report")
"""Verbs that need no connection. What is removed meanwhile is forgotten at the server as soon as it is back."""


def why_not(session: Session, job: str, verb: str) -> str:
    """Why this cannot be asked now, for `poll_message_set`; "" if it can. Reads state only, fit for `poll`. `verb`: one of `VERBS`.

    "preview" stands for showing and hiding, whichever is possible.
    """
    row = session.rows.get(job)
    if row is None:
        return say(words.WHY["no_job"])
    if verb not in OFFLINE_VERBS:
        if not session.ready:
            return say(words.WHY["not_ready"])
        if row.unknown:
            return say(words.WHY["unknown"])
        if row.wish == verb:
            return say(words.WHY["wished"])
    reason = REASONS[verb](row)
    return say(words.WHY[reason]) if reason else ""


def pause(session: Session, job: str) -> None:
    """Ask the server to hold the job. Errors here and below: UserError with the reason of `why_not`."""
    _wish(session, job, "pause").wish = "pause"
    session.ports.server.pause(job)


def resume(session: Session, job: str) -> None:
    """Let a paused job go on."""
    _wish(session, job, "resume").wish = "resume"
    session.ports.server.resume(job)


def stop(session: Session, job: str, how: Literal["finish", "discard"]) -> None:
    """End a job: "finish" exports what exists, "discard" keeps nothing. The preview stays until the job is dismissed."""
    verb = "finish" if how == "finish" else "stop"
    _wish(session, job, verb).wish = verb
    session.ports.server.cancel(job, how)


def steer(session: Session, job: str, prompt: str) -> None:
    """Change the prompt of a run under way."""
    check_prompt(prompt, session.welcome)
    row = _wish(session, job, "steer")
    row.wish, row.asked_prompt = "steer", prompt.strip()
    session.ports.server.steer(job, Steer(prompt=row.asked_prompt))


def retry(session: Session, job: str) -> None:
    """Run a failed job again from its last checkpoint; of a finished one whose result did not arrive, fetch that again."""
    row = _wish(session, job, "retry")
    row.faults.clear()
    if row.phase == "done":
        fetch(session, job)
        return
    row.wish = "retry"
    session.ports.server.resume(job)


def remove(session: Session, job: str) -> None:
    """Dismiss an ended job: forgotten at the server, preview and record gone. Called by an undoable operator."""
    row = _wish(session, job, "remove")
    session.ports.previews.remove(job)
    if session.ready and row.ended and not row.unknown:
        session.ports.server.forget(job)
    row.dismissed = True
    session.drop(job)


def show_preview(session: Session, job: str) -> None:
    """Bring back a preview that was taken away (by undo, or by `hide_preview`). Called by an undoable operator."""
    row = _wish(session, job, "preview")
    if row.preview or row.record is None:
        raise UserError(say(words.WHY["has_preview"]))
    session.ports.previews.show(row.record)
    session.feeds.close(job)
    row.preview = True


def hide_preview(session: Session, job: str) -> None:
    """Take the preview away and show the sources; the job goes on. Called by an undoable operator."""
    row = _wish(session, job, "preview")
    if not row.preview:
        raise UserError(say(words.WHY["no_preview"]))
    row.preview = False
    session.feeds.close(job)
    session.ports.previews.remove(job)


def release_memory(session: Session) -> None:
    """Ask idle workers to give their weights back. Errors: UserError while there is no connection."""
    if not session.ready:
        raise UserError(say(words.NOT_READY), say(words.NOT_READY_HINT))
    session.ports.server.release_memory()


def _wish(session: Session, job: str, verb: str) -> Row:
    reason = why_not(session, job, verb)
    if reason:
        raise UserError(reason)
    return session.rows[job]


def _why_not_pause(row: Row) -> str:
    return "" if row.phase in ("queued", "preparing", "running") else "ended" if row.ended else "not_running"


def _why_not_resume(row: Row) -> str:
    return "" if row.phase == "paused" else "not_paused"


def _why_not_stop(row: Row) -> str:
    return "ended" if row.ended or row.refused else ""


def _why_not_finish(row: Row) -> str:
    if row.ended:
        return "ended"
    if row.phase == "finishing":
        return "finishing"
    return "" if row.phase in ("running", "paused") and row.state and row.state.step else "not_begun"


def _why_not_steer(row: Row) -> str:
    return "" if row.phase in ("queued", "preparing", "running", "paused") else "ended" if row.ended else "not_steerable"


def _why_not_retry(row: Row) -> str:
    if row.phase == "done":
        return "not_failed" if row.asset else "fetching" if row.pulling else ""
    if row.phase != "failed":
        return "not_failed"
    return "" if row.state and row.state.fault and row.state.fault.retryable else "not_retryable"


def _why_not_remove(row: Row) -> str:
    return "" if row.ended or row.unknown or row.refused else "not_ended"


def _why_not_preview(row: Row) -> str:
    if row.preview:
        return ""
    return "ended" if row.ended or row.refused else "no_record" if row.record is None else ""


REASONS: dict[str, Callable[[Row], str]] = {
    "pause": _why_not_pause,
    "resume": _why_not_resume,
    "stop": _why_not_stop,
    "finish": _why_not_finish,
    "steer": _why_not_steer,
    "accept": why_no_result,
    "retry": _why_not_retry,
    "preview": _why_not_preview,
    "remove": _why_not_remove,
    "report": lambda row: "",
}
