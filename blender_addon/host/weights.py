# SPDX-License-Identifier: GPL-3.0-or-later
"""Vertex groups as arrays. Blender has no bulk access to weights: reading passes over the vertices once, writing once per weight level."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np

LEVELS = 1000
"""Weights are written in steps of 1/1000."""


def read_weights(mesh: bpy.types.Mesh, groups: int) -> np.ndarray:
    """Weights [groups, V] float32, 0 for vertices outside a group."""
    weights = np.zeros((groups, len(mesh.vertices)), dtype=np.float32)
    work = bmesh.new()
    try:
        work.from_mesh(mesh)
        layer = work.verts.layers.deform.active
        if layer is not None:
            entries = [(group, index, weight) for index, vertex in enumerate(work.verts) for group, weight in vertex[layer].items()]
            if entries:
                table = np.array(entries, dtype=np.float64)
                table = table[table[:, 0] < groups]
                weights[table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)] = table[:, 2]
    finally:
        work.free()
    return weights


def write_weights(group: bpy.types.VertexGroup, weights: np.ndarray) -> None:
    """Give every vertex with a weight above zero [V] its place in the group."""
    level = np.rint(weights * LEVELS).astype(np.int64)
    order = np.argsort(level, kind="stable")
    values, starts = np.unique(level[order], return_index=True)
    for value, members in zip(values, np.split(order, starts[1:]), strict=True):
        if value > 0:
            group.add(members.tolist(), value / LEVELS, "REPLACE")
