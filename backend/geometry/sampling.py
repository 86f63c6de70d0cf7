"""Points spread evenly over triangles, and grid values at points."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.geometry.kuhn import KuhnGrid


class Samples(NamedTuple):
    """`points` [P,3] float64 on `face` [P], with that face's unit `normals` [P,3] and the `bary` [P,3] of the point in it."""

    points: np.ndarray
    face: np.ndarray
    normals: np.ndarray
    bary: np.ndarray


def sample_surface(vertices: np.ndarray, faces: np.ndarray, count: int, seed: int = 0) -> Samples:
    """`count` points in proportion to area, stratified, the same for the same seed; none for a mesh without area."""
    a, b, c = np.asarray(vertices, dtype=np.float64)[faces].transpose(1, 0, 2)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        none = np.zeros((0, 3))
        return Samples(none, np.zeros(0, dtype=np.int64), none, none)
    random = np.random.default_rng(seed)
    at = (np.arange(count) + random.random(count)) / count
    face = np.minimum(np.searchsorted(np.cumsum(area) / area.sum(), at), len(faces) - 1)
    u, v = random.random((2, count))
    fold = u + v > 1
    u[fold], v[fold] = 1 - u[fold], 1 - v[fold]
    bary = np.stack([1 - u - v, u, v], 1)
    points = bary[:, :1] * a[face] + bary[:, 1:2] * b[face] + bary[:, 2:] * c[face]
    return Samples(points, face, cross[face] / np.maximum(area[face], 1e-300)[:, None], bary)


def at_points(grid: KuhnGrid, values: Tensor, points: Tensor) -> Tensor:
    """Trilinear interpolation [P] of grid values [N] at points [P,3]; points outside the domain take the value at its wall."""
    place = ((points.to(values) + 1) / grid.h).clamp(0, grid.n)
    low = place.floor().clamp_max(grid.n - 1)
    share = place - low
    i, j, k = low.long().unbind(1)
    corners = values[((i * (grid.n + 1) + j) * (grid.n + 1) + k)[:, None] + grid.corner_offset].view(-1, 2, 2, 2)
    x, y, z = (share[:, axis] for axis in range(3))
    plane = torch.lerp(corners[:, 0], corners[:, 1], x[:, None, None])
    line = torch.lerp(plane[:, 0], plane[:, 1], y[:, None])
    return torch.lerp(line[:, 0], line[:, 1], z)
