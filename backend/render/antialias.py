"""Silhouettes that move continuously: the only place where a picture's coverage gets a gradient.

Every pixel pair that a silhouette edge runs between is found from the edges, not from the faces seen at the pixels: on a
curved mesh the face that owns the silhouette is seen edge-on and rarely covers a pixel centre. An edge steeper than 45
degrees pairs pixels horizontally, a flatter one vertically, never both, so that summed coverage is the area under the edge.

Limits: features thinner than a pixel have no covered pixel to blend from; creases inside a surface and two sheets that
intersect without a shared edge stay jagged; the gradient reaches one pixel from the silhouette.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from backend.geometry.contract import EdgeTable

from .screen import NO_KEY, to_screen


class Crossings(NamedTuple):
    """Pairs of neighbouring pixels with a silhouette between their centres; pixels as (b*H + y)*W + x."""

    inside: Tensor  # [K] int64, the pixel on the surface's side
    outside: Tensor  # [K] int64
    weight: Tensor  # [K] in -1/2..1/2: share of the outside pixel covered, or minus that of the inside pixel uncovered


def crossings(keys: Tensor, clip: Tensor, edges: EdgeTable) -> Crossings:
    """The pairs in `keys` [B, H, W, 2] (see `torch_visibility.silhouette_crossings`), their positions recomputed with gradients.

    One synchronisation on CUDA: the number of pairs.
    """
    height, width = keys.shape[1:3]
    flat = keys.reshape(-1)
    place = (flat != NO_KEY).nonzero()[:, 0]
    payload = flat.index_select(0, place) & 0xFFFFFFFF
    edge, neighbour_inside = payload // 2, payload % 2 == 1
    pixel, down = place // 2, place % 2 == 1
    neighbour = pixel + torch.where(down, width, 1)

    view = pixel // (height * width)
    end = edges.ends.index_select(0, edge) + (view * clip.shape[1])[:, None]
    corners = clip.reshape(-1, 4).index_select(0, end.reshape(-1)).view(-1, 2, 4)
    x, y = to_screen(corners, (height, width)).unbind(-1)[:2]
    column, row = pixel % width, pixel // width % height
    # `u` runs along the pair, `v` across it; the crossing is where the edge meets the line of the two centres.
    u, v = torch.where(down[:, None], y, x), torch.where(down[:, None], x, y)
    line, first = torch.where(down, column, row), torch.where(down, row, column)
    span = v[:, 1] - v[:, 0]
    span = torch.where(span == 0, torch.ones_like(span), span)
    crossing = u[:, 0] + (line - v[:, 0]) / span * (u[:, 1] - u[:, 0]) - first
    weight = torch.where(neighbour_inside, 1 - crossing, crossing) - 0.5
    return Crossings(
        torch.where(neighbour_inside, neighbour, pixel), torch.where(neighbour_inside, pixel, neighbour), weight.clamp(-0.5, 0.5)
    )


def blend(image: Tensor, pairs: Crossings) -> Tensor:
    """[N, C] pixels with each pair blended by its weight; colours are read from the image before any blending."""
    target = torch.where(pairs.weight > 0, pairs.outside, pairs.inside)
    difference = image.index_select(0, pairs.inside) - image.index_select(0, pairs.outside)
    return image.index_add(0, target, pairs.weight[:, None].to(image.dtype) * difference)
