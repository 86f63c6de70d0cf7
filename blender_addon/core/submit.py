# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a sketch to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from protocol.errors import UserError
from protocol.job import encode_job

from ..ports import JobRecord
from . import words
from .build_job import build_job
from .first_preview import sketched
from .rows import Row
from .words import say

if TYPE_CHECKING:
    from ..ports import Sketch
    from .build_job import Settings
    from .session import Session

LABEL_CHARACTERS = 128


def submit(session: Session, sketch: Sketch, settings: Settings, file: str) -> str:
    """The new job's id. Its record is saved before anything is sent, its preview is shown. Errors: UserError; nothing was sent then."""
    if not session.ready:
        raise UserError(say(words.NOT_READY), say(words.NOT_READY_HINT))
    description = build_job(settings, sketch, session.welcome)
    job = uuid4().hex
    ports = session.ports
    record = JobRecord(
        job=job,
        token=ports.token,
        name=sketch.name,
        mode=settings.mode,
        prompt=description.prompt,
        to_world=sketch.to_world,
        target=sketch.target,
        sources=sketch.sources,
        settings=encode_job(description).decode(),
        file=file,
        submitted_at=ports.clock.wall(),
        server=session.address,
    )
    _remember(session, record)
    session.file = file
    session.rows[job] = Row(record=record, here=True, preview=True, held=True, sending=True, heard_at=ports.clock.now())
    try:
        ports.previews.show(record, sketched(sketch.arrays))
        ports.server.submit(job, description, sketch.arrays, sketch.name[:LABEL_CHARACTERS])
    except Exception:
        ports.previews.remove(job)
        session.drop(job)
        raise
    session.remember(job, "submitted")
    return job


def _remember(session: Session, record: JobRecord) -> None:
    try:
        session.ports.records.save(record)
    except OSError as error:
        problem = error.strerror or error
        raise UserError(say(words.RECORD_FAILED, problem=problem), say(words.RECORD_FAILED_HINT)) from error
