# SPDX-License-Identifier: GPL-3.0-or-later
"""A result into the scene: checked first, then built beside what is there, then shown in its place."""

from __future__ import annotations

import json
import time

import bpy
import numpy as np

from protocol.errors import UserError

from ..ports import Accepted, Asset, JobRecord
from .build_mesh import UV_NAME, fill, set_uv
from .carry_over import belongings, carry_over
from .domain import matrix_from, mirrors, moved
from .history import Entry, History, hold, load, mark, prune, save
from .identity import Reading, editable, find, recall, uid_of, users_of
from .kept import kept_movement, warning
from .material import build_material, unedited
from .modifiers import baked
from .placement import add_object, collection_for, make_active, object_matrix, standing
from .preview import release_sources
from .sketch import why_not_in_place
from .switching import enter, leave, opened, show_sources, show_version
from .texturing import polygon_digest, reversed_corners
from .validation import Result, check_shape_result, check_texture_result


def accept(record: JobRecord, asset: Asset) -> Accepted:
    """As `VersionHost.accept`. Errors: UserError, and nothing has changed."""
    if bpy.context.mode != "OBJECT":
        raise UserError("Something is being edited or painted.", "Go back to Object Mode and accept again.")
    bpy.context.view_layer.update()
    sources = [item for item in map(find, record.sources) if item is not None and item.users_scene]
    item, notes = _receiver(record, sources)
    _require_scene([item] if item is not None else sources)
    history = opened(item) if item is not None else None
    before = [number for number, entry in enumerate(history.entries) if entry.job == record.job] if history is not None else []
    if before:
        show_version(item, history, before[0])
        save(item, history)
        return Accepted(item.name, uid_of(item), notes=("It was accepted before.",))
    accepted = _texture(record, asset, item, sources, notes) if record.mode == "texture" else _shape(record, asset, item, sources, notes)
    release_sources(record.sources)
    return accepted


def _require_scene(items: list[bpy.types.Object]) -> None:
    """Errors: UserError where all of them are in other scenes: what is hidden and shown there could not be seen from here."""
    if items and all(bpy.context.scene not in item.users_scene for item in items):
        scene = items[0].users_scene[0].name
        raise UserError(f"'{items[0].name}' is in the scene '{scene}', not in this one.", f"Switch to '{scene}' and accept again.")


def _receiver(record: JobRecord, sources: list[bpy.types.Object]) -> tuple[bpy.types.Object | None, list[str]]:
    """The object that takes the result as a version; None for a new one, with a note where the artist expects another end."""
    notes = []
    if record.target:
        item = find(record.target)
        if item is None or item.type != "MESH" or not item.users_scene:
            notes.append("The object it was made for is gone, so the result becomes a new object.")
        elif record.mode == "texture":
            if editable(item) and editable(item.data):
                return item, notes
        else:
            reason = why_not_in_place(item)
            if not reason:
                return item, notes
            notes.append(reason)
    wanted = {uid_of(source) for source in sources}
    for item in bpy.data.objects:
        history = load(item) if editable(item) and wanted else None
        if history is not None and set(history.entries[0].sources) == wanted and item.mode == "OBJECT":
            return item, notes
    return None, notes


