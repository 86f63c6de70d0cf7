# SPDX-License-Identifier: GPL-3.0-or-later
"""From one version of an object to another: mesh, modifier switches, slot links, and what is hidden."""

from __future__ import annotations

import bpy

from protocol.errors import UserError

from .history import MESH_UID, Entry, History, hold, load, mark, taken
from .identity import find
from .modifiers import set_switches, switches
from .visibility import set_hidden


def opened(item: bpy.types.Object) -> History | None:
    """The object's versions, with the mesh it shows among them: one that the artist put there by hand is added."""
    history = load(item)
    if history is None or not history.entries[history.current].mesh:
        return history
    shown = item.data.get(MESH_UID, "")
    known = [number for number, entry in enumerate(history.entries) if entry.mesh and entry.mesh == shown]
    if known:
        history.current = known[0]
        return history
    history.entries.append(Entry("Own Mesh", mark(item.data)))
    history.current = len(history.entries) - 1
    hold(item, history.entries[-1], item.data)
    return history


def show_version(item: bpy.types.Object, history: History, index: int) -> None:
    """Make version `index` the current one. Errors: UserError if its mesh or its sketch is gone; nothing has changed then."""
    entry = history.entries[index]
    if index == history.current:
        return
    mesh = taken(item, entry) if entry.mesh else None
    if not entry.mesh and not any(find(uid) for uid in entry.sources):
        raise UserError(f"There is no sketch of '{item.name}' in this file to go back to.", "Choose another version.")
    if entry.mesh and mesh is None:
        raise UserError(f"The mesh of '{entry.label}' is not in this file.", "Choose another version.")
    leave(item, history.entries[history.current])
    history.current = index
    enter(item, history, mesh)


def leave(item: bpy.types.Object, entry: Entry) -> None:
    """Note how a version is being left."""
    entry.switches = switches(item)
    entry.links = [slot.link for slot in item.material_slots]
    if entry.mesh:
        hold(item, entry, item.data)


def enter(item: bpy.types.Object, history: History, mesh: bpy.types.Mesh | None) -> None:
    """Show the current version with this mesh; without one the version is the sources."""
    entry = history.entries[history.current]
    if mesh is not None:
        item.data = mesh
        hold(item, entry, mesh)
        set_switches(item, entry.switches)
        for slot, link in zip(item.material_slots, entry.links or ["DATA"] * len(item.material_slots), strict=False):
            slot.link = link
    show_sources(item, history)


def show_sources(item: bpy.types.Object, history: History) -> None:
    """Hide the object and show its sources where the current version is the sources; the other way round otherwise."""
    sources = history.entries[0].sources
    if not sources:
        set_hidden(item, False)
        return
    original = history.current == 0
    for uid, render in sources.items():
        source = find(uid)
        if source is None:
            continue
        set_hidden(source, not original)
        if source.library is None:
            source.hide_render = render or not original
    set_hidden(item, original)
    item.hide_render = original
