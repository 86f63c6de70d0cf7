# SPDX-License-Identifier: GPL-3.0-or-later
"""View model of the connection: what the Server panel writes. Reads the session only, fit for `draw`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from protocol.events import Link

from . import words
from .amounts import size
from .words import say

if TYPE_CHECKING:
    from protocol.messages import Device

    from .session import Session

ICONS = {
    Link.OFF: "UNLINKED",
    Link.CONNECTING: "TIME",
    Link.HANDSHAKING: "TIME",
    Link.READY: "LINKED",
    Link.LOST: "ERROR",
    Link.REFUSED: "ERROR",
}
NOTES = 3


@dataclass(frozen=True)
class ServerLine:
    """One line of the Server panel. `level`: "note" or "error"."""

    icon: str
    text: str
    level: str = "note"


def server_lines(session: Session, now: float) -> list[ServerLine]:
    """How the connection and the server are, and what to do about it. `now` in seconds of the session's clock."""
    view = session.link
    lines = [_headline(session)]
    if view.link in (Link.LOST, Link.REFUSED):
        hint = words.pass_on(view.hint) or say(words.LINK_REMEDY.get(view.kind, ""))
        lines += [ServerLine("BLANK1", hint)] if hint else []
        lines += [ServerLine("BLANK1", say(words.RETRY_IN, seconds=max(ceil(view.retry_at - now), 0)))] if view.retry_at else []
        lines += [ServerLine("BLANK1", say(words.JOBS_GO_ON))] if _unfinished(session) and view.link is Link.LOST else []
    if view.link is Link.OFF:
        lines.append(ServerLine("BLANK1", say(words.LINK_REMEDY["off"])))
    if session.ready and session.status:
        lines += [line for device in session.status.devices for line in _device(session, device)]
        if session.status.running or session.status.queued:
            lines.append(ServerLine("BLANK1", say(words.QUEUE, running=session.status.running, queued=session.status.queued)))
    return lines + [ServerLine("INFO", words.pass_on(note)) for note in session.ports.notes[-NOTES:]]


def _headline(session: Session) -> ServerLine:
    view = session.link
    bad = view.link in (Link.LOST, Link.REFUSED)
    server = session.welcome.server if session.welcome else ""
    text = (words.pass_on(view.sentence) if bad else "") or say(words.LINK[view.link.value], server=server)
    return ServerLine(ICONS[view.link], text, "error" if bad else "note")


def _device(session: Session, device: Device) -> list[ServerLine]:
    title = device.title or device.name
    pattern = {"idle": words.DEVICE_IDLE, "busy": words.DEVICE_BUSY, "starting": words.DEVICE_STARTING, "lost": words.DEVICE_LOST}[
        device.state
    ]
    if device.state == "busy" and device.job in session.rows:
        pattern = words.DEVICE_OURS
    lines = [ServerLine("BLANK1", say(pattern, device=title), "error" if device.state == "lost" else "note")]
    if device.memory_total:
        memory = say(words.DEVICE_MEMORY, device=title, free=size(device.memory_free), total=size(device.memory_total))
        lines.append(ServerLine("BLANK1", memory))
    return lines


def _unfinished(session: Session) -> bool:
    return any(row.state is not None and not row.ended for row in session.rows.values())
