"""Consistent flow distillation (arXiv 2501.05445): SDS with one noise for the object is sampling along the probability-flow ODE."""

import itertools

import pytest
import torch

from backend.distill.contract import Draw, MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import CFDParameters, SDSParameters
from backend.priors.nodes import CLEAN
from backend.priors.sampling import guided_field
from backend.priors.solvers import solve

from .conftest import gaussians, scene
from .one_step import TEXTS, gradient_of, some_latents

CFD = METHODS["cfd"]


def ratio(prior, level):
    """sigma/alpha, 0 for the clean end."""
    alpha, sigma = prior.coefficients(torch.tensor([max(level, 0)]))
    return 0.0 if level == CLEAN else float(sigma / alpha)


def falling(count):
    return [*torch.linspace(980, 20, count).round().int().tolist(), CLEAN]


def descend(prior, z, noise, nodes, parameters, texts=TEXTS):
    """SGD down the levels, its rate such that rate times weight is st_k - st_{k-1}."""
    for here, there in itertools.pairwise(nodes):
        rate = ratio(prior, here) - ratio(prior, there)
        if parameters.weighting == "x0":
            rate = rate / ratio(prior, here)
        z = z - rate * gradient_of(parameters, prior, z, torch.full((len(z),), here), noise, texts)
    return z


@pytest.mark.parametrize("weighting", ["uniform", "x0"])
@pytest.mark.parametrize("guidance", [1.0, 7.0])
def test_f1_cfd_with_falling_levels_equals_ddim(guidance, weighting):
    # From any z0 the descent is DDIM from alpha z0 + sigma eb.
    prior, nodes = scene(), falling(25)
    z, _, noise, x_t = some_latents(prior, [980, 980])
    conditions = (prior.embed([label] * 2) for label in ("target", ""))
    expected = solve(guided_field(prior, *conditions, guidance), prior, x_t, [nodes] * 2)
    end = descend(prior, z, noise, nodes, CFDParameters(guidance=guidance, weighting=weighting))
    torch.testing.assert_close(end, expected, atol=1e-10, rtol=0)


def test_cfd_equals_sds_with_the_noise_of_the_object():
    prior = scene()
    z, t, noise, _ = some_latents(prior, [10, 300, 900])
    for weighting in ("x0", "sds"):
        cfd = gradient_of(CFDParameters(guidance=7.0, weighting=weighting), prior, z, t, noise)
        assert torch.equal(cfd, gradient_of(SDSParameters(guidance=7.0, weighting=weighting), prior, z, t, noise))


def test_cfd_pulls_toward_the_clean_estimate():
    # w = sigma/alpha: G = z - x0h, and x0h is what the method gives as clean.
    prior = scene()
    z, t, noise, _ = some_latents(prior, [10, 300, 900])
    conditions = {role: prior.embed([TEXTS[role]]) for role in ("null", "target")}
    found = CFD.gradient(prior, z, t, {"object noise": noise}, conditions, None, CFDParameters(), MethodState())
    torch.testing.assert_close(found.gradient, z - found.clean, atol=1e-10, rtol=1e-10)


def test_cfd_asks_for_one_noise_of_the_object_that_may_drift():
    assert CFD.draws(CFDParameters()) == (Draw("object noise", of="object", drift=0.0),)
    assert CFD.draws(CFDParameters(drift=1e-4))[0].drift == 1e-4


def test_each_noise_makes_another_sample_of_the_target():
    # Four modes, of which SDS leaves out at least one.
    means, share = [[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], torch.tensor([0.4, 0.3, 0.2, 0.1])
    prior = gaussians(means, [[0.16, 0.16]] * 4, {}, weights=share)
    noise = torch.randn(400, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = descend(prior, torch.zeros_like(noise), noise, falling(80), CFDParameters(guidance=1.0), {"target": "", "null": ""})
    nearest = torch.cdist(z.flatten(1), prior.means).argmin(1)
    fractions = torch.bincount(nearest, minlength=4) / 400
    assert ((fractions - share).abs() < 0.06).all(), fractions  # about three standard errors of the largest
    assert 0.3 < float(z[nearest == 0].flatten(1).std(0).mean()) < 0.5  # the mode's own is .4
