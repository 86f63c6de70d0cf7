"""How far a set of points is from a target: the numbers of docs/methods.md, "Measured"."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from backend.study.beds import Bed

BLOCK = 1000


class Fit(NamedTuple):
    """`distance` energy distance to a sample of the target; `fractions` of the points by mode; `within` spread inside the modes.

    `within` is per coordinate around the mode's own mean, or, on a bed of ridges, the mean distance to the nearest one.
    """

    distance: float
    fractions: tuple[float, ...]
    within: float


class GaussianFit(NamedTuple):
    """Of N(m, S') against N(mu, S): |m - mu|, |S' - S| / |S| (Frobenius), trace S' / trace S."""

    mean_error: float
    covariance_error: float
    trace_ratio: float


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples [n, d], [m, d]; 0 exactly where they are equal as sets.

    Every pair counts, a point with itself too, so that it is never negative: a fresh sample of the same law scores about
    E|X - X'| (1/n + 1/m).
    """
    return float(2.0 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y))


def fit(points: Tensor, target: Tensor, bed: Bed) -> Fit:
    """points [n, 2] and target [m, 2], a sample of the bed's target."""
    mode = bed.nearest_mode(points)
    fractions = tuple(float((mode == k).double().mean()) for k in range(len(bed.modes)))
    return Fit(energy_distance(points, target), fractions, _within(points, mode, bed))


def gaussian_fit(mean: Tensor, covariance: Tensor, bed: Bed) -> GaussianFit:
    """mean [2], covariance [2, 2], against the first component of the bed's prior."""
    prior = bed.prior
    target = prior.basis[0] @ torch.diag(prior.variances[0]) @ prior.basis[0].mT
    error = (covariance - target).norm() / target.norm()
    return GaussianFit(float((mean - prior.means[0]).norm()), float(error), float(covariance.trace() / target.trace()))


def _within(points: Tensor, mode: Tensor, bed: Bed) -> float:
    if bed.offset is not None:
        return float(bed.offset(points).mean())
    squares = 0.0
    for k in range(len(bed.modes)):
        own = points[mode == k]
        if len(own):
            squares += float((own - own.mean(0)).square().sum())
    return math.sqrt(squares / points.numel())


def _mean_distance(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([torch.cdist(part, y).sum() for part in x.split(BLOCK)]).sum() / (len(x) * len(y))
