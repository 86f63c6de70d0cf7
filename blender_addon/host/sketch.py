# SPDX-License-Identifier: GPL-3.0-or-later
"""From the selection to the arrays of a job: one surface in the domain, or one mesh as it is for texturing."""

from __future__ import annotations

from typing import Literal

import bpy
import numpy as np

from protocol.errors import UserError
from protocol.version import FACES

from ..ports import Sketch
from .chosen import chosen_objects
from .domain import LONGEST_SIDE, bounds_to_world, flat, matrix_from, mirrors, moved
from .gathering import Gathered, gather
from .identity import Reading, editable, encode_points, remember, uid_of, users_of
from .texturing import corner_arrays, polygon_digest
from .visibility import shown

READABLE_MODES = ("OBJECT", "POSE", "WEIGHT_PAINT", "VERTEX_PAINT", "TEXTURE_PAINT", "PAINT_GPENCIL", "PAINT_GREASE_PENCIL")
"""Modes in which an object's data are what the artist sees; editing and sculpting keep changes to themselves until they are left."""


class BlenderSketchReader:
    """Port `SketchReader`. Reads only; it leaves a uid and a note of the reading on the objects as custom properties."""

    def read(self, mode: Literal["sketch", "texture"], keep_group: str) -> Sketch:
        """The selected objects, ready to send. Errors: UserError naming what is missing."""
        chosen = _selection()
        with shown(chosen):
            return _read_texture(chosen) if mode == "texture" else _read_sketch(chosen, keep_group)

    def at_cursor(self, name: str, size: float) -> Sketch:
        """No arrays, only a place: the domain's floor (z = -0.8) on the 3D cursor, its longest side `size` units.

        It stands upright in the world: placing the cursor by mouse turns it towards the view, and nobody means that.
        """
        if not (np.isfinite(size) and size > 0):
            raise UserError(f"The size is {size}; it must be above zero.", "Set Size to the length that the asset shall have.")
        stand = np.eye(4)
        stand[:3, :3] *= size / LONGEST_SIDE
        stand[:3, 3] = bpy.context.scene.cursor.location
        stand[2, 3] += size / 2
        return Sketch(name=name, arrays={}, to_world=flat(stand))


def _selection() -> list[bpy.types.Object]:
    """The selected objects, the active one first."""
    chosen = chosen_objects(bpy.context.view_layer)
    if not chosen:
        raise UserError("Nothing is selected.", "Select the objects of the sketch and try again.")
    for item in chosen:
        if item.mode not in READABLE_MODES:
            raise UserError(f"'{item.name}' is being edited.", "Press Tab to go back to Object Mode.")
    bpy.context.view_layer.update()
    active = bpy.context.view_layer.objects.active
    return sorted(chosen, key=lambda item: (item != active, item.name_full))


def _read_sketch(chosen: list[bpy.types.Object], keep_group: str) -> Sketch:
    gathered = gather(chosen, keep_group)
    _require_faces(gathered, chosen)
    if keep_group and not gathered.keep_found:
        raise UserError(f"No selected object has a vertex group '{keep_group}'.", "Choose another group under Keep, or none.")
    used, faces = np.unique(gathered.faces, return_inverse=True)
    world = gathered.vertices[used]
    if not np.isfinite(world).all():
        raise UserError("The sketch has coordinates that are not numbers.", "Check its scale and its modifiers.")
    to_world = bounds_to_world(world)
    vertices = moved(np.linalg.inv(to_world), world).astype(np.float32)
    arrays = {"vertices": vertices, "faces": faces.reshape(-1, 3).astype(np.int32)}
    colours = gathered.colours[used].astype(np.float32)
    if np.isfinite(colours).all(axis=1).any():
        arrays["colours"] = colours
    kept = ""
    if keep_group:
        arrays["keep"] = gathered.keep[used].astype(np.float32)
        held = vertices[arrays["keep"] >= 1]
        kept = encode_points(held) if len(held) else ""
    sources = tuple(uid_of(item) for item in gathered.items)
    for item in gathered.items:
        shown = tuple(modifier.name for modifier in item.modifiers if modifier.show_viewport)
        remember(item, Reading(flat(to_world), flat(matrix_from(item.matrix_world)), shown, "", kept))
    target, reason = _target(gathered.items)
    return Sketch(gathered.items[0].name, arrays, flat(to_world), target, reason, sources, gathered.notes)


