"""Cameras that look at the domain from around it.

World: right-handed, +Z up, -Y front. A camera looks down its own -Z with +Y up in the picture; matrices multiply column
vectors. Clip depth runs -1 (near) .. 1 (far) and clip y = -1 is the top row: the projection carries that flip, so nothing
after it flips anything.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

DOMAIN_RADIUS = 3.0**0.5  # of the sphere around [-1, 1]^3

Angles = Tensor | Sequence[float] | float


class Cameras(NamedTuple):
    """A batch of perspective cameras for square pictures. Angles in degrees, lengths in domain units."""

    azimuth_deg: Tensor  # [B] 0 is the front (camera on -Y), growing counter-clockwise seen from above
    elevation_deg: Tensor  # [B] 0 is level, +90 straight above
    fov_deg: Tensor  # [B] full field of view, zoom included
    distance: Tensor  # [B] from the target to the camera
    position: Tensor  # [B, 3]
    view: Tensor  # [B, 4, 4] world -> camera
    projection: Tensor  # [B, 4, 4] camera -> clip
    camera_to_world: Tensor  # [B, 4, 4]

    def select(self, index: Tensor | slice) -> "Cameras":
        """The cameras of some views only."""
        return Cameras(*(value[index] for value in self))

    def to(self, device: torch.device | str) -> "Cameras":
        return Cameras(*(value.to(device) for value in self))


def orbit(
    azimuth_deg: Angles,
    elevation_deg: Angles,
    fov_deg: Angles,
    fill: Angles,
    *,
    radius: Angles,
    target: Tensor | None = None,
    zoom: Angles = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Cameras:
    """Level cameras around `target`, at the distance from which a sphere of `radius` about it spans `fill` of the frame's side.

    `fill` refers to the outline of the sphere under perspective, 1 touches the border. `zoom` magnifies around the target
    by narrowing the field of view: a close-up that stands as far away as the full view, hence outside the surface.
    All arguments broadcast to one batch. Straight above or below, the azimuth still says which way is up in the picture.

    Args:
        target: [3] or [B, 3] point in the middle of the picture; the origin by default.

    Raises:
        ValueError: a camera would stand inside [-1, 1]^3 (radius too small or field of view too wide), or an argument
            has an impossible value.

    Example:
        >>> round(orbit(90.0, 0.0, 40.0, 0.8, radius=1.0).position[0, 0].item(), 2)
        3.58
    """
    # Decided on the CPU: a rig is a few numbers, and checking its values there costs no synchronisation.
    work = {"dtype": torch.float64, "device": "cpu"}
    azimuth, elevation, fov, filled, reach, magnified = torch.broadcast_tensors(
        *(torch.as_tensor(value).detach().to(**work).reshape(-1) for value in (azimuth_deg, elevation_deg, fov_deg, fill, radius, zoom))
    )
    centre = torch.zeros(3, **work) if target is None else target.detach().to(**work)
    if centre.ndim == 2 and len(azimuth) == 1:
        azimuth, elevation, fov, filled, reach, magnified = (
            value.expand(len(centre)) for value in (azimuth, elevation, fov, filled, reach, magnified)
        )
    views = len(azimuth)
    if centre.ndim not in (1, 2) or centre.shape[-1] != 3 or (centre.ndim == 2 and len(centre) not in (1, views)):
        raise ValueError(f"target must be [3] or [{views}, 3], got {list(centre.shape)}")
    centre = centre.expand(views, 3)
    if not bool(((fov > 0) & (fov < 180) & (filled > 0) & (reach > 0) & (magnified > 0)).all()):
        raise ValueError("cameras need a field of view in (0, 180) degrees and positive fill, radius and zoom")

    slope = (fov.deg2rad() / 2).tan()
    distance = reach / (filled * slope).atan().sin()
    a, e = azimuth.deg2rad(), elevation.deg2rad()
    back = torch.stack((a.sin() * e.cos(), -a.cos() * e.cos(), e.sin()), -1)
    right = torch.stack((a.cos(), a.sin(), torch.zeros_like(a)), -1)
    up = torch.linalg.cross(back, right)
    position = centre + distance[:, None] * back
    if bool((position.abs().amax(-1) <= 1.0).any()):
        raise ValueError("a camera stands inside the domain [-1, 1]^3; use a larger radius or a narrower field of view")

    camera_to_world = torch.zeros(views, 4, 4, **work)
    camera_to_world[:, :3, 0], camera_to_world[:, :3, 1], camera_to_world[:, :3, 2] = right, up, back
    camera_to_world[:, :3, 3], camera_to_world[:, 3, 3] = position, 1.0
    rotation = camera_to_world[:, :3, :3].transpose(1, 2)
    view = torch.zeros_like(camera_to_world)
    view[:, :3, :3], view[:, 3, 3] = rotation, 1.0
    view[:, :3, 3] = -(rotation @ position[:, :, None])[:, :, 0]

    # The nearest and farthest corner of the domain; a camera close to it keeps a small positive near plane instead.
    along, half_depth = (position * back).sum(-1), back.abs().sum(-1)
    near = torch.maximum(0.95 * (along - half_depth), 0.02 * distance)
    far = 1.05 * torch.maximum(along + half_depth, distance)
    projection = torch.zeros_like(view)
    projection[:, 0, 0] = magnified / slope
    projection[:, 1, 1] = -magnified / slope
    projection[:, 2, 2] = (near + far) / (near - far)
    projection[:, 2, 3] = 2 * near * far / (near - far)
    projection[:, 3, 2] = -1.0

    fields = (azimuth, elevation, 2 * (slope / magnified).atan().rad2deg(), distance, position, view, projection, camera_to_world)
    return Cameras(*(value.to(device=device, dtype=dtype).contiguous() for value in fields))


def clip(cameras: Cameras, vertices: Tensor) -> Tensor:
    """Clip coordinates [B, V, 4] of world points [V, 3] in every view; differentiable in the points.

    Raises:
        ValueError: `vertices` is not [V, 3].
    """
    if vertices.ndim != 2 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must be [V, 3], got {list(vertices.shape)}")
    matrix = (cameras.projection @ cameras.view).to(vertices.dtype)
    return vertices @ matrix[:, :, :3].transpose(1, 2) + matrix[:, None, :, 3]
