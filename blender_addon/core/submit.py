# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a sketch to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ports import Sketch
    from .build_job import Settings
    from .session import Session


def submit(session: Session, sketch: Sketch, settings: Settings, file: str) -> str:
    """The new job's id. Its record is saved before anything is sent, its preview is shown. Errors: UserError; nothing was sent then."""
    raise NotImplementedError