def _require_faces(gathered: Gathered, chosen: list[bpy.types.Object]) -> None:
    if not len(gathered.faces):
        kinds = {item.type for item in chosen}
        if kinds <= {"LIGHT", "CAMERA", "LIGHT_PROBE", "SPEAKER", "EMPTY", "ARMATURE", "LATTICE"}:
            raise UserError("Only objects without a shape are selected.", "Select meshes, curves or Grease Pencil strokes.")
        raise UserError("The selection has no faces and no strokes.", "Add faces, or draw with curves or Grease Pencil.")
    if len(gathered.faces) > FACES:
        raise UserError(f"The sketch has {len(gathered.faces):,} triangles; at most {FACES:,} can be sent.", "Lower the modifiers' levels.")


def _target(items: list[bpy.types.Object]) -> tuple[str, str]:
    """The uid of the object whose mesh may be replaced, else "" and why not, where somebody would wonder."""
    if len(items) != 1 or items[0].type != "MESH":
        return "", ""
    reason = why_not_in_place(items[0])
    return ("", reason) if reason else (uid_of(items[0]), "")


def why_not_in_place(item: bpy.types.Object) -> str:
    """Why a mesh object cannot take a new mesh, "" if it can."""
    tail = "so the result becomes a new object."
    if not editable(item) or not editable(item.data):
        return f"'{item.name}' is linked from another file, {tail}"
    if item.data.shape_keys is not None:
        return f"'{item.name}' has shape keys, {tail}"
    armature = item.parent is not None and item.parent.type == "ARMATURE" and item.parent_type in {"ARMATURE", "BONE", "BONE_RELATIVE"}
    if armature or any(modifier.type == "ARMATURE" for modifier in item.modifiers):
        return f"'{item.name}' is moved by an armature, {tail}"
    if np.linalg.det(matrix_from(item.matrix_world)[:3, :3]) == 0:
        return f"'{item.name}' has a scale of zero, {tail}"
    if users_of(item.data) > 1:
        return f"'{item.name}' shares its mesh with other objects, {tail}"
    return ""


def _read_texture(chosen: list[bpy.types.Object]) -> Sketch:
    meshes = [item for item in chosen if item.type == "MESH"]
    if len(meshes) != 1:
        found = "no mesh is" if not meshes else f"{len(meshes)} meshes are"
        raise UserError(f"Texturing takes exactly one mesh, {found} selected.", "Select the mesh to be textured.")
    item = meshes[0]
    arrays, world, uv_map = corner_arrays(item)
    if not len(arrays["polygon_start"]):
        raise UserError(f"'{item.name}' has no faces.", "Select a mesh with faces.")
    if not np.isfinite(world).all():
        raise UserError(f"'{item.name}' has coordinates that are not numbers.", "Check its scale.")
    matrix = matrix_from(item.matrix_world)
    to_world = bounds_to_world(world[np.unique(arrays["corner_vertex"])])
    arrays["vertices"] = moved(np.linalg.inv(to_world), world).astype(np.float32)
    uid = uid_of(item)
    remember(item, Reading(flat(to_world), flat(matrix), (), uv_map, "", polygon_digest(item.data)))
    own = editable(item) and editable(item.data)
    notes = ["Modifiers were left out: a texture is made for the mesh below them."] if item.modifiers else []
    if mirrors(matrix):
        notes.append("The object is mirrored by its scale; its faces were turned for the run only.")
    reason = "" if own else f"'{item.name}' is linked from another file, so the result becomes a new object."
    return Sketch(item.name, arrays, flat(to_world), uid if own else "", reason, (uid,), tuple(notes))
