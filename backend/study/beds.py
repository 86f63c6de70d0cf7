"""Test beds as data: densities whose scores are known exactly, and where the particles start (docs/methods.md, "Measured").

Every bed is a `GaussianMixturePrior` in two dimensions with the texts that the methods read: "target"; "source", one Gaussian of the
target's mean and a wider spread, which is what words like "blurry" describe; "negative", a still wider one; "start", what particles are
to begin with; and "", the mixture of target, source and negative.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.errors import UserError
from backend.priors.mixture import GaussianMixturePrior
from backend.refine.seeds import generator
from protocol.strict import nearest

BEDS = ("modes", "circles", "gaussian")
LOW, HIGH = 0.02, 0.979  # noise levels 20..979
SOURCE_SCALE, NEGATIVE_SCALE = 1.5, 2.5  # spread of these texts relative to the target's: Bridge is stable only from wide to narrow


@dataclass(frozen=True)
class Bed:
    """A target density, where particles start, and how a sample is judged."""

    name: str
    title: str
    prior: GaussianMixturePrior
    particles: int
    kernel: float  # width h of a particle, for methods that know the density of all; 0: one Gaussian m + A c stands for the particles
    start_mean: Tensor  # [2]
    start_root: Tensor  # [2, 2], A of m + A c
    modes: tuple[str, ...]
    shares: tuple[float, ...]  # of the modes, in the target
    nearest_mode: Callable[[Tensor], Tensor]  # [n, 2] -> [n] int64
    offset: Callable[[Tensor], Tensor] | None  # [n, 2] -> [n], distance to the nearest ridge; None: spread around the mode's mean
    half_width: float  # of the picture
    centre: tuple[float, float] = (0.0, 0.0)
    noise_rate: float = 0.2  # step of plain descent along residuals of noise
    clean_rate: float = 0.1  # the same along residuals of clean latents
    noise_steps: int = 3000  # of a full run
    clean_steps: int = 600

    @property
    def is_family(self) -> bool:
        """Whether one Gaussian family is moved, rather than particles each on their own."""
        return self.kernel == 0.0

    def start(self, count: int, seed: int) -> Tensor:
        """[count, 2] float64."""
        unit = torch.randn(count, 2, dtype=torch.float64, generator=generator(seed, f"{self.name} start"))
        return self.start_mean + unit @ self.start_root.mT

    def sample(self, count: int, seed: int) -> Tensor:
        """A fresh sample of the target, [count, 2] float64."""
        return self.prior.sample(count, "target", generator=generator(seed, f"{self.name} sample")).flatten(1)

    def target(self, count: int, seed: int) -> Tensor:
        """What points are compared with, [count, 2] float64: as a sample, but every component has its share, rounded, not by chance."""
        prior = self.prior
        shares = prior.log_weights[prior.labels.index("target")].exp()
        place = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        component = torch.searchsorted(shares.cumsum(0), place).clamp_max(len(shares) - 1)
        unit = torch.randn(count, 2, dtype=torch.float64, generator=generator(seed, f"{self.name} target"))
        scaled = unit * prior.variances[component].sqrt()
        return prior.means[component] + torch.einsum("nij,nj->ni", prior.basis[component], scaled)


def bed(name: str, seed: int = 0) -> Bed:
    """The test bed of that name; only "gaussian" depends on the seed. UserError for an unknown one, naming the nearest."""
    if name not in BEDS:
        raise UserError(f"There is no test bed '{name}'.", nearest(name, list(BEDS)))
    return {"modes": _modes, "circles": _circles, "gaussian": _gaussian}[name](seed)


def _modes(seed: int) -> Bed:
    """Four Gaussians at (+-2, +-2), standard deviation .4, weights .4 .3 .2 .1."""
    means = _tensor([[2, 2], [-2, 2], [2, -2], [-2, -2]])
    shares = (0.4, 0.3, 0.2, 0.1)
    start_mean, start_root = torch.zeros(2, dtype=torch.float64), 1.5 * torch.eye(2, dtype=torch.float64)
    return Bed(
        name="modes",
        title="Four modes",
        prior=_prior(means, 0.4, torch.tensor(shares), start_mean, start_root),
        particles=200,
        kernel=0.25,
        start_mean=start_mean,
        start_root=start_root,
        modes=("upper right", "upper left", "lower right", "lower left"),
        shares=shares,
        nearest_mode=lambda x: torch.cdist(x, means).argmin(1),
        offset=None,
        half_width=4.0,
    )


def _circles(seed: int) -> Bed:
    """Rings of radius 1 (mass .4) and 2.5 (mass .6), standard deviation .2; the start lies to the right inside."""
    radii, spread = (1.0, 2.5), 0.2
    # Centres one standard deviation apart leave no visible ripple along a ring.
    counts = [math.ceil(2 * math.pi * radius / spread) for radius in radii]
    means = torch.cat([_ring(radius, count) for radius, count in zip(radii, counts, strict=True)])
    weights = torch.cat([torch.full((count,), share / count) for share, count in zip((0.4, 0.6), counts, strict=True)])
    start_mean, start_root = _tensor([0.8, 0.0]), 0.7 * torch.eye(2, dtype=torch.float64)

    def ring(x: Tensor) -> Tensor:
        distance: Tensor = x.norm(dim=1)[:, None] - _tensor(radii)
        return distance.abs()

    return Bed(
        name="circles",
        title="Two circles",
        prior=_prior(means, spread, weights, start_mean, start_root),
        particles=240,
        kernel=0.12,
        start_mean=start_mean,
        start_root=start_root,
        modes=("inner", "outer"),
        shares=(0.4, 0.6),
        nearest_mode=lambda x: ring(x).argmin(1),
        offset=lambda x: ring(x).amin(1),
        half_width=3.6,
        clean_steps=500,
    )


def _gaussian(seed: int) -> Bed:
    """p = N(mu, L L^T), mu ~ U[0,1]^2, L = U[0,1]^{2x2} + I; one Gaussian m + A c, far off, is moved (ESD, arXiv 2401.00909, Fig. 3)."""
    drawn = torch.rand(5, 2, 2, dtype=torch.float64, generator=generator(seed, "gaussian bed"))
    mean, root = drawn[0, 0], drawn[1] + torch.eye(2, dtype=torch.float64)
    start_mean, start_root = mean + 10.0 * drawn[0, 1], drawn[2]
    return Bed(
        name="gaussian",
        title="One Gaussian",
        prior=_prior(mean[None], root, torch.ones(1), start_mean, start_root),
        particles=256,
        kernel=0.0,
        start_mean=start_mean,
        start_root=start_root,
        modes=("all",),
        shares=(1.0,),
        nearest_mode=lambda x: torch.zeros(len(x), dtype=torch.int64),
        offset=None,
        half_width=7.0,
        centre=(float(mean[0]), float(mean[1])),
        noise_rate=0.01,  # of AdamW
        clean_rate=0.02,
        noise_steps=3000,  # so that the mean has arrived from as far as it may lie
        clean_steps=1000,
    )


def _prior(means: Tensor, spread: float | Tensor, weights: Tensor, start_mean: Tensor, start_root: Tensor) -> GaussianMixturePrior:
    """Components of the target first, then one each for source, negative and start, which weigh as much as the whole target."""
    count, shares = len(means), (weights.double() / weights.sum())[:, None]
    own: Tensor = spread @ spread.mT if isinstance(spread, Tensor) else spread**2 * torch.eye(2, dtype=torch.float64)
    mean = (shares * means).sum(0)
    whole = own + (shares * (means - mean)).mT @ (means - mean)
    covariances = [own.expand(count, 2, 2), *(part[None] for part in (SOURCE_SCALE**2 * whole, NEGATIVE_SCALE**2 * whole))]
    return GaussianMixturePrior(
        torch.cat([means, mean.expand(2, 2), start_mean[None]]),
        torch.cat([*covariances, (start_root @ start_root.mT)[None]]),
        {"": range(count + 2), "target": range(count), "source": [count], "negative": [count + 1], "start": [count + 2]},
        weights=torch.cat([shares[:, 0], torch.ones(3, dtype=torch.float64)]),
    )


def _ring(radius: float, count: int) -> Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def _tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
