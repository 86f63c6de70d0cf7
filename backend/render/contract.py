"""What a rasteriser is: triangles in clip space -> pixels with gradients.

Clip depth -1..1, image row 0 at the top (clip y = -1 is the top row: the projection carries the flip), colours linear.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from backend.geometry.contract import Mesh


class Availability(NamedTuple):
    """Whether a backend can run on a device, and one sentence why not."""

    ok: bool
    reason: str = ""


class Visibility(NamedTuple):
    """Which face each pixel sees. Integers: no gradient. Depth is recomputed from the fragments, so that all backends agree on it."""

    face: Tensor  # [B, H, W] int64, -1 = background


class Fragments(NamedTuple):
    """Covered pixels as a flat list, in increasing pixel order."""

    pixel: Tensor  # [P] int64 = (b*H + y)*W + x
    face: Tensor  # [P] int64
    bary: Tensor  # [P, 3] perspective-correct barycentrics, differentiable in the clip positions
    depth: Tensor  # [P] z/w, no gradient


Shade = Callable[[Tensor, Tensor, Fragments], Tensor]
"""(points [P,3] domain units, unit normals [P,3], fragments) -> colours [P,C], linear."""


class Rasterizer(Protocol):
    """Visibility backend plus the shared differentiable pipeline. Implementations: `WarpRasterizer`, `TorchRasterizer`."""

    name: str

    def available(self, device: torch.device) -> Availability:
        """Never raises and never imports at module import; the reason is shown by `doctor`."""
        ...

    def visibility(self, clip: Tensor, faces: Tensor, size: tuple[int, int], cull: bool = False) -> Visibility:
        """clip [B,V,4], faces [F,3], size (H, W) -> nearest face per pixel; ties go to the smaller face index."""
        ...

    def render(self, mesh: Mesh, clip: Tensor, size: tuple[int, int], shade: Shade, background: Tensor) -> Tensor:
        """[B,H,W,C+1] linear, last channel coverage; antialiased, differentiable; background [B,C] or [B,H,W,C].

        An empty mesh, or one outside every view, gives pure background and zero gradients.
        """
        ...
