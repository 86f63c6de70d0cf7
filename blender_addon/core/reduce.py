# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the client into rows. The server is the truth: a row changes because it said so, and ends only where it said so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from protocol.events import (
    Event,
    Faulted,
    JobChanged,
    JobsListed,
    Link,
    LinkChanged,
    PreviewArrived,
    Pulling,
    RemarkArrived,
    ResultArrived,
    StatusChanged,
    Uploading,
)
from protocol.messages import ENDED, Fault, JobState

from ..ports import Asset
from . import words
from .rows import Row
from .words import say

if TYPE_CHECKING:
    from .session import Session

WANTED = ("vertices", "faces", "loop_uv", "base_colour.png", "normal.png")
"""What is fetched of a finished job."""

REMARKS = 200
FAULTS = 20

CARRIED_OUT = {
    "pause": ("paused", *ENDED),
    "stop": ENDED,
    "finish": ("finishing", *ENDED),
}
"""The states in which a wish is fulfilled."""
UNDONE_BY = {"resume": ("paused",), "retry": ("failed",)}
"""The states that a wish leaves."""


def reduce(session: Session, event: Event) -> None:
    """Take one event. Events may come in any order, twice, and for jobs that were removed."""
    HANDLERS[type(event)](session, event)


def attach(session: Session, job: str) -> None:
    """Ask the server for a job, with the token of its record where that is an older one. The client keeps hold of it from then on."""
    row = session.rows[job]
    token = row.record.token if row.record and row.record.token != session.ports.token else ""
    row.adopting = bool(token)
    row.held = True
    session.ports.server.attach(job, row.state.last_seq if row.state else 0, token)


def _link(session: Session, event: LinkChanged) -> None:
    session.set_link(event.link, event.kind, event.sentence, event.hint, event.retry_in_s)
    if event.link is not Link.READY:
        return
    if event.welcome is not None:
        session.welcome = event.welcome
        session.status = event.welcome.status
    session.ports.server.list_jobs()
    for job, row in session.rows.items():
        if not row.held:
            attach(session, job)


def _status(session: Session, event: StatusChanged) -> None:
    session.status = event.status


def _listed(session: Session, event: JobsListed) -> None:
    for state in reversed(event.jobs):
        if state.job in session.removed:
            if state.state in ENDED and session.ready:
                session.ports.server.forget(state.job)
            continue
        _job(session, JobChanged(state))
    listed = {state.job for state in event.jobs}
    for job, row in session.rows.items():
        overlooked = row.state is not None and job not in listed and not (row.adopting or row.unknown)
        if session.ready and (overlooked or not row.held):
            attach(session, job)  # a list may be cut short: the answer to this decides


def _job(session: Session, event: JobChanged) -> None:
    state = event.state
    if not state.job or state.job in session.removed:
        return
    row = session.rows.get(state.job)
    if row is None:
        row = session.rows[state.job] = Row()
    old = row.state
    if old is not None and row.ended and state.state not in ENDED and state.last_seq < old.last_seq:
        return  # progress that the end has overtaken
    row.state = state
    row.heard_at = session.ports.clock.now()
    row.unknown = False
    if row.adopting:
        _adopted(session, row)
    if old is None or old.state != state.state:
        _turned(session, row, old, state)
    if _fulfilled(row.wish, old, state):
        row.wish = ""
    if row.ended or state.prompt == row.asked_prompt:
        row.asked_prompt = ""
    if state.state == "done":
        fetch(session, state.job)


def fetch(session: Session, job: str) -> None:
    """Ask for the result of a finished job, where it is not here or on its way already."""
    row = session.rows[job]
    if row.state is None or row.asset is not None or row.pulling or not session.ready:
        return
    there = {artefact.name for artefact in row.state.results}
    names = tuple(name for name in WANTED if name in there)
    if names:
        row.pulling = True
        session.ports.server.pull(job, names)


def _turned(session: Session, row: Row, old: JobState | None, state: JobState) -> None:
    session.remember(state.job, f"{old.state if old else 'new'} -> {state.state} {state.fault.code if state.fault else ''}".rstrip())
    row.faults.clear()
    session.feeds.ask_again(state.job)
    if state.state != "uploading":
        row.uploaded, row.sending = None, False
    if old is not None and old.state in ENDED:
        row.asset, row.pulled, row.pulling = None, None, False  # it runs again: the result will be another


def _fulfilled(wish: str, old: JobState | None, state: JobState) -> bool:
    if wish == "steer":
        return state.state in ENDED or (old is not None and state.last_command > old.last_command)
    if wish in UNDONE_BY:
        return state.state not in UNDONE_BY[wish]
    return state.state in CARRIED_OUT.get(wish, ())


def _adopted(session: Session, row: Row) -> None:
    """The job belongs to this session's token now: the record says so before anything else is asked."""
    row.adopting = False
    if row.record is not None:
        row.record = replace(row.record, token=session.ports.token, server=session.address)
        session.save(row.record)
    session.note(say(words.RETURNED, name=row.name or say(words.UNTITLED)))


def _uploading(session: Session, event: Uploading) -> None:
    if row := session.rows.get(event.job):
        row.uploaded = (event.sent, event.total)


def _preview(session: Session, event: PreviewArrived) -> None:
    row = session.rows.get(event.job)
    if row and row.preview:
        session.feeds.arrived(event)


def _remark(session: Session, event: RemarkArrived) -> None:
    row = session.rows.get(event.job)
    if row and event.remark not in row.remarks:
        row.remarks.append(event.remark)
        del row.remarks[:-REMARKS]


def _pulling(session: Session, event: Pulling) -> None:
    if row := session.rows.get(event.job):
        row.pulled = (event.received, event.total)


def _result(session: Session, event: ResultArrived) -> None:
    if row := session.rows.get(event.job):
        row.asset = Asset(dict(event.arrays), dict(event.files))
        row.pulled, row.pulling = None, False


def _faulted(session: Session, event: Faulted) -> None:
    fault = event.fault
    session.remember(event.job, f"fault {fault.code}")
    if event.job in session.removed:
        return
    row = session.rows.get(event.job)
    if row is None:
        session.note(f"{fault.sentence} {fault.hint}".strip())
    elif fault.code == "unknown_job":
        _not_known(session, event.job, row)
    else:
        _add_fault(row, fault)


def _not_known(session: Session, job: str, row: Row) -> None:
    row.held = False
    elsewhere = row.record is not None and row.record.server not in ("", session.address)
    if not row.adopting or elsewhere:
        row.unknown, row.wish, row.pulling = True, "", False
        return
    session.ports.previews.remove(job)
    session.drop(job)
    session.note(say(words.FORGOTTEN, name=row.name or say(words.UNTITLED)))


def _add_fault(row: Row, fault: Fault) -> None:
    row.wish, row.asked_prompt, row.pulling = "", "", False
    if fault not in row.faults:
        row.faults.append(fault)
        del row.faults[:-FAULTS]


HANDLERS: dict[type, Callable[[Session, Any], None]] = {
    LinkChanged: _link,
    StatusChanged: _status,
    JobsListed: _listed,
    JobChanged: _job,
    Uploading: _uploading,
    PreviewArrived: _preview,
    RemarkArrived: _remark,
    Pulling: _pulling,
    ResultArrived: _result,
    Faulted: _faulted,
}
