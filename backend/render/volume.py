"""Pictures of a density by emission and absorption along rays: a haze can open holes and part, which a surface cannot.

N. Max, "Optical models for direct volume rendering", 1995, with the quadrature of B. Mildenhall et al., "NeRF", 2020, equation 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .cameras import Cameras

Emission = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(points [R,S,3] domain units, view of each ray [R]) -> (density [R,S] >= 0 per unit of length, linear colours [R,S,C])."""


class Rays(NamedTuple):
    """The rays that meet a ball around the origin, in increasing pixel order; directions have unit length."""

    pixel: Tensor  # [R] int64 = (b*H + y)*W + x
    origin: Tensor  # [R, 3]
    direction: Tensor  # [R, 3]
    near: Tensor  # [R] length at which a ray enters the ball
    far: Tensor  # [R] and leaves it


class Composite(NamedTuple):
    """`picture` [B,H,W,C] over its background; `opacity` [R] of the rays that met the ball; `weights` [R,S] of their samples."""

    picture: Tensor
    opacity: Tensor
    weights: Tensor


def rays(cameras: Cameras, size: tuple[int, int], radius: float) -> Rays:
    """Rays through the pixel centres of B views, row 0 at the top; those that miss the ball are left out. Synchronises once."""
    height, width = size
    device, dtype = cameras.position.device, cameras.position.dtype
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=device, dtype=dtype) + 0.5) * (2 / height) - 1
    down, across = torch.meshgrid(y, x, indexing="ij")
    scale = cameras.projection
    # Camera axes: the projection carries the flip, so its own factors turn clip coordinates back.
    at = torch.stack(
        [
            across / scale[:, 0, 0, None, None],
            down / scale[:, 1, 1, None, None],
            -torch.ones_like(across).expand(len(scale), -1, -1),
        ],
        -1,
    ).view(len(scale), -1, 3)
    direction = torch.nn.functional.normalize(at @ cameras.camera_to_world[:, :3, :3].transpose(1, 2), dim=-1)
    origin = cameras.position[:, None].expand_as(direction)
    along = (origin * direction).sum(-1)
    reach = along.square() - origin.square().sum(-1) + radius * radius
    pixel = (reach > 0).view(-1).nonzero().view(-1)
    half = reach.view(-1)[pixel].sqrt()
    middle = -along.view(-1)[pixel]
    return Rays(pixel, origin.reshape(-1, 3)[pixel], direction.view(-1, 3)[pixel], (middle - half).clamp_min(0.0), middle + half)


def sample_weights(density: Tensor, step: Tensor) -> Tensor:
    """[R, S] share of a ray's light that comes from each sample of `density` [R,S], each standing for a length of `step` [R]."""
    depth = density * step[:, None]
    before = depth.cumsum(1) - depth
    return -torch.expm1(-depth) * torch.exp(-before)


def render_volume(
    emission: Emission,
    cameras: Cameras,
    size: tuple[int, int],
    background: Tensor,  # [B, C] linear
    *,
    samples: int = 48,
    radius: float = 1.0,
    shift: Tensor | None = None,  # [H*W*B]
) -> Composite:
    """Linear pictures of what `emission` describes inside a ball of `radius`, over `background`; differentiable in both.

    A ray is cut into `samples` equal lengths and looked up in the middle of each, or where `shift` (0..1 for every pixel) says.
    """
    (height, width), views = size, len(cameras.position)
    found = rays(cameras, size, radius)
    step = (found.far - found.near) / samples
    middle = 0.5 if shift is None else shift[found.pixel][:, None]
    length = found.near[:, None] + (torch.arange(samples, device=step.device, dtype=step.dtype) + middle) * step[:, None]
    view = found.pixel // (height * width)
    points = torch.addcmul(found.origin[:, None], length[..., None], found.direction[:, None])
    density, colours = emission(points, view)
    weights = sample_weights(density, step)
    opacity = weights.sum(1)
    seen = (weights[:, None] @ colours)[:, 0] + (1 - opacity)[:, None] * background[view]
    flat = background[:, None].expand(-1, height * width, -1).reshape(-1, background.shape[-1])
    return Composite(flat.to(seen).index_copy(0, found.pixel, seen).view(views, height, width, -1), opacity, weights)
