# SPDX-License-Identifier: GPL-3.0-or-later
"""How objects are found again: a uid that is saved with the object, and what a sketch was like when it was read from it."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import asdict, dataclass

import bpy
import numpy as np

from ..ports import Matrix
from .stored import stored

UID = "sketchbridge_uid"
READINGS = "sketchbridge_readings"
READINGS_KEPT = 8
KEPT_POINTS = 2048

_session: dict[str, int] = {}
"""uid -> `session_uid`. An undo that steps past a submission takes the uid off the object; this puts it back."""


@dataclass(frozen=True)
class Reading:
    """What was true when a sketch was read: where the object stood, which modifiers it showed, which map and which points it kept.

    `kept`: at most `KEPT_POINTS` fully kept points, float32 domain coordinates in base 64. `polygons`: a digest of the polygons that
    were read to be textured, "" for a sketch.
    """

    to_world: Matrix
    matrix: Matrix
    modifiers: tuple[str, ...] = ()
    uv_map: str = ""
    kept: str = ""
    polygons: str = ""

    def kept_points(self) -> np.ndarray:
        """[N,3] float32 in the domain."""
        return np.frombuffer(base64.b64decode(self.kept), dtype="<f4").reshape(-1, 3)


def encode_points(points: np.ndarray) -> str:
    """At most `KEPT_POINTS` of the points, evenly picked, as text for a `Reading`."""
    picked = points[np.linspace(0, len(points) - 1, min(len(points), KEPT_POINTS)).astype(np.int64)]
    return base64.b64encode(np.ascontiguousarray(picked, dtype="<f4").tobytes()).decode()


def editable(block: bpy.types.ID) -> bool:
    """Whether this file owns the datablock: neither linked from a library nor overriding one."""
    return block.library is None and block.override_library is None


def users_of(data: bpy.types.ID) -> int:
    """How many objects of this file show a datablock."""
    if data.users - data.use_fake_user == 0:
        return 0
    return sum(item.data == data for item in bpy.data.objects)


def uid_of(item: bpy.types.Object) -> str:
    """The object's uid, made if it has none. A duplicated object gets one of its own; a linked one has one made of its address."""
    if item.library is not None:
        return hashlib.sha256(f"{item.library.filepath}\n{item.name}".encode()).hexdigest()[:32]
    uid = item.get(UID, "")
    if not uid or find(uid) != item:
        uid = next((known for known, session in _session.items() if session == item.session_uid and find(known) == item), uuid.uuid4().hex)
        item[UID] = uid
    _session[uid] = item.session_uid
    return uid


def find(uid: str) -> bpy.types.Object | None:
    """The object with this uid; of duplicates the oldest."""
    if not uid:
        return None
    same = [item for item in bpy.data.objects if item.library is None and item.get(UID) == uid]
    if same:
        return min(same, key=lambda item: item.session_uid)
    for item in bpy.data.objects:
        if item.library is not None and uid_of(item) == uid:
            return item
        if uid in _session and item.session_uid == _session[uid] and not item.get(UID):
            item[UID] = uid
            return item
    return None


def part_duplicates() -> None:
    """Give duplicated objects uids of their own. Which of them is the oldest is forgotten with the session, so this comes before saving."""
    for item in bpy.data.objects:
        if item.library is None and item.get(UID):
            uid_of(item)


def all_uids() -> tuple[str, ...]:
    """Of every object in this file that has one."""
    return tuple(item[UID] for item in bpy.data.objects if item.library is None and item.get(UID))


def remember(item: bpy.types.Object, reading: Reading) -> None:
    """Keep a reading on its object, the newest `READINGS_KEPT` of them. Nothing is kept on a linked object."""
    if item.library is not None:
        return
    entries = [entry for entry in _readings(item) if (entry.to_world, entry.polygons) != (reading.to_world, reading.polygons)]
    item[READINGS] = json.dumps([asdict(entry) for entry in (*entries, reading)][-READINGS_KEPT:])


def recall(item: bpy.types.Object, to_world: Matrix, textured: bool = False) -> Reading | None:
    """The newest reading that led to this placement, of the mesh to be textured or of the sketch; None if it is not known any more."""
    found = [entry for entry in _readings(item) if entry.to_world == tuple(to_world) and bool(entry.polygons) == textured]
    return found[-1] if found else None


def _readings(item: bpy.types.Object) -> list[Reading]:
    return stored(item, READINGS, list[Reading]) or []
