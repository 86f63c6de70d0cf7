"""A mesh that does not change: texture mode, where only colours are learned."""

import numpy as np
import torch
from torch import Tensor

from backend.geometry.contract import Mesh
from backend.geometry.edges import edge_table


class FixedMesh:
    """A surface without parameters: vertices [V,3] domain units and faces [F,3] as they came.

    The edge table joins vertices at the same position, so that a UV seam is not taken for a silhouette; its vertex numbers are those
    of the first vertex at each position.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        self._vertices = vertices.detach().clone()
        self._faces = faces.detach().to(torch.int64).clone()
        first = torch.from_numpy(first_at_position(vertices.detach().cpu().numpy())).to(self._faces.device)
        self._mesh = Mesh(self._vertices, self._faces, edge_table(first[self._faces], len(self._vertices)))

    def parameters(self) -> dict[str, Tensor]:
        """Nothing to optimise."""
        return {}

    def extract(self) -> Mesh:
        """Always the same mesh."""
        return self._mesh

    def regularisers(self, mesh: Mesh) -> dict[str, Tensor]:
        """None: the shape is given."""
        return {}

    def constrain(self) -> None:
        """Nothing to put back."""

    def state(self) -> dict[str, Tensor]:
        """Empty: the mesh comes with the job."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError if the state is that of another kind of surface."""
        if state:
            raise ValueError(f"a fixed mesh has no state to load, got {sorted(state)}")


def first_at_position(vertices: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """For each vertex [V,3], the first vertex [V] int64 at its position, after rounding to multiples of `tolerance` (0: equal values)."""
    rounded = np.round(vertices / tolerance) if tolerance > 0 else np.asarray(vertices, dtype=np.float64)
    rounded = np.ascontiguousarray(rounded)
    if len(rounded) == 0:
        return np.zeros(0, dtype=np.int64)
    _, first, group = np.unique(rounded.view([("", rounded.dtype)] * 3).ravel(), return_index=True, return_inverse=True)
    return first[group.ravel()].astype(np.int64)
