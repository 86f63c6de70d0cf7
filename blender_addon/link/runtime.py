# SPDX-License-Identifier: GPL-3.0-or-later
"""One session with everything that lives as long as Blender: token, records, log, client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.session import Session

if TYPE_CHECKING:
    from ..ports import PreviewHost, SketchReader, VersionHost


def open_session(folder: Path, reader: SketchReader, previews: PreviewHost, versions: VersionHost) -> Session:
    """A session that is off. Opens nothing: files below `folder` are made when there is something to write."""
    raise NotImplementedError


def dial(session: Session, address: str, name: str) -> None:
    """Connect to a normalised address with a new client; `name` is how the server calls this one in its log."""
    raise NotImplementedError


def close_session(session: Session) -> None:
    """Everything shut: sockets and log handlers. For unregister."""
    raise NotImplementedError
