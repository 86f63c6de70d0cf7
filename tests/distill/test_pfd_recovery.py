"""Particles under PFD find all of a target: up the flow of their own kernel density, down that of the prior."""

import pytest
import torch

from backend.distill.oracle_critics import KDECritic
from backend.distill.parameters import PFDParameters
from backend.distill.pfd import forward_difference, there_and_back
from backend.priors.mixture import GaussianMixturePrior

from .flows import field_of

MODES = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]], dtype=torch.float64)
SHARES = [0.4, 0.3, 0.2, 0.1]
STD, BANDWIDTH = 0.4, 0.25


def four_modes():
    covariances = STD**2 * torch.eye(2, dtype=torch.float64).expand(4, 2, 2)
    return GaussianMixturePrior(MODES, covariances, weights=torch.tensor(SHARES))


def recovered(prior, settings, *, count, steps, rate, seed):
    """Samples [20 count, 2] of the particles' density at the end."""
    generator = torch.Generator().manual_seed(seed)
    z = 1.5 * torch.randn(count, 2, 1, 1, dtype=torch.float64, generator=generator)
    critic, target = KDECritic(prior, BANDWIDTH), field_of(prior)

    def present(x, t, which):
        return critic.predict(x, t, None, [None])[0]

    def pair(x, t, which):
        return present(x, t, which), target(x, t, which)

    for _ in range(steps):
        critic.train_step(z, None, None, generator)
        x = critic.samples(z, torch.randn(z.shape, dtype=z.dtype, generator=generator))
        share = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        levels = (20 + 960 * share).long().clamp_max(979).tolist()
        if settings.form == "forward":
            z = z - rate * forward_difference(prior, x, levels, pair, settings)
        else:
            z = z - rate * (x - there_and_back(prior, x, levels, present, target, settings))
    critic.train_step(z, None, None, generator)
    many = z.repeat(20, 1, 1, 1)
    return critic.samples(many, torch.randn(many.shape, dtype=z.dtype, generator=generator)).flatten(1)


def energy_distance(a, b):
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


def shares_of(samples):
    nearest = torch.cdist(samples, MODES).argmin(1)
    return [float((nearest == mode).double().mean()) for mode in range(4)]


def way(steps, **settings):
    return PFDParameters(inversion_steps=16, steps=steps, solver="ddim", nodes="uniform", **settings)


def check(size, seed):
    prior = four_modes()
    fresh = prior.sample(3000, generator=torch.Generator().manual_seed(100)).flatten(1)
    ends = {steps: recovered(prior, way(steps), seed=seed, **size) for steps in (1, 2, 4, 8, 16)}
    distance = {steps: energy_distance(samples, fresh) for steps, samples in ends.items()}
    assert distance[1] > distance[2] > distance[4] > distance[8]
    assert distance[16] < 0.05
    assert distance[16] < 0.1 * distance[1]  # one step is SDI
    assert shares_of(ends[16]) == pytest.approx(SHARES, abs=0.05)
    return distance


def test_pfd_recovers_four_modes_the_better_the_more_steps():
    check({"count": 60, "steps": 20, "rate": 0.6}, seed=0)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pfd_recovers_four_modes_at_full_size(seed):
    size = {"count": 200, "steps": 600, "rate": 0.1}
    distance = check(size, seed)
    assert distance[1] > 0.3
    assert distance[16] < 0.015
    prior = four_modes()
    fresh = prior.sample(3000, generator=torch.Generator().manual_seed(100)).flatten(1)
    forward = recovered(prior, way(1, form="forward"), seed=seed, **size)
    assert energy_distance(forward, fresh) < 0.02
