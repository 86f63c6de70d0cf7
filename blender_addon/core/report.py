# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Report: everything that helps to find a fault, without keys, user names and paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session


def report(session: Session, job: str, versions: dict[str, str]) -> str:
    """Text for the clipboard. `job` may be empty: then about the connection only. `versions`: "Blender" -> "4.2.23" and the like."""
    raise NotImplementedError
