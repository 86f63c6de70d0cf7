# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a result moved what was marked to be kept."""

from __future__ import annotations

import numpy as np

from .identity import Reading
from .nearest import nearest

TOLERANCE = 1e-3
"""Share of the diagonal above which a version gets a warning."""


def kept_movement(reading: Reading | None, vertices: np.ndarray, faces: np.ndarray) -> float | None:
    """Largest distance from a fully kept point of the sketch to the result, over the result's diagonal; None if nothing was kept."""
    points = reading.kept_points() if reading is not None else np.zeros((0, 3))
    if not len(points):
        return None
    diagonal = float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0)))
    return float(nearest(vertices, faces, points).distance.max()) / (diagonal or 1.0)


def warning(moved: float | None) -> str:
    """A sentence for the version, "" within the tolerance."""
    if moved is None or moved <= TOLERANCE:
        return ""
    return f"Kept parts moved by up to {100 * moved:.2g} % of the size."
