"""Polygons to triangles that keep their corners, concave ones included."""

from typing import NamedTuple

import numpy as np

from backend.assets.mesh import PolygonMesh


class Triangulation(NamedTuple):
    """`faces` [F,3] int64 vertices; `corner` [F,3] int64 the polygon corner (loop) each came from; `polygon` [F] int64."""

    faces: np.ndarray
    corner: np.ndarray
    polygon: np.ndarray


def triangulate(mesh: PolygonMesh) -> Triangulation:
    """n - 2 triangles for each polygon of n corners, in polygon order, wound as the polygon.

    Triangles stay; quads are cut along the diagonal that does not fold them; larger ones are cut ear by ear in their own plane.
    Polygons of fewer than three corners give nothing, and ones without an area a fan.
    """
    size = np.diff(np.append(mesh.polygon_start, len(mesh.loop_vertex)))
    corners: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    points = mesh.vertices.astype(np.float64)

    three = np.flatnonzero(size == 3)
    corners.append(mesh.polygon_start[three][:, None] + np.arange(3))
    owners.append(three)

    four = np.flatnonzero(size == 4)
    loops = mesh.polygon_start[four][:, None] + np.arange(4)
    split_02 = _diagonal_02(points[mesh.loop_vertex[loops]])[:, None]
    corners.append(np.where(split_02, loops[:, [0, 1, 2]], loops[:, [1, 2, 3]]))
    corners.append(np.where(split_02, loops[:, [0, 2, 3]], loops[:, [1, 3, 0]]))
    owners += [four, four]

    for polygon in np.flatnonzero(size > 4):
        loop = mesh.polygon_start[polygon] + np.arange(size[polygon])
        ears = cut_ears(points[mesh.loop_vertex[loop]])
        corners.append(loop[ears])
        owners.append(np.full(len(ears), polygon))

    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    corner = np.concatenate([c.reshape(-1, 3) for c in corners])[order].astype(np.int64)
    return Triangulation(mesh.loop_vertex[corner].reshape(-1, 3).astype(np.int64), corner, owner[order].astype(np.int64))


def _diagonal_02(quads: np.ndarray) -> np.ndarray:
    """Whether quads [Q,4,3] are better cut from corner 0 to 2 than from 1 to 3: the cut whose two normals agree more."""

    def agreement(one: list[int], two: list[int]) -> np.ndarray:
        normals = [np.cross(quads[:, b] - quads[:, a], quads[:, c] - quads[:, a]) for a, b, c in (one, two)]
        lengths = [np.maximum(np.linalg.norm(n, axis=1), 1e-300) for n in normals]
        return np.asarray((normals[0] * normals[1]).sum(1) / (lengths[0] * lengths[1]))

    return agreement([0, 1, 2], [0, 2, 3]) >= agreement([1, 2, 3], [1, 3, 0]) - 1e-9


def cut_ears(polygon: np.ndarray) -> np.ndarray:
    """Triangles [n-2,3] over the corners of one polygon [n,3], projected along its mean normal."""
    following = np.roll(polygon, -1, axis=0)
    normal = np.cross(polygon - polygon[0], following - polygon[0]).sum(0)
    length = np.linalg.norm(normal)
    if length < 1e-300:
        return _fan(np.arange(len(polygon)))
    normal = normal / length
    side = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    side /= np.linalg.norm(side)
    flat = np.stack([polygon @ side, polygon @ np.cross(normal, side)], 1)  # counter-clockwise
    left = list(range(len(polygon)))
    ears: list[list[int]] = []
    while len(left) > 3:
        at = next((i for i in range(len(left)) if _is_ear(flat, left, i)), None)
        if at is None:  # it crosses itself: no cut is right, and the count must still be n - 2
            return np.concatenate([np.array(ears, dtype=np.int64).reshape(-1, 3), _fan(np.array(left))])
        ears.append([left[at - 1], left[at], left[(at + 1) % len(left)]])
        del left[at]
    return np.array([*ears, left], dtype=np.int64)


def _fan(corners: np.ndarray) -> np.ndarray:
    return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], 1).astype(np.int64)


def _is_ear(flat: np.ndarray, left: list[int], at: int) -> bool:
    a, b, c = flat[left[at - 1]], flat[left[at]], flat[left[(at + 1) % len(left)]]
    if _turn(a, b, c) <= 0:
        return False
    others = flat[[i for i in left if i not in (left[at - 1], left[at], left[(at + 1) % len(left)])]]
    within = (_turn(a, b, others) >= 0) & (_turn(b, c, others) >= 0) & (_turn(c, a, others) >= 0)
    own = np.stack([a, b, c])
    touches = (others[:, None] == own).all(2).any(1)  # a slit to a hole visits the same place twice
    return not bool((within & ~touches).any())


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.asarray((b[0] - a[0]) * (c[..., 1] - a[1]) - (b[1] - a[1]) * (c[..., 0] - a[0]))
