"""Previews small enough to stream, with a topology that stays while that of the run stays."""

import hashlib
from typing import NamedTuple

import fast_simplification
import numpy as np
from scipy.spatial import cKDTree

SHRINK = 0.95
FEWEST_FACES = 4


class Small(NamedTuple):
    """A surface for viewers: vertices [V,3] float32, faces [F,3] int32, colours [V,3] uint8 (display), an id of the faces."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    topology: str


class Decimator:
    """Surfaces of at most so many vertices. Each one kept is a vertex of the original, so that the same faces in are the same faces out."""

    def __init__(self) -> None:
        self._of = ("", 0)
        self._chosen: np.ndarray | None = None  # [V'] int64 vertices of the original; None: all
        self._faces = np.zeros((0, 3), np.int32)
        self._topology = ""

    def __call__(self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, most: int) -> Small:
        """vertices [V,3] float32, faces [F,3] int32, colours [V,3] uint8 -> the same surface with at most `most` vertices."""
        of = (_digest(faces, len(vertices)), most)
        if of != self._of:
            self._chosen, self._faces = (None, faces) if len(vertices) <= most else _decimated(vertices, faces, most)
            self._topology = _digest(self._faces, len(vertices) if self._chosen is None else len(self._chosen))
            self._of = of
        if self._chosen is None:
            return Small(vertices, self._faces, colours, self._topology)
        return Small(vertices[self._chosen], self._faces, colours[self._chosen], self._topology)


def _decimated(vertices: np.ndarray, faces: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The vertices to keep [V'], V' <= most, and the faces [F',3] int32 over them; empty where nothing that small is left."""
    target = 2 * most
    while target >= FEWEST_FACES:
        points, triangles = fast_simplification.simplify(vertices, faces, target_count=target)[:2]
        used = np.unique(triangles)
        if len(used) <= most:
            # Decimation moves vertices; the original nearest to each can be followed while the surface moves.
            nearest = cKDTree(vertices).query(points[used])[1]
            return np.asarray(nearest, np.int64), np.searchsorted(used, triangles).astype(np.int32)
        target = int(SHRINK * target * most / len(used))
    return np.zeros(0, np.int64), np.zeros((0, 3), np.int32)


def _digest(faces: np.ndarray, count: int) -> str:
    return hashlib.blake2b(np.ascontiguousarray(faces).tobytes() + count.to_bytes(8, "little"), digest_size=8).hexdigest()
