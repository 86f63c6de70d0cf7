"""The Bridge gradient against Gaussians (arXiv 2406.09417)."""

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import BridgeParameters

from .conftest import gaussians, scene

BRIDGE = METHODS["bridge"]


def run(prior, z, t, noise, source, target, k=1.0, weighting="uniform"):
    conditions = {"source": prior.embed([source]), "target": prior.embed([target])}
    parameters = BridgeParameters(k=k, weighting=weighting)
    return BRIDGE.gradient(prior, z, t, {"noise": noise}, conditions, None, parameters, MethodState()).gradient


def inputs(batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z, noise = (torch.randn(batch, 2, 2, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    return z, torch.tensor([10, 500, 950])[:batch], noise


def test_equal_source_and_target_leave_nothing():
    z, t, noise = inputs()
    assert torch.equal(run(scene(), z, t, noise, "target", "target", k=25.0), torch.zeros_like(z))


def test_empty_source_is_the_first_term_of_csd():
    # G = w(t) w1 (e_y - e_0), written out with the mixture's own scores.
    prior, (z, t, noise) = scene(), inputs()
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    x_t = (alpha * z + sigma * noise).requires_grad_()
    scores = []
    for label in ("target", ""):
        log_prob = prior.log_prob(x_t, t, prior.embed([label]).expand(3)).sum()
        scores.append(torch.autograd.grad(log_prob, x_t)[0])
    by_hand = sigma**2 * 40.0 * -sigma * (scores[0] - scores[1])
    torch.testing.assert_close(run(prior, z, t, noise, "", "target", k=40.0, weighting="sds"), by_hand, atol=1e-10, rtol=1e-10)


def test_swapping_source_and_target_turns_the_gradient_round():
    z, t, noise = inputs()
    torch.testing.assert_close(run(scene(), z, t, noise, "source", "target"), -run(scene(), z, t, noise, "target", "source"))


MU_TARGET, MU_SOURCE, LEVEL = (1.0, 2.0), (-1.0, -0.5), 400


def pair(variance_target, variance_source):
    means = [list(MU_TARGET), list(MU_SOURCE)]
    return gaussians(means, [[variance_target] * 2, [variance_source] * 2], {"target": [0], "source": [1]})


def descend(prior, steps, rate=0.5):
    z = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        noise = torch.randn(z.shape, dtype=z.dtype, generator=generator)
        # Opposite noises cancel exactly on Gaussians, so the run settles on the fixed point itself.
        z = z - rate * sum(run(prior, z, torch.tensor([LEVEL]), sign * noise, "source", "target") for sign in (1.0, -1.0)) / 2
    return z.flatten()


def test_b1_fixed_point_between_gaussians():
    # (mu_t D_s - mu_s D_t) / (D_s - D_t), stable while D_t < D_s.
    prior = pair(0.25, 1.0)
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([LEVEL])))
    d_t, d_s = alpha**2 * 0.25 + sigma**2, alpha**2 * 1.0 + sigma**2
    theory = [(m_t * d_s - m_s * d_t) / (d_s - d_t) for m_t, m_s in zip(MU_TARGET, MU_SOURCE, strict=True)]
    assert descend(prior, 400).tolist() == pytest.approx(theory, abs=1e-4)


def test_b1_the_fixed_point_attracts_when_d_t_is_below_d_s_and_repels_when_above():
    # One step moves a distance from (mu_t D_s - mu_s D_t) / (D_s - D_t) by 1 - rate sigma alpha (1/D_t - 1/D_s), on Gaussians for any e.
    for variance_target, variance_source in ((0.25, 1.0), (1.0, 0.25)):
        prior = pair(variance_target, variance_source)
        alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([LEVEL])))
        d_t, d_s = alpha**2 * variance_target + sigma**2, alpha**2 * variance_source + sigma**2
        fixed = [(m_t * d_s - m_s * d_t) / (d_s - d_t) for m_t, m_s in zip(MU_TARGET, MU_SOURCE, strict=True)]
        fixed = torch.tensor(fixed, dtype=torch.float64).view(1, 2, 1, 1)
        t, silent = torch.tensor([LEVEL]), torch.zeros_like(fixed)
        for distance in (0.0, 0.1, -3.0):
            z = fixed + distance
            moved = z - 0.5 * run(prior, z, t, silent, "source", "target")
            factor = 1 - 0.5 * sigma * alpha * (1 / d_t - 1 / d_s)
            torch.testing.assert_close(moved - fixed, factor * (z - fixed), atol=1e-10, rtol=0)
        assert (factor < 1) == (d_t < d_s)


@pytest.mark.parametrize("variance_source", [0.25, 0.2])
def test_without_a_wider_source_there_is_no_fixed_point(variance_source):
    prior = pair(0.25, variance_source)
    near, far = (descend(prior, steps).norm() for steps in (200, 800))
    assert far > 2 * near  # and still going
    assert far > 20


def test_it_declares_its_place_after_sds():
    assert BRIDGE.first_stage == "sds"
    assert not BRIDGE.uses_guidance
    assert BridgeParameters() == BridgeParameters(k=1.0, weighting="uniform")
