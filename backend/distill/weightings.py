"""w(t) on an eps residual. A method names its weighting; there is no silent default."""

from collections.abc import Callable

import torch
from torch import Tensor

from backend.distill.parameters import Weighting
from backend.priors.contract import Prior


def sds(alpha: Tensor, sigma: Tensor) -> Tensor:
    """sigma^2: DreamFusion's choice in its public implementations."""
    return sigma.square()


def uniform(alpha: Tensor, sigma: Tensor) -> Tensor:
    """1: the Bridge gradient in 3D."""
    return torch.ones_like(sigma)


def fantasia3d(alpha: Tensor, sigma: Tensor) -> Tensor:
    """alpha sigma^2 (Fantasia3D, arXiv 2303.13873)."""
    return alpha * sigma.square()


def x0(alpha: Tensor, sigma: Tensor) -> Tensor:
    """sigma/alpha: turns an eps residual into a difference of clean estimates, z - x0h = (sigma/alpha) (eps - kappa)."""
    return sigma / alpha


WEIGHTINGS: dict[Weighting, Callable[[Tensor, Tensor], Tensor]] = {"sds": sds, "uniform": uniform, "fantasia3d": fantasia3d, "x0": x0}


def weights(weighting: Weighting, prior: Prior, t: Tensor) -> Tensor:
    """w(t), [B] on the prior's device. t [B] int64."""
    return WEIGHTINGS[weighting](*prior.coefficients(t))
