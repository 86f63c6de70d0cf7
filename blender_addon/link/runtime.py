# SPDX-License-Identifier: GPL-3.0-or-later
"""One session with everything that lives as long as Blender: token, records, log, client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocol.client import Client

from ..core.connect import connect, disconnect
from ..core.session import Session
from ..ports import Ports
from .clock import MachineClock
from .log_file import close_log, open_log
from .nowhere import Nowhere
from .records import FileRecords
from .token import new_token

if TYPE_CHECKING:
    from ..ports import PreviewHost, SketchReader, VersionHost


def open_session(folder: Path, reader: SketchReader, previews: PreviewHost, versions: VersionHost) -> Session:
    """A session that is off. Opens nothing: files below `folder` are made when there is something to write."""
    ports = Ports(
        server=Nowhere(),
        reader=reader,
        previews=previews,
        versions=versions,
        records=FileRecords(folder / "jobs"),
        clock=MachineClock(),
        token=new_token(),
    )
    session = Session(ports)
    open_log(folder, session.log)
    return session


def dial(session: Session, address: str, name: str) -> None:
    """Connect to a normalised address; `name` is how the server calls this client in its log.

    The client of the same address is used again, as it still holds what was not sent.
    """
    if session.address == address:
        connect(session)
    else:
        connect(session, Client(address, session.ports.token, name), address)


def close_session(session: Session) -> None:
    """Everything shut: sockets and log handlers. For unregister."""
    disconnect(session)
    close_log()
