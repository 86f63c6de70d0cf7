# SPDX-License-Identifier: GPL-3.0-or-later
"""Strokes as closed tubes with round ends, swept with a parallel-transport frame. Plain numpy, no Blender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = 12
SIDES_OF_MANY = 8
MANY_POINTS = 20_000
SPACING = 0.6
"""Points closer than this share of the radius add nothing but folds, and are left out."""

CAP_ANGLES = np.radians([30.0, 60.0])


@dataclass(frozen=True)
class Strokes:
    """Polylines: `points` [N,3] float64, `starts` [S] first point of each, `cyclic` [S], `radii` [N], `colours` [N,3] (NaN unknown)."""

    points: np.ndarray
    starts: np.ndarray
    cyclic: np.ndarray
    radii: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True)
class _Path:
    points: np.ndarray
    tangents: np.ndarray
    radii: np.ndarray
    origin: np.ndarray
    cyclic: bool


def tubes(strokes: Strokes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [V,3] float64, faces [F,3] int64 outward, and the stroke point that each vertex belongs to [V]."""
    ends = np.append(strokes.starts[1:], len(strokes.points))[: len(strokes.starts)]
    paths = [
        _path(strokes, np.arange(start, end), bool(cyclic))
        for start, end, cyclic in zip(strokes.starts, ends, strokes.cyclic, strict=True)
        if end > start
    ]
    if not paths:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    sides = SIDES if sum(len(path.points) for path in paths) < MANY_POINTS else SIDES_OF_MANY
    normals = _transport([path.tangents for path in paths])
    vertices, faces, origins, first = [], [], [], 0
    for path, normal in zip(paths, normals, strict=True):
        rings = _rings(path, normal, sides)
        triangles = _walls(len(path.points), sides, path.cyclic)
        if not path.cyclic:
            poles = path.points[[0, -1]] + path.tangents[[0, -1]] * (path.radii[[1, -2]] * [-1, 1])[:, None] * _POLE
            rings = np.concatenate([rings, poles])
            triangles = np.concatenate([triangles, _fans(len(path.points), sides)])
        vertices.append(rings)
        faces.append(triangles + first)
        origins.append(np.concatenate([np.repeat(path.origin, sides), path.origin[[0, -1]] if not path.cyclic else path.origin[:0]]))
        first += len(rings)
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(origins)


_POLE = (1 - np.sin(CAP_ANGLES[-1])) / np.cos(CAP_ANGLES[-2])
"""How far a pole stands out of the last ring, against the radius of the ring before it: closes the hemisphere."""


def _path(strokes: Strokes, index: np.ndarray, cyclic: bool) -> _Path:
    """One stroke, thinned, with the rings of its round ends."""
    index = _thinned(strokes.points[index], strokes.radii[index], index)
    points, radii = strokes.points[index], strokes.radii[index]
    if cyclic and len(index) > 2 and np.allclose(points[0], points[-1], rtol=0, atol=SPACING / 2 * radii[0]):
        index, points, radii = index[:-1], points[:-1], radii[:-1]
    cyclic = cyclic and len(points) > 2
    if len(points) == 1:
        steps = np.array([[0.0, 0.0, 1.0]])
    else:
        steps = np.diff(points, axis=0, append=points[:1]) if cyclic else np.diff(points, axis=0)
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    if cyclic:
        tangents = _unit(steps + np.roll(steps, 1, axis=0), steps)
        return _Path(points, tangents, radii, index, True)
    before, after = np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])
    tangents = _unit(before + after, after) if len(points) > 1 else steps
    out, shrink = np.sin(CAP_ANGLES)[:, None], np.cos(CAP_ANGLES)
    head = points[0] - tangents[0] * radii[0] * out[::-1]
    tail = points[-1] + tangents[-1] * radii[-1] * out
    extra = len(CAP_ANGLES)
    return _Path(
        np.concatenate([head, points, tail]),
        np.concatenate([np.repeat(tangents[:1], extra, 0), tangents, np.repeat(tangents[-1:], extra, 0)]),
        np.concatenate([radii[0] * shrink[::-1], radii, radii[-1] * shrink]),
        np.concatenate([np.repeat(index[:1], extra), index, np.repeat(index[-1:], extra)]),
        False,
    )


