# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives on a mesh and would be lost with it: groups, attributes, UV maps and properties, taken to the mesh that replaces it."""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np

from .build_mesh import UV_NAME, flat32
from .domain import moved
from .evaluated import positions, triangles, with_mesh
from .history import MESH_UID
from .nearest import Hits, nearest
from .weights import read_weights, write_weights

FIELDS = {
    "FLOAT": ("value", 1, np.float32),
    "INT": ("value", 1, np.int32),
    "INT8": ("value", 1, np.int32),
    "BOOLEAN": ("value", 1, np.bool_),
    "FLOAT_VECTOR": ("vector", 3, np.float32),
    "FLOAT2": ("vector", 2, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32),
    "BYTE_COLOR": ("color", 4, np.float32),
    "QUATERNION": ("value", 4, np.float32),
}
"""Attribute type -> property, width, number type."""

BLENDED = frozenset({"FLOAT", "FLOAT_VECTOR", "FLOAT2", "FLOAT_COLOR", "BYTE_COLOR"})
WORDS = {
    "sharp_edge": "sharp edges",
    "crease_edge": "edge creases",
    "bevel_weight_edge": "bevel weights of edges",
    "custom_normal": "custom normals",
    "freestyle_edge": "Freestyle marks",
    "freestyle_face": "Freestyle marks",
    "uv_seam": "seams",
    ".uv_seam": "seams",
    ".sculpt_mask": "sculpt mask",
    ".sculpt_face_set": "face sets",
}
"""Blender's own attributes in an artist's words."""

UNSPOKEN = frozenset({"material_index", "position", "sharp_face"})
"""A result has its own: positions, one material, smooth shading."""


@dataclass
class Belongings:
    """Of a mesh object, before its mesh is replaced. `vertices` [V,3] in the domain, `faces` [F,3], of its evaluated surface."""

    vertices: np.ndarray
    faces: np.ndarray
    groups: list[tuple[str, bool]] = field(default_factory=list)
    active_group: int = 0
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    attributes: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    uv: dict[str, np.ndarray] = field(default_factory=dict)
    corner_vertex: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    properties: dict[str, object] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def belongings(item: bpy.types.Object, to_domain: np.ndarray) -> Belongings:
    """Collect them. `to_domain`: 4x4 from the object's own space to the domain. The surface is read with modifiers, weights and all."""
    base = item.data
    found = with_mesh(item, lambda mesh, evaluated: _read(mesh, evaluated, base, to_domain))
    if found is None or not len(found.faces):
        found = _read(base, item, base, to_domain)
    for layer in base.uv_layers:
        values = np.empty(len(base.loops) * 2, np.float32)
        layer.uv.foreach_get("vector", values)
        found.uv[layer.name] = values
    found.corner_vertex = np.empty(len(base.loops), np.int32)
    base.loops.foreach_get("vertex_index", found.corner_vertex)
    found.properties = {key: value.to_dict() if hasattr(value, "to_dict") else value for key, value in base.items() if key != MESH_UID}
    if base.shape_keys is not None:
        found.lost.append("shape keys")
    return found


def _read(mesh: bpy.types.Mesh, shown: bpy.types.Object, base: bpy.types.Mesh, to_domain: np.ndarray) -> Belongings:
    groups = [(group.name, group.lock_weight) for group in shown.vertex_groups]
    found = Belongings(moved(to_domain, positions(mesh)), triangles(mesh), groups, shown.vertex_groups.active_index)
    found.weights = read_weights(mesh, len(groups)) if groups else found.weights
    maps = {layer.name for layer in base.uv_layers}
    for attribute in base.attributes:
        name = attribute.name
        if name in maps or name in UNSPOKEN or (name.startswith(".") and name not in WORDS):
            continue
        values = _values(mesh.attributes.get(name)) if attribute.domain == "POINT" and not name.startswith(".") else None
        if values is not None:
            found.attributes[name] = (attribute.data_type, values)
        elif len(attribute.data):
            found.lost.append(WORDS.get(name, f"{attribute.domain.lower()} attribute '{name}'"))
    return found


def _values(attribute: bpy.types.Attribute | None) -> np.ndarray | None:
    if attribute is None or attribute.domain != "POINT" or attribute.data_type not in FIELDS:
        return None
    name, width, number = FIELDS[attribute.data_type]
    values = np.empty(len(attribute.data) * width, number)
    attribute.data.foreach_get(name, values)
    return values.reshape(-1, width)


def carry_over(old: Belongings, item: bpy.types.Object, domain_vertices: np.ndarray) -> tuple[str, ...]:
    """Give them to the item's new mesh, whose vertices lie at `domain_vertices` in the domain; the names of what stayed behind."""
    mesh = item.data
    lost = list(old.lost)
    for key, value in old.properties.items():
        mesh[key] = value
    groups = [item.vertex_groups.new(name=name) for name, _ in old.groups]
    used = [number for number, weights in enumerate(old.weights) if weights.any()]
    if used or old.attributes:
        if len(old.faces):
            hits = nearest(old.vertices, old.faces, domain_vertices)
            for number in used:
                write_weights(groups[number], hits.blend(old.weights[number]))
            for name, (kind, values) in old.attributes.items():
                _write(mesh, name, kind, hits, values)
        else:
            lost += [f"weights of '{old.groups[number][0]}'" for number in used] + [f"attribute '{name}'" for name in old.attributes]
    for group, (_, locked) in zip(groups, old.groups, strict=True):
        group.lock_weight = locked
    if groups:
        item.vertex_groups.active_index = max(0, min(old.active_group, len(groups) - 1))
    return tuple(dict.fromkeys(lost + _carry_maps(old, mesh)))


def _write(mesh: bpy.types.Mesh, name: str, kind: str, hits: Hits, values: np.ndarray) -> None:
    field_name, _, number = FIELDS[kind]
    new = hits.blend(values) if kind in BLENDED else hits.pick(values)
    attribute = mesh.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(field_name, np.ascontiguousarray(new, dtype=number).reshape(-1))


def _carry_maps(old: Belongings, mesh: bpy.types.Mesh) -> list[str]:
    """UV maps survive where every corner still stands at its vertex; else their names."""
    corner = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    if not np.array_equal(corner, old.corner_vertex):
        return [f"UV map '{name}'" for name in old.uv]
    lost = []
    for name, values in old.uv.items():
        if name == UV_NAME:
            continue
        layer = mesh.uv_layers.new(name=name, do_init=False)
        if layer is None:  # a mesh holds eight
            lost.append(f"UV map '{name}'")
        else:
            layer.uv.foreach_set("vector", flat32(values))
    return lost
