# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: one object per job, which nobody can select or render, in place of the sketch it grows from."""

from __future__ import annotations

import json
import zlib

import bpy
import numpy as np
from mathutils import Matrix

from ..compat import modal_operators, rendering, with_nodes
from ..ports import JobRecord, Surface
from .build_mesh import fill, flat32
from .domain import matrix_from
from .identity import find
from .stored import stored
from .validation import check_colours, check_surface
from .visibility import hidden, set_hidden

PREVIEW = "sketchbridge_preview"
SOURCES = "sketchbridge_sources"
HIDES = "sketchbridge_hides"
TOPOLOGY = "sketchbridge_topology"
MATERIAL = "sketchbridge_preview_material"
COLOURS = "Colour"
NAME = "SketchBridge Preview"

_bytes = np.arange(256) / 255
LINEAR = np.where(_bytes <= 0.04045, _bytes / 12.92, ((_bytes + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear value of every display value 0..255. A colour attribute of floats is 30 times faster to fill than one of bytes."""

_waiting: dict[str, list[str]] = {}
"""Job -> uids that its preview hides, as they were last: a preview that is deleted by hand takes its own list with it."""


class BlenderPreviews:
    """Port `PreviewHost`. Vertices stay in domain coordinates; the object's matrix takes them to their place."""

    def show(self, record: JobRecord, surface: Surface | None = None) -> None:
        """Make the preview object, empty where no surface is given, and hide the sources while it lives."""
        if _preview(record.job) is not None:
            return
        mesh = bpy.data.meshes.new(_name(record.job))
        mesh.materials.append(_material())
        item = bpy.data.objects.new(_name(record.job), mesh)
        item[PREVIEW] = mesh[PREVIEW] = record.job
        sources = [(uid, find(uid)) for uid in record.sources]
        item[SOURCES] = json.dumps(record.sources)
        item[HIDES] = json.dumps([uid for uid, source in sources if source is not None and not hidden(source)])
        item.hide_render = True
        item.hide_select = True
        bpy.context.scene.collection.objects.link(item)
        item.matrix_world = Matrix(matrix_from(record.to_world).tolist())
        _waiting[record.job] = _uids(item, HIDES)
        for _, source in sources:
            if source is not None:
                set_hidden(source, True)
        if surface is not None:
            self.update(record.job, *surface, same_topology=False)

    def update(self, job: str, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, same_topology: bool) -> bool:
        """Put the newest surface into the preview; False if undo took the object. Errors: UserError for arrays that do not fit."""
        item = _preview(job)
        if item is None:
            self._show_waiting(job)
            return False
        _waiting[job] = _uids(item, HIDES)
        check_surface(vertices, faces)
        check_colours(colours, len(vertices))
        mesh = item.data
        topology = f"{len(vertices)} {zlib.crc32(np.ascontiguousarray(faces, dtype=np.int32)):08x}"
        if same_topology and mesh.get(TOPOLOGY) == topology:
            mesh.vertices.foreach_set("co", flat32(vertices))
        else:
            mesh.clear_geometry()
            fill(mesh, vertices, faces)
            mesh[TOPOLOGY] = topology
        attribute = mesh.attributes.get(COLOURS) or mesh.attributes.new(COLOURS, "FLOAT_COLOR", "POINT")
        rgba = np.ones((len(vertices), 4), dtype=np.float32)
        rgba[:, :3] = LINEAR[colours]
        attribute.data.foreach_set("color", rgba.reshape(-1))
        if mesh.color_attributes.active_color_name != COLOURS:
            mesh.color_attributes.active_color_name = COLOURS
        mesh.update()
        return True

    def remove(self, job: str) -> None:
        """Take the preview away and show its sources, except those that another preview still stands for."""
        while (item := _preview(job)) is not None:  # a copied scene has a copy of it
            _waiting[job] = _uids(item, HIDES)
            bpy.data.objects.remove(item)
        self._show_waiting(job)
        for left in [mesh for mesh in bpy.data.meshes if mesh.get(PREVIEW) == job and mesh.users == 0]:
            bpy.data.meshes.remove(left)
        for material in [material for material in bpy.data.materials if material.get(MATERIAL) and material.users == 0]:
            bpy.data.materials.remove(material)

    def _show_waiting(self, job: str) -> None:
        others = [other for other in map(_preview, self.jobs()) if other is not None]
        for uid in _waiting.pop(job, []):
            heir = next((other for other in others if uid in _uids(other, SOURCES)), None)
            source = find(uid)
            if heir is not None:
                heir[HIDES] = json.dumps([*_uids(heir, HIDES), uid])
            elif source is not None:
                set_hidden(source, False)

    def jobs(self) -> tuple[str, ...]:
        """Jobs that have a preview object in this file."""
        return tuple(item[PREVIEW] for item in bpy.data.objects if item.get(PREVIEW))

    def blocked(self) -> str:
        """Why nothing may be applied at this moment, "" if it may."""
        manager = bpy.context.window_manager
        if manager.is_interface_locked or rendering():
            return "Blender is rendering: wait until it is done."
        modes = {bpy.context.mode}
        for window in manager.windows:
            if any("TRANSFORM_OT" in name for name in modal_operators(window)):
                return "Something is being moved: click to let go of it first."
            active = window.view_layer.objects.active
            modes.add(active.mode if active is not None else "OBJECT")
        if any(mode.startswith(("EDIT", "SCULPT", "PARTICLE")) for mode in modes):
            return "An object is being edited: go back to Object Mode first."
        return ""


def release_sources(uids: tuple[str, ...]) -> None:
    """Let all previews forget that they hide these objects, so that they stay as they are when the previews go."""
    for item in [item for item in bpy.data.objects if item.get(PREVIEW)]:
        item[HIDES] = json.dumps([uid for uid in _uids(item, HIDES) if uid not in uids])
    for job, waiting in _waiting.items():
        _waiting[job] = [uid for uid in waiting if uid not in uids]


def _uids(item: bpy.types.Object, key: str) -> list[str]:
    return stored(item, key, list[str]) or []


def _name(job: str) -> str:
    return f"{NAME} {job[:8]}"


def _preview(job: str) -> bpy.types.Object | None:
    """The preview object of a job, by its usual name first."""
    named = bpy.data.objects.get(_name(job))
    if named is not None and named.get(PREVIEW) == job:
        return named
    return next((item for item in bpy.data.objects if item.get(PREVIEW) == job), None)


def _material() -> bpy.types.Material:
    """The one material of all previews: it shows the vertex colours."""
    found = next((material for material in bpy.data.materials if material.get(MATERIAL) and material.library is None), None)
    if found is not None:
        return found
    material = bpy.data.materials.new(NAME)
    material[MATERIAL] = True
    tree = with_nodes(material)
    tree.nodes.clear()
    colour = tree.nodes.new("ShaderNodeVertexColor")
    colour.layer_name = COLOURS
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    colour.location, shader.location, output.location = (-500, 0), (-300, 0), (0, 0)
    tree.links.new(colour.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material
