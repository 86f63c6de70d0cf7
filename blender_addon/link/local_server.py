# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on this machine, started from the user's command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_COMMAND = "sketchbridge serve"


@dataclass(frozen=True)
class LocalState:
    """`address` once it is up; `code` and the last lines of the log once it has ended."""

    state: Literal["off", "starting", "up", "ended"]
    address: str = ""
    code: int | None = None
    lines: tuple[str, ...] = ()


class LocalServer:
    """One child process. No call waits for it. Its log is `folder`/server.log."""

    def __init__(self, command: str, folder: Path) -> None:
        self.command = command
        self.folder = folder

    def start(self) -> None:
        """Start the command on a free port. Errors: UserError where the command line is unusable or cannot be started."""
        raise NotImplementedError

    def poll(self) -> LocalState:
        """How it is, without waiting."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to end; `poll` tells when it has."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once: for unregister and exit, after `stop` had its time."""
        raise NotImplementedError
