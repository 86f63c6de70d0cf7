# SPDX-License-Identifier: GPL-3.0-or-later
"""The nearest point of a surface, with what is needed to interpolate there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mathutils.bvhtree import BVHTree


@dataclass(frozen=True)
class Hits:
    """Per query: the corners of the triangle that is nearest [N,3], barycentric weights there [N,3], and the distance [N]."""

    corners: np.ndarray
    weights: np.ndarray
    distance: np.ndarray

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Values [V,...] interpolated."""
        return np.einsum("nk,nk...->n...", self.weights, values[self.corners].astype(np.float64))

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Values [V,...] of the corner that counts most."""
        return values[self.corners[np.arange(len(self.corners)), self.weights.argmax(axis=1)]]


def nearest(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> Hits:
    """Nearest points of the surface (vertices [V,3], faces [F,3]) to `points` [N,3]. The search is one C call per point."""
    tree = BVHTree.FromPolygons(vertices.tolist(), faces.tolist(), all_triangles=True)
    find = tree.find_nearest
    found = [find(point) for point in points.tolist()]
    face = np.array([hit[2] for hit in found], dtype=np.int64)
    where = np.array([hit[0][:] for hit in found], dtype=np.float64).reshape(-1, 3)
    corners = faces[face]
    return Hits(corners, _barycentric(where, vertices[corners].astype(np.float64)), np.array([hit[3] for hit in found], dtype=np.float64))


def _barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Weights [N,3] of points in triangles [N,3,3]; a triangle without area counts its first corner."""
    u, v, w = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0], points - triangles[:, 0]
    uu, uv, vv, wu, wv = (np.einsum("ij,ij->i", a, b) for a, b in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    area = uu * vv - uv * uv
    safe = np.where(area > 0, area, 1.0)
    second, third = (vv * wu - uv * wv) / safe, (uu * wv - uv * wu) / safe
    weights = np.stack([1 - second - third, second, third], axis=1).clip(0, 1)
    weights[area <= 0] = (1, 0, 0)
    return weights / weights.sum(axis=1, keepdims=True)
