# SPDX-License-Identifier: GPL-3.0-or-later
"""Port `VersionHost`: accepting a result, and going back. Called inside undoable operators."""

from __future__ import annotations

import bpy

from protocol.errors import UserError

from ..ports import Accepted, Asset, JobRecord, Version
from .accepting import accept
from .history import History, load, save
from .identity import all_uids, find
from .switching import opened, show_version


class BlenderVersions:
    """Versions live on the object and travel with the file."""

    def accept(self, record: JobRecord, asset: Asset) -> Accepted:
        """The result into the scene, as a new version of its target or as an object of its own. Errors: UserError, and nothing changed."""
        return accept(record, asset)

    def revert(self, uid: str, index: int) -> None:
        """Show another version of an object. Errors: UserError if the object, the version or its mesh is not there."""
        item = _known(uid)
        if item.mode != "OBJECT":
            raise UserError(f"'{item.name}' is being edited.", "Press Tab to go back to Object Mode.")
        _listed(item, load(item), index)
        history = opened(item)
        show_version(item, history, index)
        save(item, history)

    def versions(self, uid: str) -> tuple[Version, ...]:
        """Of the object with this uid, in the order they were made; empty if it has none."""
        item = find(uid)
        history = load(item) if item is not None else None
        if history is None:
            return ()
        return tuple(
            Version(
                label=entry.label,
                prompt=entry.prompt,
                method=entry.method,
                seed=entry.seed,
                made_at=entry.made_at,
                job=entry.job,
                warning=entry.warning,
                current=number == history.current,
                pinned=entry.pinned,
            )
            for number, entry in enumerate(history.entries)
        )

    def pin(self, uid: str, index: int, pinned: bool) -> None:
        """Keep a version from being dropped, or let it go again."""
        item = _known(uid)
        history = _listed(item, load(item), index)
        history.entries[index].pinned = pinned
        save(item, history)

    def knows(self, uid: str) -> bool:
        """Whether the object is in this file."""
        return find(uid) is not None

    def uids(self) -> tuple[str, ...]:
        """Of every object in this file that the extension has read or made."""
        return all_uids()


def _known(uid: str) -> bpy.types.Object:
    item = find(uid)
    if item is None:
        raise UserError("The object is not in this file any more.", "Undo, or accept the job again.")
    return item


def _listed(item: bpy.types.Object, history: History | None, index: int) -> History:
    if history is None or not 0 <= index < len(history.entries):
        raise UserError(f"'{item.name}' has no version {index}.", "Choose one from the list.")
    return history
