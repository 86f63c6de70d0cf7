"""Perp-Neg: away from the other views, but only at right angles to the prompt (arXiv 2304.04968, algorithm 1)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class PerpNegView(NamedTuple):
    """How one view is described: the target's text is (1 - blend) of `first` + blend of `second`; `away` with their weights."""

    first: str
    second: str
    blend: float
    away: tuple[str, str]
    weights: tuple[float, float]


def turned_away(null: Tensor, target: Tensor, away: Tensor, weights: Tensor) -> Tensor:
    """The target's prediction [B,C,H,W] with the part of each of the others that is orthogonal to it, by weight, added.

    null, target [B,C,H,W]; away [B,2,C,H,W]; weights [B,2], negative ones turn away. e_null + g (this - e_null) is Perp-Neg.
    """
    toward = target - null
    others = away - null.unsqueeze(1)
    dims = tuple(range(1, toward.dim()))
    length = toward.square().sum(dims, keepdim=True).clamp_min(1e-6)
    total = toward
    for index in range(others.shape[1]):
        other = others[:, index]
        orthogonal = other - (other * toward).sum(dims, keepdim=True) / length * toward
        total = total + weights[:, index].to(toward.dtype).view(-1, *([1] * len(dims))) * orthogonal
    return null + total


def perp_neg_view(azimuth_deg: float, elevation_deg: float, words: Sequence[str], overhead_above_deg: float = 60.0) -> PerpNegView:
    """The texts and weights of a view. words: (front, side, back, overhead) as the prior's card has them.

    azimuth_deg: any, 0 is the front. Above `overhead_above_deg` the view is described as it is and nothing is turned away from.
    """
    front, side, back, overhead = words
    if elevation_deg > overhead_above_deg:
        return PerpNegView(overhead, overhead, 0.0, (overhead, overhead), (0.0, 0.0))
    turn = abs((azimuth_deg + 180.0) % 360.0 - 180.0)
    if turn < 90.0:
        r = 1.0 - turn / 90.0
        weights = -_falling(r, 4.0, 0.5, -2.426), -_falling(1.0 - r, 4.0, 0.5, -2.426)
        return PerpNegView(side, front, r, (front, side), weights)
    r = 2.0 - turn / 90.0
    return PerpNegView(back, side, r, (side, front), (-_falling(r, 1.0, 0.5, -0.606), -_falling(r, 1.0, 0.5, 0.967)))


def _falling(r: float, a: float, b: float, c: float) -> float:
    return a * math.exp(-b * r) + c


def as_weights(views: Sequence[PerpNegView]) -> Tensor:
    """[B,2] float32 on the host."""
    return torch.tensor([view.weights for view in views], dtype=torch.float32)
