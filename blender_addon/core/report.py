# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Report: everything that helps to find a fault, without keys, user names and paths."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.messages import Fault

    from .session import Session

HISTORY_S = 60.0

QUOTED_PATH = re.compile(r"""(["'])(?:[A-Za-z]:[\\/]|\\\\|/|~/)[^"'\n]*\1""")
WINDOWS_PATH = re.compile(r"""(?<![A-Za-z])(?:[A-Za-z]:[\\/]|\\\\)[^"'\n:;,]*""")
POSIX_PATH = re.compile(r"""(?<![\w/.])~?/(?:[^\s"':;,()/]+/)*[^\s"':;,()/]+/?""")
ADDRESS = re.compile(r"tcp://(?!127\.0\.0\.1\b|\[::1\])[^\s\"',]+")
KEY = re.compile(r"(?<![\w])(?:[0-9a-fA-F]{24,}|[A-Za-z0-9_+=.\-]{40,})")
Z85_KEY = re.compile(r"(?<!\S)(?=\S*\d)(?=\S*[a-z])(?=\S*[A-Z])\S{40}(?!\S)")
SHORTEST_NAME = 3


def report(session: Session, job: str, versions: dict[str, str]) -> str:
    """Text for the clipboard. `job` may be empty: then about the connection only. `versions`: "Blender" -> "4.2.23" and the like.

    Prompts, object names and labels are not in it; keys, user names and paths are removed from what is.
    """
    welcome = session.welcome
    parts = [
        "SketchBridge report",
        *(f"{name}: {version}" for name, version in versions.items()),
        *([f"Server: {welcome.server}", f"Protocol: {welcome.version[0]}.{welcome.version[1]}"] if welcome else []),
        f"Link: {session.link.link.value} {session.link.kind} {session.link.sentence}".rstrip(),
        *_job(session, job),
        "",
        "Last minute:",
        *_history(session),
        "",
        "Log:",
        *session.log.lines,
    ]
    return _clean("\n".join(parts), _private(session)) + "\n"


def _job(session: Session, job: str) -> list[str]:
    row = session.rows.get(job)
    if row is None:
        return []
    state = row.state
    if state is None:
        return ["", f"Job {job[:8]}: not known to the server", *_faults(row.faults)]
    lines = [
        "",
        f"Job {job[:8]}: {state.state}, mode {state.mode}, attempt {state.attempt}",
        f"Phase {state.phase}, step {state.step} of {state.steps}, device {state.device}",
        f"Reason: {state.reason}",
        f"Results: {', '.join(artefact.name for artefact in state.results) or 'none'}; fetched: {row.asset is not None}",
    ]
    return lines + _faults([state.fault] if state.fault else []) + _faults(row.faults)


def _faults(faults: list[Fault]) -> list[str]:
    lines = []
    for fault in faults:
        lines.append(f"Fault {fault.code}: {fault.sentence} {fault.hint}".rstrip())
        lines += fault.trace.splitlines()
    return lines


def _history(session: Session) -> list[str]:
    now = session.ports.clock.now()
    return [f"{at - now:+.1f} s {job[:8] or 'link'}: {what}" for at, job, what in session.history if at >= now - HISTORY_S]


def _private(session: Session) -> list[str]:
    """Words that name the user, the machine's folders, the work or a secret, longest first."""
    records = [row.record for row in session.rows.values() if row.record] + list(session.earlier)
    found = {session.ports.token, session.file, os.path.expanduser("~")}
    found |= {os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME", "COMPUTERNAME", "HOSTNAME")}
    found.add(os.path.basename(os.path.expanduser("~")))
    for record in records:
        found |= {record.token, record.file, record.name, record.prompt}
    return sorted((word for word in found if len(word) >= SHORTEST_NAME), key=len, reverse=True)


def _clean(text: str, private: list[str]) -> str:
    text = Z85_KEY.sub("<key>", text)
    text = QUOTED_PATH.sub("<path>", text)
    text = ADDRESS.sub("<address>", text)
    text = WINDOWS_PATH.sub("<path>", text)
    text = POSIX_PATH.sub("<path>", text)
    text = KEY.sub("<key>", text)
    for word in private:
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "<private>", text, flags=re.IGNORECASE)
    return text
