# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a result, and go back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ports import Accepted
    from .session import Session


def why_not_accept(session: Session, job: str) -> str:
    """Why there is nothing to accept yet; "" if there is. Reads state only."""
    raise NotImplementedError


def accept(session: Session, job: str) -> Accepted:
    """Put the result into the scene and take the preview away. Called by an undoable operator. Errors: UserError with the reason.

    The record stays until the job is removed, so that a file closed without saving still finds its result.
    """
    raise NotImplementedError


def revert(session: Session, uid: str, index: int) -> None:
    """Show an older version of the object again. Called by an undoable operator. Errors: UserError."""
    raise NotImplementedError
