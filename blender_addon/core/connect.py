# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was typed to an address, and the connection on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import UserError

if TYPE_CHECKING:
    from ..ports import Server
    from .session import Session


def normalise_address(text: str) -> str:
    """The full address ("tcp://127.0.0.1:5577") from a host, host:port or a full address. Errors: UserError saying what is expected."""
    raise NotImplementedError


def is_loopback(address: str) -> bool:
    """Whether a normalised address names this machine."""
    raise NotImplementedError


def may_connect(address: str, online_access: bool, overridden: bool) -> UserError | None:
    """Why this address may not be used while Blender is offline (None = it may). `overridden`: set on the command line."""
    raise NotImplementedError


def connect(session: Session, server: Server | None = None) -> None:
    """Open the connection; with `server`, over that client from now on (another address). What follows is told by the tick."""
    raise NotImplementedError


def disconnect(session: Session) -> None:
    """Close the connection. Jobs go on at the server."""
    raise NotImplementedError
