"""What a surface is: parameters that become a triangle mesh, differentiably.

Domain [-1, 1]^3, right-handed, +Z up, -Y front; signed distance negative inside; faces counter-clockwise seen from outside.
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class EdgeTable(NamedTuple):
    """Undirected edges of a triangle mesh, built once per topology and shared by all views of a step."""

    ends: Tensor  # [E, 2] int64, ends[:, 0] < ends[:, 1]
    opposite: Tensor  # [E, 2] int64: third vertex of each adjacent face, -1 where there is none


class Mesh(NamedTuple):
    """One triangle mesh. `vertices` carries the gradient; everything else is integers."""

    vertices: Tensor  # [V, 3] float, domain units
    faces: Tensor  # [F, 3] int64, counter-clockwise seen from outside
    edges: EdgeTable | None = None


class Surface(Protocol):
    """Parameters -> mesh. Implementations: `DMTet`, `FixedMesh`."""

    def parameters(self) -> dict[str, Tensor]:
        """Leaf tensors to optimise, by name; empty where the shape is fixed."""
        ...

    def extract(self) -> Mesh:
        """The current mesh with its edge table, differentiable in every tensor of `parameters()`; empty (V = F = 0) is legal."""
        ...

    def regularisers(self, mesh: Mesh) -> dict[str, Tensor]:
        """Scalar losses by name for the mesh just extracted; unweighted (the run weights them relative to the distillation)."""
        ...

    def constrain(self) -> None:
        """Put the parameters back inside their bounds after an optimiser step, in place (wall clamp, offset bound)."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything `load_state` needs to continue bit for bit: parameters, rest positions, masks."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None: ...
