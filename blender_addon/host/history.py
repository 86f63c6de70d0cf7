# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of an object: a list saved with it, and pointers to the meshes, which travel with it through save, copy and append."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field

import bpy

from .identity import users_of
from .material import discard, images_of
from .modifiers import Switches
from .stored import stored

VERSIONS = "sketchbridge_versions"
MESHES = "sketchbridge_meshes"
MESH_UID = "sketchbridge_mesh"
KEPT = 8
KEPT_BYTES = 512 * 2**20
"""So many results are kept besides what the artist drew, and so many bytes of meshes and pictures; the oldest unpinned goes first."""


@dataclass
class Entry:
    """One version. `mesh` is the uid of its datablock, "" where the version is the sources (`sources`: uid -> hidden in renders).

    `switches` and `links` are the modifiers' switches and the slots' links as they were when the version was last left.
    """

    label: str
    mesh: str = ""
    prompt: str = ""
    method: str = ""
    seed: int = 0
    made_at: float = 0.0
    job: str = ""
    warning: str = ""
    pinned: bool = False
    sources: dict[str, bool] = field(default_factory=dict)
    matrix: list[float] = field(default_factory=list)
    switches: Switches = field(default_factory=dict)
    links: list[str] = field(default_factory=list)


@dataclass
class History:
    """All versions of an object, and which of them it shows."""

    entries: list[Entry]
    current: int = 0


def load(item: bpy.types.Object) -> History | None:
    """The versions of an object, None if it has none that can be read."""
    history = stored(item, VERSIONS, History)
    return history if history is not None and 0 <= history.current < len(history.entries) else None


def save(item: bpy.types.Object, history: History) -> None:
    """Write the list to the object."""
    item[VERSIONS] = json.dumps({"current": history.current, "entries": [asdict(entry) for entry in history.entries]})


def mark(mesh: bpy.types.Mesh) -> str:
    """Give a mesh a new uid of its own and return it."""
    mesh[MESH_UID] = uuid.uuid4().hex
    return mesh[MESH_UID]


def mesh_of(item: bpy.types.Object, entry: Entry) -> bpy.types.Mesh | None:
    """The datablock of a version; None if it is gone."""
    return item[MESHES].get(entry.mesh) if MESHES in item else None


def hold(item: bpy.types.Object, entry: Entry, mesh: bpy.types.Mesh) -> None:
    """Point from the object to the mesh of a version."""
    if MESHES not in item:
        item[MESHES] = {}
    item[MESHES][entry.mesh] = mesh


def taken(item: bpy.types.Object, entry: Entry) -> bpy.types.Mesh | None:
    """The mesh of a version for the item to show: a copy where another object shows it (a duplicate of this one)."""
    mesh = mesh_of(item, entry)
    if mesh is not None and mesh != item.data and users_of(mesh):
        mesh = mesh.copy()
    return mesh


def prune(item: bpy.types.Object, history: History) -> None:
    """Drop versions above the limits: never the first, the current or a pinned one."""
    while True:
        results = history.entries[1:]
        size = sum(mesh_bytes(mesh_of(item, entry)) for entry in results)
        free = [number for number, entry in enumerate(history.entries) if number not in {0, history.current} and not entry.pinned]
        if (len(results) <= KEPT and size <= KEPT_BYTES) or not free:
            return
        entry = history.entries.pop(free[0])
        history.current -= free[0] < history.current
        mesh = mesh_of(item, entry)
        if mesh is not None:
            del item[MESHES][entry.mesh]
            remove_mesh(mesh)


def remove_mesh(mesh: bpy.types.Mesh) -> None:
    """Remove a mesh that nothing uses, and the materials of ours that go with it."""
    if mesh.users:
        return
    materials = [material for material in mesh.materials if material is not None]
    bpy.data.meshes.remove(mesh)
    for material in materials:
        discard(material)


def mesh_bytes(mesh: bpy.types.Mesh | None) -> int:
    """Roughly what a mesh and the pictures of ours in its materials take."""
    if mesh is None:
        return 0
    pictures = {image for material in mesh.materials for image in images_of(material)}
    corners = len(mesh.loops) * (8 + 8 * len(mesh.uv_layers))
    packed = sum(image.packed_file.size for image in pictures if image.packed_file is not None)
    return len(mesh.vertices) * 12 + len(mesh.edges) * 8 + len(mesh.polygons) * 4 + corners + packed
