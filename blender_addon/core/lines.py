# SPDX-License-Identifier: GPL-3.0-or-later
"""View models of the jobs: what the panel writes, words included. Reads the session only, fit for `draw`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import words
from .amounts import age, remaining, size
from .jobs import VERBS, why_not
from .server_lines import ServerLine, server_lines
from .words import say

if TYPE_CHECKING:
    from protocol.messages import JobState

    from .rows import Row
    from .session import Session

__all__ = ["JobLine", "ServerLine", "job_lines", "server_lines"]

STEPS_FOR_ETA = 10
SILENT_S = 5.0
"""An older word of the server on a job that runs is shown with its age."""
REMARKS = 3
PROMPT_CHARACTERS = 60

ICONS = {
    "": "QUESTION",
    "uploading": "EXPORT",
    "queued": "TIME",
    "preparing": "PLAY",
    "running": "PLAY",
    "paused": "PAUSE",
    "finishing": "PLAY",
    "done": "CHECKMARK",
    "failed": "ERROR",
    "cancelled": "CANCEL",
}


@dataclass(frozen=True)
class JobLine:
    """One job as the panel shows it. `fraction` None: no bar. `buttons`: the verbs that are possible now.

    `preview`: its preview is in the scene, so the verb "preview" hides it.
    """

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
    preview: bool = False


def job_lines(session: Session, now: float) -> list[JobLine]:
    """Every job that was not dismissed, newest first. `now` in seconds of the session's clock."""
    return [_line(session, job, row, now) for job, row in reversed(session.rows.items()) if not row.dismissed]


def _line(session: Session, job: str, row: Row, now: float) -> JobLine:
    error, hint = _error(row)
    return JobLine(
        job=job,
        icon="ERROR" if error else ICONS[row.phase],
        title=_title(row),
        text=_text(session, row),
        fraction=_fraction(row),
        eta_text=_eta(session, row, now),
        place_text=_place(row),
        detail=_detail(session, row, now),
        error=error,
        hint=hint,
        buttons=frozenset(verb for verb in VERBS if not why_not(session, job, verb)),
        preview=row.preview,
    )


def _title(row: Row) -> str:
    name = row.name or say(words.UNTITLED)
    prompt = (row.state.prompt if row.state else "") or (row.record.prompt if row.record else "")
    if prompt in ("", name):
        return _short(name)
    return say(words.TITLE, name=name, prompt=_short(prompt))


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT_CHARACTERS else f"{prompt[: PROMPT_CHARACTERS - 1].rstrip()}…"


def _text(session: Session, row: Row) -> str:
    """One sentence: what happens with the job."""
    state = row.state
    if row.unknown:
        return say(words.UNKNOWN)
    if row.wish:
        return say(words.WISH[row.wish])
    if state is None:
        return _unsent(session, row)
    if state.state == "uploading":
        return _unsent(session, row)
    if state.state == "queued":
        return _place(row)
    if state.state == "done":
        return _done(row)
    if state.state in ("preparing", "running", "finishing"):
        return _phase(state)
    return say(words.STATE[state.state])


def _unsent(session: Session, row: Row) -> str:
    if row.refused or row.cut_short:
        return say(words.NOT_TAKEN)
    if row.state is None and (row.adopting or not row.held):
        return say(words.FINDING if session.ready else words.FIND_LATER)
    if row.uploaded and row.uploaded[1]:
        return say(words.SENDING, sent=size(row.uploaded[0]), total=size(row.uploaded[1]))
    return say(words.NOT_SENT)


def _done(row: Row) -> str:
    if row.accepted:
        return say(words.ACCEPTED_HERE, name=row.object_name) if row.object_name else say(words.ACCEPTED)
    if row.asset is not None:
        return say(words.READY_TO_ACCEPT)
    if row.pulled and row.pulled[1]:
        return say(words.PULLING, received=size(row.pulled[0]), total=size(row.pulled[1]))
    return say(words.PULL_STARTS if row.pulling else words.STATE["done"])


