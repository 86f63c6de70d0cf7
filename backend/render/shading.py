"""Colours of covered pixels from albedo, normals and lights: the shade functions handed to a rasteriser.

All colours are linear. Per-view parameters are looked up by the fragment's view. The light model is
colour = albedo * (ambient + key * max(0, n.l)); albedo-only views are the same formula with ambient 1 and key 0, so that one
batch can mix albedo, lit and textureless views.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from backend.colour import srgb_to_linear

from .contract import Fragments, Shade
from .normals import normalise

ColourFunction = Callable[[Tensor], Tensor]
"""Points [P, 3] in domain units -> linear colours [P, 3]."""

CLAY = 0.4  # linear albedo of textureless renders: mid grey on the display


class Lights(NamedTuple):
    """One light per view, plus ambient."""

    ambient: Tensor  # [B] share of the albedo seen without any light
    key: Tensor  # [B] strength of the light
    position: Tensor  # [B, 4] homogeneous, world: w = 1 a point light at xyz, w = 0 light from the direction xyz

    def select(self, index: Tensor | slice) -> "Lights":
        """The lights of some views only."""
        return Lights(*(value[index] for value in self))


def unlit(views: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Lights:
    """Lights under which the albedo itself is seen."""
    one = torch.ones(views, device=device, dtype=dtype)
    return Lights(one, torch.zeros_like(one), torch.tensor([0.0, 0.0, 1.0, 0.0], device=device, dtype=dtype).expand(views, 4))


def camera_lights(ambient: Tensor, key: Tensor, offset: Tensor, camera_to_world: Tensor) -> Lights:
    """Point lights placed in camera axes: `offset` [B, 3] is right, up and towards the viewer, from the world's origin.

    `ambient` and `key` [B]; `camera_to_world` [B, 4, 4] as in `cameras.Cameras`.
    """
    xyz = (camera_to_world[:, :3, :3] @ offset[:, :, None])[:, :, 0]
    return Lights(ambient, key, torch.cat((xyz, torch.ones_like(xyz[:, :1])), -1))


def view_of(at: Fragments, size: tuple[int, int]) -> Tensor:
    """[P] int64 view of each fragment."""
    return at.pixel // (size[0] * size[1])


def albedo(colour: ColourFunction, *, detach_points: bool = True) -> Shade:
    """The colours themselves, without light.

    With `detach_points` no gradient reaches the shape through *where* colours are read; else texture drags the shape.
    """

    def shade(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
        return colour(points.detach() if detach_points else points)

    return shade


def lambert(
    colour: ColourFunction,
    lights: Lights,
    size: tuple[int, int],
    *,
    clay: Tensor | None = None,
    clay_albedo: float = CLAY,
    detach_points: bool = True,
    eyes: Tensor | None = None,
) -> Shade:
    """Ambient plus one diffuse light per view.

    Args:
        lights: B views; `size` (H, W) is that of the pictures.
        clay: [B] bool; these views show `clay_albedo` instead of the colours (which are still evaluated there).
        eyes: [B, 3] camera positions; given, normals are turned towards the viewer (two-sided surfaces).
    """

    def shade(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
        view = view_of(at, size)
        base = colour(points.detach() if detach_points else points)
        if clay is not None:
            base = torch.where(clay.index_select(0, view)[:, None], clay_albedo, base)
        return base * _received(points, normals, view, lights, eyes)[:, None]

    return shade


def textureless(lights: Lights, size: tuple[int, int], *, clay_albedo: float = CLAY, eyes: Tensor | None = None) -> Shade:
    """Lit grey clay: colours cannot hide the shape. Never evaluates a colour field."""

    def shade(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
        grey = clay_albedo * _received(points, normals, view_of(at, size), lights, eyes)
        return grey[:, None].expand(-1, 3)

    return shade


def normal(size: tuple[int, int], view_matrices: Tensor | None = None) -> Shade:
    """Normals as colours: the *display* value is (n + 1) / 2, after the one sRGB curve at the border.

    World axes, or those of the camera where `view_matrices` [B, 4, 4] (world -> camera) are given.
    """

    def shade(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
        if view_matrices is not None:
            rotation = view_matrices[:, :3, :3].index_select(0, view_of(at, size))
            normals = (rotation @ normals[:, :, None])[:, :, 0]
        return srgb_to_linear(normals * 0.5 + 0.5)

    return shade


def _received(points: Tensor, normals: Tensor, view: Tensor, lights: Lights, eyes: Tensor | None) -> Tensor:
    """[P] light arriving at each point, ambient included."""
    position = lights.position.index_select(0, view)
    towards = normalise(position[:, :3] - position[:, 3:] * points)
    if eyes is not None:
        facing = ((eyes.index_select(0, view) - points) * normals).sum(-1, keepdim=True)
        normals = torch.where(facing < 0, -normals, normals)
    lit = (normals * towards).sum(-1).clamp_min(0.0)
    return lights.ambient.index_select(0, view) + lights.key.index_select(0, view) * lit
