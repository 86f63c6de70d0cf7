"""How thick a stroke is at each point of its surface: the ball inside that touches it there."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from backend.geometry.mesh_queries import FAR, MeshQueries

CONES_DEG = (30.0, 50.0)
RAYS_PER_CONE = 6
LOW_SHARE = 0.3
"""Of the estimates of one point the one at this rank is taken: near the smallest, yet not that of one ray into a corner."""
MOST_SAMPLES = 12_000


def stroke_radius(
    queries: MeshQueries,
    vertices: np.ndarray,  # [V, 3] domain units
    faces: np.ndarray,  # [F, 3] one oriented stroke
    cap: float,
) -> np.ndarray:  # [F]
    """Radius at each face of one stroke, at most `cap`.

    A ray of length L at angle a to the inward normal ends on the ball of radius L / (2 cos a) that touches its start: exact in
    spheres, tubes and slabs. Rays that leave through an open end are ignored; a face with no other ray gets the stroke's median,
    and a stroke with none at all gets `cap`. Above 12 000 faces, the rest take the value of their nearest sampled one.
    """
    a, b, c = vertices[faces].transpose(1, 0, 2)
    centres = (a + b + c) / 3
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    step = -(-len(faces) // MOST_SAMPLES)
    sampled = np.arange(0, len(faces), step)
    directions, cosines = _cone(-normals[sampled])  # [S,R,3], [R]
    starts = np.repeat(centres[sampled] - 1e-5 * normals[sampled], len(cosines), axis=0)
    length = queries.way_out(torch.from_numpy(starts), torch.from_numpy(directions.reshape(-1, 3))).cpu().numpy().reshape(-1, len(cosines))
    radius = np.where(length < FAR, length / (2 * cosines), np.nan)
    radius.sort(axis=1)  # misses last
    hits = np.isfinite(radius).sum(1)
    value = radius[np.arange(len(sampled)), np.floor(LOW_SHARE * np.maximum(hits - 1, 0)).astype(int)]
    known = np.isfinite(value)
    value[~known] = np.median(value[known]) if known.any() else cap
    value = np.minimum(value, cap)
    if step == 1:
        return value
    return value[cKDTree(centres[sampled]).query(centres)[1]]


def _cone(axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions [S,R,3] around unit `axes` [S,3], and the cosine [R] of each to its axis."""
    helper = np.where(np.abs(axes[:, :1]) < 0.7, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    side = np.cross(axes, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(axes, side)
    directions, cosines = [axes], [1.0]
    for ring, angle_deg in enumerate(CONES_DEG):
        angle = np.radians(angle_deg)
        for k in range(RAYS_PER_CONE):
            turn = 2 * np.pi * (k + 0.5 * ring) / RAYS_PER_CONE
            directions.append(np.cos(angle) * axes + np.sin(angle) * (np.cos(turn) * side + np.sin(turn) * other))
            cosines.append(float(np.cos(angle)))
    return np.stack(directions, 1), np.array(cosines)