def _phase(state: JobState) -> str:
    if not state.phase:
        return say(words.STATE[state.state])
    known = words.PHASE.get(state.phase)
    phase = say(known) if known else say(words.OWN_PHASE, phase=state.phase)
    if state.state == "running" and state.steps:
        return say(words.RUNNING_PHASE, phase=phase, step=state.step, steps=state.steps)
    return phase


def _place(row: Row) -> str:
    if row.phase != "queued" or row.state is None:
        return ""
    if row.state.place == 0:
        return say(words.NEXT)
    return say(words.BEFORE_ONE) if row.state.place == 1 else say(words.BEFORE, place=row.state.place)


def _fraction(row: Row) -> float | None:
    state = row.state
    if row.unknown or (state is not None and state.state in ("queued", "failed", "cancelled")):
        return None
    if state is None or state.state == "uploading":
        return _share(row.uploaded)
    if state.state == "done":
        return None if row.asset is not None else _share(row.pulled)
    return min(max(state.fraction, 0.0), 1.0)


def _share(amount: tuple[int, int] | None) -> float | None:
    return min(amount[0] / amount[1], 1.0) if amount and amount[1] else None


def _eta(session: Session, row: Row, now: float) -> str:
    """Time left, counted down since the server told it; "" while it is a guess or nothing moves."""
    state = row.state
    if state is None or state.eta_s is None or row.wish or row.unknown or not session.ready:
        return ""
    if state.state not in ("running", "finishing") or state.step < STEPS_FOR_ETA:
        return ""
    return remaining(max(state.eta_s - (now - row.heard_at), 0.0))


def _error(row: Row) -> tuple[str, str]:
    """Sentence and hint of what went wrong, translated where they are known."""
    if row.unknown:
        return say(words.UNKNOWN), say(words.UNKNOWN_HINT)
    if row.cut_short:
        return say(words.CUT_SHORT), say(words.CUT_SHORT_HINT)
    fault = row.state.fault if row.state and row.phase == "failed" else None
    fault = fault or (row.faults[-1] if row.faults else None)
    if fault is not None:
        return words.pass_on(fault.sentence), words.pass_on(fault.hint)
    return (say(words.DIED), say(words.DIED_HINT)) if row.phase == "failed" else ("", "")


def _detail(session: Session, row: Row, now: float) -> tuple[str, ...]:
    """What else there is to know, most useful first."""
    found = [*_what_to_do(row), *_where(session, row)]
    state = row.state
    if state is not None:
        found += [say(words.ATTEMPT, attempt=state.attempt)] if state.attempt > 1 and not row.ended else []
        quiet = now - row.heard_at
        if quiet > SILENT_S and not row.ended and (not session.ready or state.state in ("preparing", "running", "finishing")):
            found.append(say(words.LAST_HEARD, age=age(quiet)))
    for remark in row.remarks[-REMARKS:]:
        text = words.pass_on(remark.text)
        found.append(say(words.WARNING, text=text) if remark.level == "warning" else text)
    return tuple(dict.fromkeys(found))


def _what_to_do(row: Row) -> list[str]:
    steered = [say(words.STEERED, prompt=_short(row.asked_prompt))] if row.asked_prompt else []
    if row.phase == "done" and row.asset is not None and not row.accepted:
        return [say(words.KEEP_NOTE if row.preview else words.ACCEPT_NOTE)]
    if row.phase in ("failed", "cancelled") and row.preview:
        return [say(words.PREVIEW_STAYS)]
    if row.phase == "paused":
        return [*steered, say(words.PAUSED_NOTE)]
    if steered:
        return steered
    if row.phase in ("running", "finishing") and not row.preview and row.record is not None:
        return [say(words.NO_PREVIEW)]
    return []


def _where(session: Session, row: Row) -> list[str]:
    if row.record is None:
        return [say(words.NO_RECORD)]
    found = [] if row.here else [say(words.OTHER_FILE)]
    if row.state is not None and row.state.device and not row.ended:
        devices = session.status.devices if session.status else ()
        title = next((device.title for device in devices if device.name == row.state.device), "")
        found.append(say(words.ON_DEVICE, device=title or row.state.device))
    return found
