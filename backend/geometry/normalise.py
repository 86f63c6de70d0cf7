"""Sketch units to domain and back."""

from typing import NamedTuple

import numpy as np

from backend.errors import UserError

LONGEST_SIDE = 1.6
"""Of a sketch in the domain [-1,1]^3; leaves room to grow."""


class Placement(NamedTuple):
    """Two affine matrices [4,4] float64 for column vectors, inverse to each other."""

    to_domain: np.ndarray
    to_sketch: np.ndarray


def fit_domain(vertices: np.ndarray, longest_side: float = LONGEST_SIDE) -> Placement:
    """The uniform scale and shift that centre the bounding box of `vertices` [V,3] and make its longest side `longest_side`.

    Raises UserError if the box has no size.
    """
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    size = float((high - low).max())
    if not size > 0:
        raise UserError("The sketch has no size: all of its vertices are at one point.", "Check the scale of the object.")
    scale = longest_side / size
    centre = (low + high) / 2
    to_domain, to_sketch = np.eye(4), np.eye(4)
    to_domain[:3, :3] *= scale
    to_domain[:3, 3] = -scale * centre
    to_sketch[:3, :3] /= scale
    to_sketch[:3, 3] = centre
    return Placement(to_domain, to_sketch)


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [P,3] float32 moved by an affine matrix [4,4]; computed in double precision."""
    moved: np.ndarray = (points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    return moved
