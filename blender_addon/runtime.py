# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives as long as Blender: the session, a server started here, the one timer, the handlers. Held in Python only."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from protocol.errors import SketchBridgeError
from protocol.events import Link
from protocol.messages import ENDED

from .core import adopt, connect
from .core.session import Session
from .host.identity import part_duplicates
from .host.preview import BlenderPreviews
from .host.sketch import BlenderSketchReader
from .host.versions import BlenderVersions
from .link.local_server import LocalServer, LocalState
from .link.runtime import close_session, dial, open_session
from .props import offer
from .props.preferences import ROOT, preferences
from .ui import shown

log = logging.getLogger(__name__)

BUSY_S, IDLE_S = 0.05, 0.5
REDRAW_S = 0.1
TICK_S = 0.008
QUIET_S = 1.0
"""So long after the last news the timer stays at its quick pace."""


RESTING = (*ENDED, "paused", "queued")
"""States in which nothing is heard of a run unless something happens."""


class _State:
    """Everything that changes; one object, so that it can be replaced whole."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.local: LocalServer | None = None
        self.local_state = LocalState("off")
        self.dialled_local = ""
        self.auto = False
        self.stale = True
        self.news_at = 0.0
        self.drawn_at = 0.0
        self.failures = 0
        self.undone = False


_state = _State()


def folder() -> Path:
    """The user folder of the extension: log, records of jobs, log of a server started here."""
    if ROOT.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(ROOT, create=True))
    return Path(bpy.utils.user_resource("CONFIG", path="sketchbridge", create=True))


def present() -> Session | None:
    """The session if there is one. Reads only, fit for `poll`."""
    return _state.session


def session() -> Session:
    """The session, made at the first call. Opens no connection."""
    if _state.session is None:
        use(open_session(folder(), BlenderSketchReader(), BlenderPreviews(), BlenderVersions()))
    return _state.session


def use(session: Session) -> None:
    """Work with this session from now on."""
    _state.session = session
    wake()


def open_link(address: str = "") -> None:
    """Connect to the address, or to that of the preferences. Errors: UserError where it may not be used."""
    address = connect.normalise_address(address or preferences().address)
    refusal = connect.may_connect(address, bpy.app.online_access, bpy.app.online_access_override)
    if refusal is not None:
        raise refusal
    dial(session(), address, f"Blender {bpy.app.version_string}")
    wake()


def start_local() -> None:
    """Start a server on this machine; the tick connects once it is up. Errors: UserError where the command cannot be started."""
    local = LocalServer(preferences().command, folder())
    local.start()
    _state.local, _state.local_state, _state.dialled_local = local, local.poll(), ""
    wake()


def stop_local() -> None:
    """Ask the server started here to end, and let go of the connection to it."""
    if _state.local is not None:
        _state.local.stop()
        _state.local_state = _state.local.poll()
    if _state.session is not None and _state.dialled_local:
        connect.disconnect(_state.session)
    wake()


def local_state() -> LocalState:
    """How the server started here was at the last tick. Reads only, fit for `poll`."""
    return _state.local_state


def wake() -> None:
    """Something changed: prepare the panel soon, and go on ticking while there is a reason to."""
    _state.stale = True
    _state.news_at = time.monotonic()
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    bpy.app.timers.register(tick, first_interval=BUSY_S, persistent=True)


def tick() -> float | None:
    """Move everything on by one step; the seconds until the next one, None to stop. Never raises."""
    try:
        _advance()
        _state.failures = 0
    except Exception:
        # One bad tick must not end the timer. What is lost is this tick's drawing; the session goes on by itself.
        _state.failures += 1
        if _state.failures <= 3:
            log.exception("A tick failed.")
    return _interval()


def _advance() -> None:
    now = time.monotonic()
    if _state.auto:
        _state.auto = False
        _connect_on_start()
    _follow_local()
    if _state.undone and _state.session is not None:
        _state.undone = False
        adopt.after_undo(_state.session)
    if _state.session is not None and _state.session.tick(TICK_S):
        _state.stale, _state.news_at = True, now
    idle = now - _state.drawn_at >= IDLE_S
    if not (idle or (_state.stale and now - _state.drawn_at >= REDRAW_S)):
        return
    _state.stale, _state.drawn_at = False, now
    offer.take(_state.session.welcome if _state.session is not None else None)
    if shown.prepare(_state.session, local_state()):
        redraw()


def _connect_on_start() -> None:
    try:
        if preferences().auto_connect:
            open_link()
    except SketchBridgeError as error:
        log.warning("Not connected on start: %s", error)


def _follow_local() -> None:
    """Connect once the server started here is up."""
    if _state.local is None:
        return
    state = _state.local_state = _state.local.poll()
    if state.state == "up" and state.address != _state.dialled_local:
        _state.dialled_local = state.address
        open_link(state.address)


def _interval() -> float | None:
    session, now = _state.session, time.monotonic()
    off = session is None or session.link.link is Link.OFF
    if off and not _state.stale and local_state().state not in ("starting", "up"):
        return None
    return BUSY_S if _state.stale or now - _state.news_at < QUIET_S or _traffic(session) else IDLE_S


def _traffic(session: Session | None) -> bool:
    """Whether something is expected within the second."""
    if session is None or session.link.link in (Link.OFF, Link.LOST, Link.REFUSED):
        return False
    if session.link.link is not Link.READY:
        return True
    return any(row.pulling or not (row.unknown or row.phase in RESTING) for row in session.rows.values())


def redraw() -> None:
    """Ask the 3D viewports to be drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@persistent
def before_load(*_: object) -> None:
    """Let go of the file's objects; jobs go on."""
    if _state.session is not None:
        adopt.let_go(_state.session)


@persistent
def after_load(*_: object) -> None:
    """Find the runs again that belong to the file; nothing is sent unless a connection is open."""
    adopt.match(session(), bpy.data.filepath)
    wake()


@persistent
def after_change(*_: object) -> None:
    """Selection or data changed: what the panel says of them is prepared anew by the tick."""
    _state.stale = True
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=REDRAW_S, persistent=True)


@persistent
def after_undo(*_: object) -> None:
    """The scene is another one: the tick lets the runs follow it, not this handler, in which data must not be touched."""
    _state.undone = True
    after_change()


@persistent
def before_save(*_: object) -> None:
    """What the file tells apart only now, it must tell apart when it is opened again."""
    part_duplicates()


HANDLERS = (
    ("load_pre", before_load),
    ("load_post", after_load),
    ("load_post_fail", after_load),
    ("save_pre", before_save),
    ("depsgraph_update_post", after_change),
    ("undo_post", after_undo),
    ("redo_post", after_undo),
)


def register() -> None:
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    _state.auto = True
    wake()


def unregister() -> None:
    """Nothing is left: no timer, handler, socket, or server started here."""
    global _state
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    for name, handler in reversed(HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    if _state.session is not None:
        close_session(_state.session)
    if _state.local is not None:
        _state.local.kill()
    offer.forget()
    shown.forget()
    _state = _State()
