"""Colours that stay exactly as they were on the kept part of a surface.

A shared colour field cannot be pinned by masking gradients: any step moves it everywhere. So kept points read another,
frozen function: c = m c_frozen + (1 - m) c_live.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

SNAP = 1e-5  # interpolation weights sum to 1 only up to rounding; keep values this close to 0 or 1 count as 0 or 1


class KeptColour(nn.Module):
    """[P, 3] -> [P, 3]: `frozen` where `keep` is 1, bit for bit, `live` where it is 0, their mixture in between.

    Neither `frozen` nor `keep` receives a gradient. `keep` maps points [P, 3] to [P] in 0..1.
    """

    def __init__(self, frozen: Callable[[Tensor], Tensor], live: nn.Module, keep: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        # Kept in a tuple, so that the frozen colours are no parameters of this module.
        self._fixed = (frozen, keep)
        self.live = live

    def forward(self, points: Tensor) -> Tensor:
        frozen, keep = self._fixed
        with torch.no_grad():
            m = keep(points)[:, None]
            m = torch.where(m < SNAP, 0.0, torch.where(m > 1 - SNAP, 1.0, m))
            kept = frozen(points)
        # where(), not a product by zero: a live colour that is not finite must not reach a kept point.
        return torch.where(m == 1, kept, m * kept + (1 - m) * self.live(points))

    def parameter_groups(self, *rates: float) -> list[dict]:
        """Those of the live field."""
        return self.live.parameter_groups(*rates)


def snapshot(field: nn.Module) -> nn.Module:
    """A copy of the field as it is now, without gradients."""
    return copy.deepcopy(field).requires_grad_(False)


class GridValues:
    """Trilinear lookup in values on the regular grid over [-1, 1]^3: [P, 3] -> [P]. Outside, the border's value.

    `values` is [n+1, n+1, n+1], indexed [x, y, z] as the vertices of the Kuhn grid.
    """

    def __init__(self, values: Tensor) -> None:
        if values.ndim != 3:
            raise ValueError(f"values must be [n+1, n+1, n+1], got {list(values.shape)}")
        self.values = values.detach()

    def __call__(self, points: Tensor) -> Tensor:
        # grid_sample wants the coordinate of the last axis first.
        where = points.flip(-1)[None, None, None].to(self.values.dtype)
        volume = self.values[None, None]
        return functional.grid_sample(volume, where, mode="bilinear", padding_mode="border", align_corners=True).view(-1)
