"""Smooth vertex normals."""

import torch
from torch import Tensor


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """[V, 3] unit normals: the area-weighted mean of the faces around each vertex, outward for counter-clockwise faces.

    Differentiable. Vertices of no face, or of degenerate faces only, get the zero vector.
    """
    corners = vertices.index_select(0, faces.reshape(-1)).view(-1, 3, 3)
    first = corners[:, 0]
    doubled = torch.linalg.cross(corners[:, 1] - first, corners[:, 2] - first)  # length = twice the area
    total = torch.zeros_like(vertices).index_add(0, faces.reshape(-1), doubled.repeat_interleave(3, 0, output_size=3 * len(faces)))
    return normalise(total)  # twice an area: 1e-4 on a fine grid, far above the floor


def normalise(vectors: Tensor, floor: float = 1e-8) -> Tensor:
    """Unit vectors along the last axis. Vectors far shorter than `floor` shrink to zero instead of becoming NaN, so do gradients
    stay below 1/floor."""
    return vectors * (vectors.square().sum(-1, keepdim=True) + floor**2).rsqrt()
