"""What the tests of the methods that solve the flow share: Gaussians, their exact flow, noise levels that suit extrapolation."""

import math
from itertools import pairwise

import torch

from backend.distill.guidance import GuidedField
from backend.priors.mixture import GaussianMixturePrior


def normal(mean, std, abar=None):
    """N(mean, std^2) on one number, with a table of noise levels of its own if given."""
    return GaussianMixturePrior(values(mean).flatten(1), values(std**2).flatten(2), abar=abar)


def field_of(prior, label=""):
    """The prior's own eps, as the solvers ask for it."""
    return GuidedField(prior, {"target": prior.embed([label])}, 1.0)


def coefficients(prior, t):
    return tuple(value.view(-1, 1, 1, 1) for value in prior.coefficients(torch.as_tensor(t).view(-1)))


def flow_up(prior, z, t, mean, std):
    """x_t on the flow of N(mean, std^2) through z."""
    alpha, sigma = coefficients(prior, t)
    return alpha * mean + (alpha**2 * std**2 + sigma**2).sqrt() * (z - mean) / std


def flow_down(prior, x_t, t, mean, std):
    """The clean end of the flow of N(mean, std^2) through x_t."""
    alpha, sigma = coefficients(prior, t)
    return mean + std * (x_t - alpha * mean) / (alpha**2 * std**2 + sigma**2).sqrt()


def smooth_levels(top, steps, bend=0.5):
    """abar of steps + 1 levels from no noise at all to st = `top`: evenly spaced in st up to about `bend`, then by a factor.

    The levels of a real prior begin with some noise, which shows at weak noise; with these, solvers' errors are power series in the step.
    """
    place = torch.linspace(0.0, math.asinh(top / bend), steps + 1, dtype=torch.float64)
    return 1.0 / (1.0 + (bend * place.sinh()) ** 2)


def extrapolated(results, order):
    """Romberg: the limit of results for doubled numbers of steps, whose error begins with step^order."""
    while len(results) > 1:
        results = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairwise(results)]
        order += 1
    return results[0]


def values(*numbers):
    """[B,1,1,1] float64."""
    return torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1, 1)
