"""Measures over a judge's answers: Frechet and kernel distance, and the inception measures IQ, IV and IG. Pure numbers, no pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-12


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet (2-Wasserstein) distance between the Gaussians fitted to two sets of embeddings, a [N,D] and b [M,D].

    |mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2) with unbiased covariances, in float64 (Heusel et al. 2017, arXiv 1706.08500,
    eq. 6). The square root goes through two symmetric eigenproblems, so covariances of fewer samples than dimensions, which are
    singular, give no complex numbers. With few samples the distance is biased upwards, more for a set of larger spread; `kernel_distance`
    is not.

    Raises:
        ValueError: a set has fewer than 2 rows, another width than the other, or values that are not finite.
    """
    a, b = _embeddings(a, b)
    return frechet_gaussians(a.mean(0), _covariance(a), b.mean(0), _covariance(b))


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of embeddings, a [N,D] and b [M,D], of any sizes; below 0 by chance where
    both are alike, and by more where both were drawn for the same captions: pairs of one caption then lie more in the product of the two
    sets than within either. Such distances compare with that of real pictures to others, not with 0.

    Kernel (x.y / D + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401, section 4, "KID"). Where pictures are few it ranks what the Frechet
    distance cannot: that one's bias grows with a set's spread, and so favours sets that lack some.

    Raises:
        ValueError: as `frechet_distance`.
    """
    a, b = _embeddings(a, b)
    n, m = len(a), len(b)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    own_a, own_b = kernel(a, a), kernel(b, b)
    within = (own_a.sum() - own_a.trace()) / (n * (n - 1)) + (own_b.sum() - own_b.trace()) / (m * (m - 1))
    return float(within - 2.0 * kernel(a, b).mean())


def frechet_gaussians(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """Squared Frechet distance between two Gaussians: means [D], covariances [D,D]; see `frechet_distance`."""
    mean_a, covariance_a, mean_b, covariance_b = (x.double() for x in (mean_a, covariance_a, mean_b, covariance_b))
    values, vectors = torch.linalg.eigh(covariance_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    middle = root @ covariance_b @ root
    shared = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp_min(0).sqrt().sum()
    apart = (mean_a - mean_b).square().sum()
    return max(float(apart + covariance_a.trace() + covariance_b.trace() - 2 * shared), 0.0)


def _embeddings(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"two sets of at least 2 embeddings of one width are needed, got {tuple(a.shape)} and {tuple(b.shape)}")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError("embeddings must be finite")
    return a, b


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    covariance: Tensor = centred.T @ centred / (len(x) - 1)
    return covariance


@dataclass(frozen=True)
class Inception:
    """The inception measures of one object, in nats (ESD, arXiv 2401.00909)."""

    iq: float  # mean over the views of H[p(y|view)]; lower: every view is a clear picture of something
    iv: float  # H[mean over the views of p(y|view)]; higher: the views differ
    ig: float  # (iv - iq) / iq; higher is better; infinite where every view is certain and they differ


def inception(p: Tensor) -> Inception:
    """IQ, IV and IG from one object's views, p [N,K] with rows summing to 1. By Jensen's inequality iv >= iq.

    Raises:
        ValueError: there is no view, or a row is no distribution.
    """
    p = torch.as_tensor(p).detach().cpu().double()
    if p.ndim != 2 or not len(p):
        raise ValueError(f"probabilities [N,K] of at least one view are needed, got {tuple(p.shape)}")
    if not bool(((p >= 0).all(-1) & ((p.sum(-1) - 1).abs() < 1e-3)).all()):
        raise ValueError("every row must be a distribution: not negative, sum 1")
    p = p / p.sum(-1, keepdim=True)
    iq, iv = float(entropy(p).mean()), float(entropy(p.mean(0)))
    return Inception(iq, iv, gain(iq, iv))


def entropy(p: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, with 0 log 0 = 0: [..., K] -> [...]."""
    total: Tensor = torch.special.entr(p).sum(-1)
    return total


def gain(iq: float, iv: float) -> float:
    """(iv - iq) / iq. Views that are all certain and alike gain nothing; all certain and different, infinitely much."""
    if iq > TINY:
        return max(iv - iq, 0.0) / iq
    return math.inf if iv > TINY else 0.0


def mean_gain(objects: Sequence[Inception]) -> tuple[float, float]:
    """The gain over several objects: (ratio of the means, mean of the ratios).

    ESD's table averages the second way, as its columns show (arXiv 2401.00909, table 1); the first does not explode where one object's
    IQ is near zero. Both are reported.

    Raises:
        ValueError: there is no object.
    """
    if not objects:
        raise ValueError("a mean gain needs at least one object")
    n = len(objects)
    ratio = gain(sum(o.iq for o in objects) / n, sum(o.iv for o in objects) / n)
    return ratio, sum(o.ig for o in objects) / n


def calibration_error(p: Tensor, answers: Tensor, bins: int = 15) -> float:
    """Expected calibration error: mean |confidence - accuracy| over equal bins of confidence, weighted by their size.

    p [N,K] probabilities, answers [N] the right columns (Guo et al. 2017, arXiv 1706.04599, eq. 3).
    """
    confidence, said = p.max(-1)
    right = (said == answers).double()
    which = (confidence * bins).long().clamp(0, bins - 1)
    error = 0.0
    for k in which.unique():
        here = which == k
        error += float(here.double().mean() * (confidence[here].double().mean() - right[here].mean()).abs())
    return error
