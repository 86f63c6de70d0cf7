"""Closed-form shapes and judgements of meshes, shared by the geometry tests."""

import numpy as np
import torch
import trimesh
from torch import Tensor

from backend.geometry.clean import is_watertight
from backend.geometry.contract import Mesh
from backend.geometry.kuhn import KuhnGrid


def sphere(grid: KuhnGrid, radius: float = 0.7, dtype: torch.dtype = torch.float32) -> Tensor:
    return grid.positions.to(dtype).norm(dim=1) - radius


def torus(grid: KuhnGrid, ring: float = 0.5, tube: float = 0.2) -> Tensor:
    flat = grid.positions[:, :2].norm(dim=1) - ring
    return torch.stack([flat, grid.positions[:, 2]], 1).norm(dim=1) - tube


def noise(grid: KuhnGrid, seed: int = 0) -> Tensor:
    """White noise with the wall pushed outside."""
    values = torch.randn(grid.vertex_count, generator=torch.Generator().manual_seed(seed)) * grid.h
    return torch.where(grid.wall, values.abs() + grid.h / 2, values)


def volume(vertices: Tensor, faces: Tensor) -> Tensor:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return (a * torch.linalg.cross(b, c)).sum() / 6


def euler(mesh: Mesh) -> int:
    assert mesh.edges is not None
    return len(mesh.vertices) - len(mesh.edges.ends) + len(mesh.faces)


def assert_closed(mesh: Mesh) -> None:
    """Watertight, every vertex used, every edge with two faces that agree."""
    assert mesh.edges is not None
    faces = mesh.faces.numpy()
    assert is_watertight(faces, len(mesh.vertices))
    assert (mesh.edges.opposite >= 0).all()
    assert len(np.unique(faces)) == len(mesh.vertices)


def tube(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, *, capped: bool = True) -> trimesh.Trimesh:
    mesh = trimesh.creation.cylinder(radius, segment=(start, end), sections=12)
    if not capped:
        axis = np.subtract(end, start) / np.linalg.norm(np.subtract(end, start))
        mesh.update_faces(np.abs(mesh.face_normals @ axis) < 0.5)
    return mesh