def _shape(record: JobRecord, asset: Asset, item: bpy.types.Object | None, sources: list[bpy.types.Object], notes: list[str]) -> Accepted:
    result = check_shape_result(asset)
    to_world = _usable(matrix_from(record.to_world))
    if not record.sources:
        to_world = standing(to_world, result.vertices)
    heir = item if item is not None and not _made_of_sources(item) else _only_mesh(sources)
    reading = recall(sources[0], record.to_world) if sources else None
    frame = _frame(record, item, reading)
    moved_by = kept_movement(reading, result.vertices, result.faces)
    own = belongings(heir, np.linalg.inv(to_world) @ _stood(heir, recall(heir, record.to_world))) if heir is not None else None
    material = build_material(record.name, result.images, UV_NAME)
    # Nothing can fail from here on.
    if item is None:
        frame = object_matrix(to_world, result.vertices, sources[0] if sources else None)
        item = add_object(record.name, bpy.data.meshes.new(record.name), frame, sources[0] if sources else None)
        frame = matrix_from(item.matrix_basis)
        _begin_with_sources(item, sources, frame)
        spare = item.data
    else:
        _begin_with_mesh(item)
        spare = None
    slots = [slot.material for slot in heir.material_slots if not unedited(slot.material)] if heir is not None else []
    mesh = _built(f"{item.name} Result", result, np.linalg.inv(frame) @ to_world)
    for entry in (material, *slots):
        mesh.materials.append(entry)
    switched = baked(item, reading.modifiers if reading is not None else None) if heir == item else []
    switched = [modifier for modifier in switched if modifier.show_viewport or modifier.show_render]
    history = _take(item, record, mesh, warning(moved_by))
    if spare is not None:
        bpy.data.meshes.remove(spare)
    for modifier in switched:
        modifier.show_viewport = modifier.show_render = False
    lost = carry_over(own, item, result.vertices) if own is not None else _left_behind(sources)
    if switched:
        names = ", ".join(modifier.name for modifier in switched)
        notes.append(f"Already part of the result and switched off for it: {names}.")
    if result.dropped:
        notes.append(f"{result.dropped} faces without an area were left out.")
    return _finished(item, history, lost, moved_by, notes)


def _texture(record: JobRecord, asset: Asset, item: bpy.types.Object | None, sources: list[bpy.types.Object], notes: list[str]) -> Accepted:
    shown = item if item is not None else next((source for source in sources if source.type == "MESH"), None)
    if shown is None:
        raise UserError("The mesh that this texture was made for is not in this file.", "Open the file it was submitted from.")
    mesh = shown.data
    reading = recall(shown, record.to_world, textured=True)
    if reading is not None and reading.polygons != polygon_digest(mesh):
        sentence = f"The mesh of '{shown.name}' was changed since the job began, so its texture does not fit."
        raise UserError(sentence, "Revert to the version that was submitted, or submit it again.")
    result = check_texture_result(asset, len(mesh.loops))
    uv_map = UV_NAME if result.uv is not None else _map_of(mesh, reading)
    if result.uv is not None and mesh.uv_layers.get(UV_NAME) is None and len(mesh.uv_layers) >= 8:
        raise UserError(f"'{shown.name}' has eight UV maps, there is no room for another.", "Remove one of them.")
    uv = result.uv
    if uv is not None and mirrors(_stood(shown, reading)):
        start = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("loop_start", start)
        uv = uv[reversed_corners(start, len(mesh.loops))]
    material = build_material(record.name, result.images, uv_map)
    if item is None:
        item = shown.copy()
        item.animation_data_clear()
        for key in [key for key, _ in item.items() if key.startswith("sketchbridge_")]:
            del item[key]
        collection_for(shown).objects.link(item)
        _begin_with_sources(item, [shown], matrix_from(item.matrix_world))
    else:
        _begin_with_mesh(item)
        if users_of(mesh) > 1:
            notes.append("Other objects that share the mesh keep their material.")
    slots = [slot.material for slot in item.material_slots if not unedited(slot.material)]
    textured = mesh.copy()
    textured.name = f"{item.name} Result"
    textured.materials.clear()
    for entry in (material, *slots):
        textured.materials.append(entry)
    textured.polygons.foreach_set("material_index", np.zeros(len(textured.polygons), np.int32))
    if uv is not None:
        set_uv(textured, uv)
    history = _take(item, record, textured, "")
    return _finished(item, history, (), None, notes)


def _usable(matrix: np.ndarray) -> np.ndarray:
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) == 0:
        raise UserError("The place of this result in the scene is not known.", "Submit the sketch again.")
    return matrix


