"""Small unwrapped meshes for the tests of this folder."""

from functools import cache

import numpy as np
import torch
import trimesh
import xatlas
from torch import Tensor


@cache
def unwrapped(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices [V, 3], faces [F, 3] and per-corner uv [F, 3, 2]."""
    if kind == "torus":
        shape = trimesh.creation.torus(0.55, 0.25, major_sections=36, minor_sections=18)
    else:
        shape = trimesh.creation.icosphere(subdivisions=3, radius=0.7)
    source, index, uv = xatlas.parametrize(shape.vertices.astype(np.float32), shape.faces.astype(np.uint32))
    vertices = torch.tensor(np.asarray(shape.vertices), dtype=torch.float32)
    return vertices, torch.tensor(source[index].astype(np.int64)), torch.tensor(uv[index].astype(np.float32))


def colours(points: Tensor) -> Tensor:
    """A smooth colour function with detail of about a tenth of the domain."""
    return 0.5 + 0.4 * torch.sin(torch.stack((5 * points[:, 0] + 2 * points[:, 2], 6 * points[:, 1], 4 * points[:, 2] - points[:, 0]), -1))


def surface_samples(vertices: Tensor, faces: Tensor, count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random faces [P], barycentrics [P, 3] and their points [P, 3]."""
    generator = torch.Generator().manual_seed(seed)
    face = torch.randint(len(faces), (count,), generator=generator)
    bary = -torch.rand(count, 3, generator=generator).clamp_min(1e-6).log()
    bary = bary / bary.sum(-1, keepdim=True)
    return face, bary, (vertices[faces[face]] * bary[..., None]).sum(1)
