# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preview shows until the server sends one: the sketch as it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..ports import Surface

UNCOLOURED = 190
"""Display value of a vertex whose colour the sketch leaves open."""


def sketched(arrays: dict[str, np.ndarray]) -> Surface | None:
    """The surface in a job's arrays; None where there is none."""
    vertices = arrays.get("vertices")
    faces = _triangles(arrays) if "polygon_start" in arrays else arrays.get("faces")
    if vertices is None or faces is None or not len(faces):
        return None
    return vertices, faces, _display(arrays.get("colours"), len(vertices))


def _triangles(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Every polygon as a fan around its first corner [F,3]."""
    start, corner = arrays["polygon_start"].astype(np.int64), arrays["corner_vertex"]
    count = np.diff(np.append(start, len(corner))) - 2
    first = np.repeat(start, count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
    faces: np.ndarray = corner[np.stack([first, first + step, first + step + 1], axis=1)]
    return faces


def _display(linear: np.ndarray | None, count: int) -> np.ndarray:
    """Linear colours as sRGB bytes [V,3]; grey where there are none."""
    shown = np.full((count, 3), UNCOLOURED, dtype=np.uint8)
    if linear is not None:
        known = np.isfinite(linear).all(axis=1)
        value = np.clip(linear[known].astype(np.float64), 0, 1)
        encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
        shown[known] = np.rint(255 * encoded).astype(np.uint8)
    return shown