def _frame(record: JobRecord, item: bpy.types.Object | None, reading: Reading | None) -> np.ndarray:
    """The matrix from the item's space to the world as it was when the sketch was read, so that the result follows an object that moved."""
    if item is None:
        return np.eye(4)
    history = load(item)
    made_at = history.entries[0].matrix if history is not None else []
    matrix = matrix_from(made_at) if made_at else _stood(item, reading)
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) == 0:
        raise UserError(f"'{item.name}' has a scale of zero.", "Give it a scale other than zero.")
    return matrix


def _stood(item: bpy.types.Object, reading: Reading | None) -> np.ndarray:
    return matrix_from(reading.matrix if reading is not None else item.matrix_world)


def _made_of_sources(item: bpy.types.Object) -> bool:
    history = load(item)
    return history is not None and bool(history.entries[0].sources)


def _only_mesh(sources: list[bpy.types.Object]) -> bpy.types.Object | None:
    return sources[0] if len(sources) == 1 and sources[0].type == "MESH" else None


def _left_behind(sources: list[bpy.types.Object]) -> tuple[str, ...]:
    names = [source.name for source in sources if source.type == "MESH" and (source.vertex_groups or source.data.materials)]
    return tuple(f"materials and vertex groups of '{name}'" for name in names)


def _map_of(mesh: bpy.types.Mesh, reading: Reading | None) -> str:
    if reading is not None and reading.uv_map in mesh.uv_layers:
        return reading.uv_map
    layer = next((layer for layer in mesh.uv_layers if layer.active_render), None)
    if layer is None:
        raise UserError("The mesh has no UV map and the result came without one.", "Unwrap the mesh and submit it again.")
    return layer.name


def _built(name: str, result: Result, to_local: np.ndarray) -> bpy.types.Mesh:
    """A new mesh of the result, in the object's own space."""
    faces, uv = result.faces, result.uv
    if mirrors(to_local):
        faces, uv = faces[:, ::-1], uv.reshape(-1, 3, 2)[:, ::-1].reshape(-1, 2)
    mesh = bpy.data.meshes.new(name)
    fill(mesh, moved(to_local, result.vertices), faces)
    set_uv(mesh, uv)
    return mesh


def _begin_with_mesh(item: bpy.types.Object) -> None:
    """The first version is the mesh that the artist made; it outlives even the object."""
    if opened(item) is None:
        entry = Entry("Sketch", mark(item.data))
        hold(item, entry, item.data)
        item.data.use_fake_user = True
        save(item, History([entry]))


def _begin_with_sources(item: bpy.types.Object, sources: list[bpy.types.Object], matrix: np.ndarray) -> None:
    """The first version is the objects it was made from."""
    hides = {uid_of(source): source.hide_render for source in sources}
    save(item, History([Entry("Sketch", sources=hides, matrix=[float(value) for value in matrix.reshape(-1)])]))


def _take(item: bpy.types.Object, record: JobRecord, mesh: bpy.types.Mesh, remark: str) -> History:
    """Show the mesh on the item as its newest version."""
    history = opened(item)
    leave(item, history.entries[history.current])
    settings = json.loads(record.settings) if record.settings else {}
    method = settings.get("method") or settings.get("preset", "")
    number = 1 + max((int(entry.label.split()[-1]) for entry in history.entries if entry.label.startswith("Version ")), default=0)
    entry = Entry(
        f"Version {number}",
        mark(mesh),
        record.prompt,
        method,
        int(settings.get("seed", 0)),
        time.time(),
        record.job,
        remark,
    )
    history.entries.append(entry)
    history.current = len(history.entries) - 1
    enter(item, history, mesh)
    return history


def _finished(item: bpy.types.Object, history: History, lost: tuple[str, ...], moved_by: float | None, notes: list[str]) -> Accepted:
    prune(item, history)
    save(item, history)
    show_sources(item, history)
    make_active(item)
    uid = uid_of(item)
    return Accepted(item.name, uid, lost, moved_by, tuple(notes))