def _thinned(points: np.ndarray, radii: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The points to keep: the first, the last, and one per `SPACING` of the radius between."""
    if len(points) < 2:
        return index
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    spacing = SPACING * float(np.median(radii))
    keep = np.diff(np.floor(travelled / spacing), prepend=-1.0) > 0
    keep[-1] = travelled[-1] > 0
    if travelled[-1] > 0 and keep.sum() > 2:
        last = np.flatnonzero(keep)[-2]
        keep[last] = last == 0 or travelled[-1] - travelled[last] >= spacing / 2
    return index[keep]


def _unit(vectors: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), fallback)


def _transport(tangents: list[np.ndarray]) -> list[np.ndarray]:
    """For every path a normal per point that turns no more than the path does. All paths step along together."""
    count = np.array([len(path) for path in tangents])
    padded = np.stack([np.concatenate([path, np.repeat(path[-1:], count.max() - len(path), 0)]) for path in tangents])
    normals = np.empty_like(padded)
    axis = np.eye(3)[np.abs(padded[:, 0]).argmin(axis=1)]
    normals[:, 0] = _unit(np.cross(padded[:, 0], axis), axis)
    for step in range(1, padded.shape[1]):
        normals[:, step] = _carried(normals[:, step - 1], padded[:, step - 1], padded[:, step])
    return [normals[row, :length] for row, length in enumerate(count)]


def _carried(normal: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Normals [S,3] turned by the rotation from one tangent to the next, made square again."""
    axis = np.cross(before, after)
    cosine = np.einsum("ij,ij->i", before, after)[:, None]
    along = np.einsum("ij,ij->i", axis, normal)[:, None]
    turned = normal * cosine + np.cross(axis, normal) + axis * along / np.maximum(1 + cosine, 1e-6)
    turned -= after * np.einsum("ij,ij->i", after, turned)[:, None]
    square = np.cross(after, np.eye(3)[np.abs(after).argmin(axis=1)])
    return _unit(turned, _unit(square, square))


def _rings(path: _Path, normals: np.ndarray, sides: int) -> np.ndarray:
    """A ring of vertices around every point [N*sides,3]. A closed path spreads what its frame has turned over its length."""
    binormals = np.cross(path.tangents, normals)
    twist = np.zeros(len(normals))
    if path.cyclic:
        back = _carried(normals[-1:], path.tangents[-1:], path.tangents[:1])[0]
        twist = np.linspace(0, 1, len(normals), endpoint=False) * -np.arctan2(back @ binormals[0], back @ normals[0])
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + twist[:, None]
    spokes = np.cos(angle)[..., None] * normals[:, None] + np.sin(angle)[..., None] * binormals[:, None]
    return (path.points[:, None] + path.radii[:, None, None] * spokes).reshape(-1, 3)


def _walls(rings: int, sides: int, cyclic: bool) -> np.ndarray:
    first = np.arange(rings if cyclic else rings - 1)[:, None] * sides
    following = (first + sides) % (rings * sides)
    here = np.arange(sides)[None]
    there = (here + 1) % sides
    a, b, c, d = first + here, first + there, following + there, following + here
    return np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=2).reshape(-1, 3)


def _fans(rings: int, sides: int) -> np.ndarray:
    here = np.arange(sides)
    there = (here + 1) % sides
    last = (rings - 1) * sides
    head, tail = np.full(sides, rings * sides), np.full(sides, rings * sides + 1)
    return np.concatenate([np.stack([head, there, here], -1), np.stack([tail, last + here, last + there], -1)])
