"""A closed mesh again from a coarser grid: the way out when noise has tied a surface into too many handles."""

import numpy as np
import torch

from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march
from backend.geometry.mesh_queries import MeshQueries


def remesh(
    vertices: np.ndarray,  # [V, 3] inside the domain
    faces: np.ndarray,  # [F, 3] closed
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The surface of the same solid on a grid of n cells; handles and crumbs below the cell size are gone. Closed, maybe empty."""
    grid = KuhnGrid(n)
    queries = MeshQueries(torch.from_numpy(vertices), torch.from_numpy(faces), winding=True)
    distance = queries.nearest(grid.positions).distance
    sdf = torch.where(queries.inside(grid.positions), -distance, distance)
    sdf = torch.where(grid.wall, sdf.clamp_min(grid.h / 2), sdf)
    crossings = march(grid, sdf, grid.positions)
    return crossings.vertices.numpy(), crossings.faces.numpy()
