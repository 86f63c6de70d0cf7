# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the scene and the domain: a cube from -1 to 1 in which the longest side of a sketch is 1.6. All in float64."""

from __future__ import annotations

import numpy as np

from ..ports import Matrix

LONGEST_SIDE = 1.6


def matrix_from(values: object) -> np.ndarray:
    """4x4 float64 from a Blender matrix or from 16 row-major numbers."""
    return np.array([tuple(row) for row in values] if hasattr(values, "to_quaternion") else values, dtype=np.float64).reshape(4, 4)


def flat(matrix: np.ndarray) -> Matrix:
    """The 16 numbers of a matrix, row-major."""
    return tuple(float(value) for value in matrix.reshape(-1))


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N,3] under a 4x4 matrix, float64."""
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def mirrors(matrix: np.ndarray) -> bool:
    """Whether a matrix turns faces inside out."""
    return bool(np.linalg.det(matrix[:3, :3]) < 0)


def bounds_to_world(points: np.ndarray) -> np.ndarray:
    """The 4x4 matrix from the domain to where `points` [N,3] lie; a single point counts as of size 1."""
    low, high = points.min(axis=0), points.max(axis=0)
    longest = float((high - low).max()) or 1.0
    to_world = np.eye(4)
    to_world[:3, :3] *= longest / LONGEST_SIDE
    to_world[:3, 3] = (low + high) / 2
    return to_world
