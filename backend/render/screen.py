"""From clip space to pixels: the one place where the viewport is written down."""

import torch
from torch import Tensor

MIN_W = 1e-6  # vertices at or behind the camera's plane: their faces and edges are dropped, not clipped

# Nearest-wins keys: depth in the upper 31 bits, a payload in the lower 32, so that a signed 64-bit minimum orders them. The
# scale stays short of 2^31 because the largest float below 1 must not round up to it.
KEY_SCALE = float(2**31 - 256)
NO_KEY = 2**63 - 1  # larger than every key: nothing was written


def to_screen(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """[..., 4] clip coordinates -> (x, y, depth, w), with x and y in pixels, pixel centres at integers and row 0 at the top.

    Depth is z/w in -1..1, linear on the screen. Rows with w <= `MIN_W` hold meaningless x, y and depth.
    """
    height, width = size
    x, y, z, w = clip.unbind(-1)
    inverse = 1.0 / torch.where(w > MIN_W, w, 1.0)
    return torch.stack(((x * inverse + 1.0) * (width / 2) - 0.5, (y * inverse + 1.0) * (height / 2) - 0.5, z * inverse, w), -1)


def discrete_screen(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """`to_screen` without gradient, rounded to float32: what the integer decisions of every backend start from.

    Both backends evaluate edge functions in float64 on these rounded numbers, where products of differences are exact:
    the sign of an edge function does not depend on contraction or order of operations.
    """
    return to_screen(clip.detach(), size).float().contiguous()
