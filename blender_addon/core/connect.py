# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was typed to an address, and the connection on and off."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from protocol.errors import UserError
from protocol.events import Link
from protocol.version import DEFAULT_PORT

from . import words
from .adopt import match
from .words import say

if TYPE_CHECKING:
    from ..ports import Server
    from .session import Session

ADDRESS = re.compile(r"(?:tcp://)?(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<host>[a-z0-9._-]+))(?::(?P<port>[0-9]+))?/?")


def normalise_address(text: str) -> str:
    """The full address ("tcp://127.0.0.1:5577") from a host, host:port or a full address. Errors: UserError saying what is expected.

    "localhost" becomes 127.0.0.1, where the server listens; an IPv6 address stands in brackets.
    """
    typed = text.strip().lower()
    if not typed:
        raise UserError(say(words.ADDRESS_EMPTY), say(words.ADDRESS_HINT))
    if _is_ip(typed) and ":" in typed:
        typed = f"[{typed}]"
    found = ADDRESS.fullmatch(typed)
    if not found or (found["six"] and not _is_ip(found["six"])):
        raise UserError(say(words.ADDRESS_WRONG, text=text.strip()), say(words.ADDRESS_HINT))
    port = int(found["port"] or DEFAULT_PORT)
    if not 1 <= port <= 65535:
        raise UserError(say(words.ADDRESS_PORT, text=text.strip()), say(words.ADDRESS_HINT))
    host = f"[{found['six']}]" if found["six"] else found["host"]
    return f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether a normalised address names this machine."""
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def may_connect(address: str, online_access: bool, overridden: bool) -> UserError | None:
    """Why this address may not be used while Blender is offline (None = it may). `overridden`: set on the command line."""
    if online_access or is_loopback(address):
        return None
    if overridden:
        return UserError(say(words.OFFLINE_FIXED), say(words.OFFLINE_FIXED_HINT))
    return UserError(say(words.OFFLINE), say(words.OFFLINE_HINT))


def connect(session: Session, server: Server | None = None, address: str = "") -> None:
    """Open the connection; with `server`, over that client at `address` from now on. What follows is told by the tick.

    Jobs of this file that an earlier session left are looked for in the records, and attached once the server answers.
    """
    if server is not None:
        session.ports.server.close()
        session.use(server, address)
    elif session.link.link in (Link.CONNECTING, Link.HANDSHAKING, Link.READY):
        return
    session.set_link(Link.CONNECTING)
    match(session, session.file)
    session.ports.server.connect()


def disconnect(session: Session) -> None:
    """Close the connection. Jobs go on at the server."""
    session.ports.server.close()
    session.set_link(Link.OFF)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
