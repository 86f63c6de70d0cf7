# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs across files: let go before a load, found again after it, taken over from an earlier session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import UserError

from . import words
from .reduce import attach
from .rows import Row
from .words import say

if TYPE_CHECKING:
    from ..ports import JobRecord
    from .session import Session


def let_go(session: Session) -> None:
    """Before a file is loaded: previews are detached, jobs kept."""
    for job, row in session.rows.items():
        session.feeds.close(job)
        row.preview = row.here = row.accepted = False


def match(session: Session, file: str = "") -> tuple[str, ...]:
    """After a file was loaded: jobs whose objects are in it (or, without objects, that began in `file`) are attached; their ids."""
    session.file = file
    uids = set(session.ports.versions.uids())
    found = []
    records = session.ports.records.all()
    for record in records:
        if record.job not in session.removed and _belongs(record, uids, file):
            found.append(record.job)
            _hold(session, record)
            session.rows[record.job].here = True
    session.earlier = tuple(record for record in reversed(records) if record.job not in session.rows and record.job not in session.removed)
    after_undo(session)
    return tuple(found)


def others(session: Session) -> tuple[JobRecord, ...]:
    """Jobs of earlier sessions that belong to other files, newest first. Reads state only, fit for `draw`."""
    return session.earlier


def adopt(session: Session, job: str) -> None:
    """Take over a job of an earlier session. Errors: UserError where no record of it is left."""
    record = next((record for record in session.earlier if record.job == job), None)
    if record is None:
        raise UserError(say(words.NO_LONGER_KEPT), say(words.NO_LONGER_KEPT_HINT))
    session.earlier = tuple(one for one in session.earlier if one.job != job)
    _hold(session, record)


def after_undo(session: Session) -> None:
    """After undo, redo or a load: the rows follow what the scene now holds.

    A preview that came back is fed again, one that went is not; one of a job that nobody holds is taken away, and its sources shown.
    """
    shown = set(session.ports.previews.jobs())
    for job in shown - session.rows.keys():
        session.ports.previews.remove(job)
    versions = session.ports.versions
    accepted = {version.job for uid in versions.uids() for version in versions.versions(uid)}
    for job, row in session.rows.items():
        row.preview = job in shown
        row.accepted = job in accepted
        if not row.preview:
            session.feeds.close(job)
    session.feeds.shown_anew()


def _hold(session: Session, record: JobRecord) -> None:
    if record.job in session.rows:
        return
    session.rows[record.job] = Row(record=record, adopting=record.token != session.ports.token)
    if session.ready:
        attach(session, record.job)


def _belongs(record: JobRecord, uids: set[str], file: str) -> bool:
    objects = {record.target, *record.sources} - {""}
    return bool(objects & uids) if objects else bool(file) and record.file == file
