# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows, prepared by the timer so that drawing only reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bpy
from bpy.app.translations import pgettext_iface as say

from protocol.events import Link

from ..core import adopt
from ..core.lines import JobLine, job_lines
from ..core.server_lines import ServerLine, server_lines
from ..props import offer
from ..props.row import match_rows
from ..props.settings import settings_of
from .outlook import outlook

if TYPE_CHECKING:
    from ..core.session import Session
    from ..link.local_server import LocalState
    from ..ports import Version

HEADLINES = {
    Link.OFF: ("UNLINKED", "Off"),
    Link.CONNECTING: ("SORTTIME", "Connecting"),
    Link.HANDSHAKING: ("SORTTIME", "Connecting"),
    Link.READY: ("CHECKMARK", "Ready"),
    Link.LOST: ("ERROR", "Connection Lost"),
    Link.REFUSED: ("CANCEL", "Not Connected"),
}
NO_LOG = "See the log: Open Log in the Server panel"


@dataclass(frozen=True)
class Shown:
    """Words and icons of every panel. `sketch` is what would be sent, `example` a prompt that the image model knows."""

    headline: tuple[str, str] = HEADLINES[Link.OFF]
    link: Link = Link.OFF
    server: tuple[ServerLine, ...] = ()
    local: str = "off"
    jobs: tuple[JobLine, ...] = ()
    accepted: frozenset[str] = frozenset()
    earlier: int = 0
    sketch: tuple[ServerLine, ...] = ()
    example: str = ""
    versions: tuple[Version, ...] = ()


now = Shown()


def forget() -> None:
    """Nothing is known: for unregister."""
    global now
    now = Shown()


def prepare(session: Session | None, local: LocalState) -> bool:
    """Read everything anew; True if something differs from what is shown."""
    global now
    before = now
    view_layer, scene = _shown_layer()
    active = view_layer.objects.active
    settings = settings_of(active, scene)
    if not bpy.context.window_manager.is_interface_locked:
        if settings.id_data.library is None:
            settings.match_parameters()
        _match_rows(session)
    fresh = Shown(local=local.state, sketch=outlook(view_layer, settings), example=_example(settings.prior))
    if session is not None:
        fresh = _with_session(fresh, session, active)
    now = _with_local(fresh, local)
    return now != before


def _shown_layer() -> tuple[bpy.types.ViewLayer, bpy.types.Scene]:
    """View layer and scene of the first window; a timer has none of its own."""
    windows = bpy.context.window_manager.windows
    if windows:
        return windows[0].view_layer, windows[0].scene
    return bpy.context.view_layer, bpy.context.scene


def _match_rows(session: Session | None) -> None:
    rows = session.rows if session is not None else {}
    prompts = {}
    for job, row in rows.items():
        record = row.record.prompt if row.record is not None else ""
        prompts[job] = (row.state.prompt if row.state is not None else "") or record
    match_rows(bpy.context.window_manager.sketchbridge_rows, prompts)


def _with_session(fresh: Shown, session: Session, active: bpy.types.Object | None) -> Shown:
    clock = session.ports.clock.now()
    uid = active.get("sketchbridge_uid", "") if active is not None else ""
    return replace(
        fresh,
        headline=HEADLINES[session.link.link],
        link=session.link.link,
        server=tuple(server_lines(session, clock)),
        jobs=tuple(job_lines(session, clock)),
        accepted=frozenset(job for job, row in session.rows.items() if row.accepted),
        earlier=len(adopt.others(session)),
        versions=session.ports.versions.versions(uid) if uid else (),
    )


def _with_local(fresh: Shown, local: LocalState) -> Shown:
    """A server started here that is not up yet, or has ended, takes the headline."""
    if local.state == "starting":
        line = ServerLine("SORTTIME", say("Starting the server on this machine"))
        return replace(fresh, headline=("SORTTIME", "Starting"), server=(line,))
    if local.state == "ended" and fresh.link is not Link.READY:
        last = local.lines[-1] if local.lines else say(NO_LOG)
        lines = (ServerLine("ERROR", say("The server on this machine has ended"), "error"), ServerLine("BLANK1", last))
        return replace(fresh, headline=("ERROR", "Server Ended"), server=lines)
    return fresh


def _example(prior: str) -> str:
    """One or two prompts that the image model knows, such as "a red mug"; "" while it is not known."""
    info = offer.prior(prior)
    if info is None:
        return ""
    made = tuple(f"a {colour} {noun}" for colour, noun in zip(info.colours[:2], info.nouns[:2], strict=False))
    return ", ".join(info.example_prompts[:2] or made)
