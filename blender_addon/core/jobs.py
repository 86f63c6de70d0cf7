# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a job that runs or ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .session import Session

Verb = Literal["pause", "resume", "stop", "finish", "steer", "remove", "retry", "accept", "preview", "report"]


def why_not(session: Session, job: str, verb: str) -> str:
    """Why this cannot be asked now, for `poll_message_set`; "" if it can. Reads state only, fit for `poll`."""
    raise NotImplementedError


def pause(session: Session, job: str) -> None:
    """Ask the server to hold the job. Errors here and below: UserError with the reason of `why_not`."""
    raise NotImplementedError


def resume(session: Session, job: str) -> None:
    """Let a paused job go on."""
    raise NotImplementedError


def stop(session: Session, job: str, how: Literal["finish", "discard"]) -> None:
    """End a job: "finish" exports what exists, "discard" keeps nothing. The preview stays until the job is dismissed."""
    raise NotImplementedError


def steer(session: Session, job: str, prompt: str) -> None:
    """Change the prompt of a run under way."""
    raise NotImplementedError


def retry(session: Session, job: str) -> None:
    """Run a failed job again from its last checkpoint."""
    raise NotImplementedError


def remove(session: Session, job: str) -> None:
    """Dismiss an ended job: forgotten at the server, preview and record gone. Called by an undoable operator."""
    raise NotImplementedError


def show_preview(session: Session, job: str) -> None:
    """Bring back a preview that was taken away (by undo, or by `hide_preview`). Called by an undoable operator."""
    raise NotImplementedError


def hide_preview(session: Session, job: str) -> None:
    """Take the preview away and show the sources; the job goes on. Called by an undoable operator."""
    raise NotImplementedError


def release_memory(session: Session) -> None:
    """Ask idle workers to give their weights back. Errors: UserError while there is no connection."""
    raise NotImplementedError
