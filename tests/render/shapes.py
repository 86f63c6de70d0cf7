"""Small meshes and rigs shared by the tests of this folder."""

import numpy as np
import torch
import trimesh

from backend.geometry.contract import Mesh
from backend.geometry.edges import edge_table
from backend.render.cameras import Cameras, orbit


def mesh_of(shape: trimesh.Trimesh, dtype: torch.dtype = torch.float32) -> Mesh:
    faces = torch.tensor(np.asarray(shape.faces, np.int64))
    return Mesh(torch.tensor(np.asarray(shape.vertices), dtype=dtype), faces, edge_table(faces, len(shape.vertices)))


def sphere(subdivisions: int = 3, radius: float = 0.7) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def torus() -> Mesh:
    return mesh_of(trimesh.creation.torus(0.55, 0.22, major_sections=48, minor_sections=24))


def box() -> Mesh:
    shape = trimesh.creation.box((1.0, 0.8, 1.1))
    shape.apply_transform(trimesh.transformations.euler_matrix(0.3, 0.2, 0.5))
    return mesh_of(shape)


SHAPES = {"sphere": sphere, "torus": torus, "box": box}


def rig(views: int = 2) -> Cameras:
    """Cameras in general position."""
    azimuth, elevation = [23.0, 151.0, 262.0, 80.0][:views], [17.0, 38.0, -12.0, 71.0][:views]
    return orbit(azimuth, elevation, 35.0, 0.85, radius=1.0)


def flat_clip(corners: list[tuple[float, float, float]], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Clip coordinates [1, V, 4] of points given as (x, y, depth) in -1..1, y downwards, w = 1."""
    points = torch.tensor(corners, dtype=dtype)
    return torch.cat((points, torch.ones(len(points), 1, dtype=dtype)), -1)[None]
