# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on this machine, started from the user's command line."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocol.errors import ResourceError, UserError

log = logging.getLogger(__name__)

DEFAULT_COMMAND = "sketchbridge serve"
LOG_NAME = "server.log"
LAST_LINES = 10
TAIL_BYTES = 16 * 1024
EXIT_S = 3.0

NOT_INHERITED = ("PYTHON", "BLENDER_", "OCIO", "__PYVENV")
"""Variables with these beginnings are Blender's own; a server's Python would stumble over them."""

HINT = "Correct the command in the preferences of the extension."


class _Word(msgspec.Struct):
    """A line that the server prints with --json; all else in it is passed over."""

    address: str = ""


@dataclass(frozen=True)
class LocalState:
    """`address` once it is up; `code` and the last lines of the log once it has ended. "off": never started, or stopped by us."""

    state: Literal["off", "starting", "up", "ended"]
    address: str = ""
    code: int | None = None
    lines: tuple[str, ...] = ()


class LocalServer:
    """One child process. No call waits for it, except `kill`. Its log is `folder`/server.log; that of the run before is server.log.1."""

    def __init__(self, command: str, folder: Path) -> None:
        self.command = command
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._state = LocalState("off")
        self._stopping = False
        self._read_to = 0
        self._line = b""

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self.folder / LOG_NAME

    @property
    def pid(self) -> int:
        """Of the child process; 0 while there is none."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Start the command on a free port. Errors: UserError where the command line is unusable or cannot be started."""
        if self.pid:
            return
        words = _split(self.command)
        arguments = [*words, "--port", str(_free_port()), "--json"]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.log_path.exists():
                os.replace(self.log_path, self.log_path.with_suffix(".log.1"))
            with self.log_path.open("wb") as output:
                self._process = subprocess.Popen(arguments, stdout=output, **_apart())
        except FileNotFoundError as error:
            raise UserError(f"The program '{words[0]}' was not found.", HINT) from error
        except OSError as error:
            raise ResourceError(f"The server could not be started: {error.strerror or error}.", HINT) from error
        log.info("A server was started here as process %d.", self._process.pid)
        self._state, self._stopping, self._read_to, self._line = LocalState("starting"), False, 0, b""

    def poll(self) -> LocalState:
        """How it is, without waiting."""
        if self._process is None or self._state.state in ("off", "ended"):
            return self._state
        if self._state.state == "starting":
            self._look_for_address()
        code = self._process.poll()
        if code is not None:
            log.info("The server started here has ended with code %d.", code)
            self._state = LocalState("off") if self._stopping else LocalState("ended", code=code, lines=self._tail())
            if self._stopping:
                _signal_group(self._process, signal.SIGTERM)  # a shell in between ends without telling what it started
        return self._state

    def stop(self) -> None:
        """Ask it to end; `poll` tells when it has."""
        if self._process is not None and self._process.poll() is None:
            self._stopping = True
            self._process.terminate()

    def kill(self, deadline_s: float = EXIT_S) -> None:
        """For unregister and exit: ask it to end, give it so long to put its jobs away, then end it and its workers."""
        if self._process is None:
            return
        self.stop()
        try:
            self._process.wait(deadline_s)
            self.poll()
        except subprocess.TimeoutExpired:
            log.warning("The server started here did not end when asked, and was ended.")
            if sys.platform == "win32":
                self._process.kill()
            else:
                _signal_group(self._process, signal.SIGKILL)
            self._process.wait(1.0)
        self._state = LocalState("off")

    def _look_for_address(self) -> None:
        """The first line of the output that is JSON with an address says that it listens."""
        try:
            with self.log_path.open("rb") as output:
                output.seek(self._read_to)
                fresh = output.read(TAIL_BYTES)
        except OSError as error:
            log.warning("The log of the server cannot be read: %s", error)
            return
        self._read_to += len(fresh)
        *lines, self._line = (self._line + fresh).split(b"\n")
        self._line = self._line[-TAIL_BYTES:]
        for line in lines:
            address = _address_in(line)
            if address:
                self._state = LocalState("up", address)
                return

    def _tail(self) -> tuple[str, ...]:
        try:
            with self.log_path.open("rb") as output:
                output.seek(max(self.log_path.stat().st_size - TAIL_BYTES, 0))
                text = output.read().decode(errors="replace")
        except OSError as error:
            return (f"The log cannot be read: {error.strerror or error}",)
        return tuple(line for line in text.splitlines() if line.strip())[-LAST_LINES:]


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that is not Blender."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(NOT_INHERITED)}


def _split(command: str) -> list[str]:
    """The command line in words; on Windows backslashes are part of paths."""
    try:
        words = shlex.split(command, posix=os.name != "nt")
    except ValueError as error:
        raise UserError(f"The command '{command}' cannot be understood: {error}.", HINT) from error
    if not words:
        raise UserError("The command to start a server is empty.", f"Enter one, such as: {DEFAULT_COMMAND}.")
    return [word.strip('"') for word in words] if os.name == "nt" else words


def _address_in(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Word).address
    except msgspec.MsgspecError:
        return ""


def _free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _apart() -> dict[str, Any]:
    """A process of its own: no input, no window, no signals meant for Blender."""
    common: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "env": clean_environment(os.environ)}
    if sys.platform == "win32":
        return common | {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return common | {"start_new_session": True}


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and those that it started, as far as they live. Windows knows no such groups."""
    if sys.platform == "win32":
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        log.debug("Nothing of the server started here is left.")
