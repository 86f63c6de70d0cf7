"""Where a step looks from and in what light: cameras, lights, backgrounds and shading drawn from the prior's own card.

Drawn on the host from named generators, so that view words and prompts are known without reading anything back.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.priors.card import BackgroundCard, CameraCard, LightCard
from backend.refine.seeds import generator
from protocol.job import Stage

ALBEDO, CLAY, LAMBERT = 0, 1, 2


@dataclass(frozen=True)
class Viewpoints:
    """One batch of views. Angles in degrees; colours linear except `backgrounds`, which are display values; all on the host."""

    azimuth_deg: Tensor  # [B] from the object's front
    elevation_deg: Tensor  # [B]
    fov_deg: Tensor  # [B]
    fill: Tensor  # [B] share of the frame's half side that the bounding sphere fills
    target: Tensor | None  # [B,3] what the camera looks at (close-ups), None for the centre
    zoom: Tensor  # [B] magnification around the target, 1 for full views
    close_up: tuple[bool, ...]  # close-ups carry no view word
    shading: Tensor  # [B] int64: ALBEDO, CLAY or LAMBERT
    ambient: Tensor  # [B]
    key: Tensor  # [B]
    light: Tensor  # [B,3] unit vector toward the key light, in camera space (x right, y up, z toward the camera)
    backgrounds: Tensor  # [B,2,3] display values: the drawn one and its stand-in where the object has the same colour

    def __len__(self) -> int:
        return len(self.close_up)


def draw_viewpoints(
    cameras: CameraCard,
    lights: LightCard,
    backgrounds: BackgroundCard,
    stage: Stage,
    seed: int,
    step: int,
    surface_points: Tensor | None = None,  # [S,3] host, targets of close-ups
) -> Viewpoints:
    """`stage.views` views for one step. Azimuths are stratified over the batch; shares of the rest follow card and stage."""
    count = stage.views
    source = generator(seed, "views", step)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=source, dtype=torch.float64)

    def between(ends: tuple[float, float], *shape: int) -> Tensor:
        return ends[0] + (ends[1] - ends[0]) * uniform(*shape)

    azimuth = (uniform(1) + torch.arange(count, dtype=torch.float64) + uniform(count)) / count * 360.0 % 360.0
    azimuth = azimuth[torch.randperm(count, generator=source)]
    band = uniform(count)
    elevation = between(cameras.elevation_deg, count)
    elevation = torch.where(band < cameras.low_share, between(cameras.low_elevation_deg, count), elevation)
    elevation = torch.where(band > 1 - cameras.high_share, between(cameras.high_elevation_deg, count), elevation)
    fov, fill = between(cameras.fov_deg, count), between(cameras.fill, count)

    near = uniform(count) < stage.close_ups
    zoom, which = 1.5 + uniform(count), uniform(count)
    target = None
    if surface_points is not None and bool(near.any()):
        chosen = surface_points[(which * len(surface_points)).long().clamp_max(len(surface_points) - 1)].double()
        target = torch.where(near[:, None], chosen, torch.zeros_like(chosen))
        zoom = torch.where(near, zoom, torch.ones_like(zoom))
    else:
        zoom = torch.ones_like(zoom)
        near = torch.zeros(count, dtype=torch.bool)

    kind = uniform(count)
    shading = torch.full((count,), LAMBERT)
    shading[kind < stage.shading.albedo + stage.shading.clay] = CLAY
    shading[kind < stage.shading.albedo] = ALBEDO

    angle = math.radians(lights.key_within_deg) * uniform(count).sqrt()
    around = 2 * math.pi * uniform(count)
    light = torch.stack([angle.sin() * around.cos(), angle.sin() * around.sin().abs(), angle.cos()], -1)

    picked = uniform(count)
    flat = uniform(count, 2, 3)
    grey = between(backgrounds.grey, count)[:, None].expand(count, 3)
    first = torch.where((picked < backgrounds.white_share)[:, None], torch.ones(count, 3, dtype=torch.float64), flat[:, 0])
    is_grey = (picked >= backgrounds.white_share) & (picked < backgrounds.white_share + backgrounds.grey_share)
    first = torch.where(is_grey[:, None], grey, first)
    return Viewpoints(
        azimuth_deg=azimuth.float(),
        elevation_deg=elevation.float(),
        fov_deg=fov.float(),
        fill=fill.float(),
        target=None if target is None else target.float(),
        zoom=zoom.float(),
        close_up=tuple(bool(n) for n in near),
        shading=shading,
        ambient=between(lights.ambient, count).float(),
        key=between(lights.key, count).float(),
        light=light.float(),
        # The stand-in lies half a range away in every channel, so the two are never both close to the object's colour.
        backgrounds=torch.stack([first, (first + 0.5) % 1.0], 1).float(),
    )
