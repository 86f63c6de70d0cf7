"""Classifier score distillation (arXiv 2310.19415): its identities, its weights over time, and that it never rests."""

import pytest
import torch

from backend.distill.methods import METHODS
from backend.distill.parameters import BridgeParameters, CSDParameters, SDSParameters

from .conftest import gaussians, scene
from .one_step import TEXTS, coefficients, eps, gradient_of, some_latents, weight

LEVELS = [10, 180, 420, 950]


@pytest.mark.parametrize("guidance", [7.5, 100.0])
def test_c1_csd_of_the_prompt_alone_equals_sds_without_its_noise_term(guidance):
    # CSD(w1 = g, w2 = 0) = SDS(g) - w (e_0 - e)
    prior = scene()
    z, t, noise, x_t = some_latents(prior, LEVELS)
    csd = gradient_of(CSDParameters(w1=guidance, w2=0.0), prior, z, t, noise)
    sds = gradient_of(SDSParameters(guidance=guidance), prior, z, t, noise)
    torch.testing.assert_close(csd, sds - weight(prior, t) * (eps(prior, x_t, t, "") - noise), atol=1e-10, rtol=0)


def test_c2_csd_of_equal_weights_equals_bridge_from_the_negative():
    # CSD(w1 = w2 = k) = Bridge(k, y_src = y_neg)
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    csd = gradient_of(CSDParameters(w1=25.0, w2=25.0), prior, z, t, noise)
    bridge = gradient_of(BridgeParameters(k=25.0, weighting="sds"), prior, z, t, noise, {**TEXTS, "source": "negative"})
    torch.testing.assert_close(csd, bridge, atol=1e-10, rtol=0)


def test_csd_without_the_negative_equals_bridge_from_nothing():
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    csd = gradient_of(CSDParameters(w1=25.0, w2=0.0), prior, z, t, noise)
    bridge = gradient_of(BridgeParameters(k=25.0, weighting="sds"), prior, z, t, noise, {**TEXTS, "source": ""})
    torch.testing.assert_close(csd, bridge, atol=1e-10, rtol=0)


def test_csd_coefficients_of_its_three_predictions():
    # w1 on e_y, w2 - w1 on e_0, -w2 on e_neg
    prior = scene()
    z, t, noise, x_t = some_latents(prior, LEVELS)
    target, null, negative = (eps(prior, x_t, t, label) for label in ("target", "", "negative"))
    csd = gradient_of(CSDParameters(w1=3.0, w2=0.7, weighting="uniform"), prior, z, t, noise)
    torch.testing.assert_close(csd, 3.0 * target + (0.7 - 3.0) * null - 0.7 * negative, atol=1e-10, rtol=0)


def test_csd_has_no_fixed_point_between_gaussians():
    # Equal covariances: the gradient is w1 sigma alpha (mu_u - mu_c) / D wherever z is and whatever e is.
    mu_c, mu_u, variance, level = 1.0, -0.5, 0.6, 400
    prior = gaussians([[mu_c], [mu_u]], [[variance]] * 2, {"target": [0], "": [1]})
    alpha, sigma = coefficients(prior, level)
    z, t, noise, _ = some_latents(prior, [level] * 50)
    gradient = gradient_of(CSDParameters(w1=2.0, w2=0.0, weighting="uniform"), prior, 100 * z, t, noise)
    constant = 2.0 * sigma * alpha * (mu_u - mu_c) / (alpha**2 * variance + sigma**2)
    torch.testing.assert_close(gradient, torch.full_like(z, constant), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("step", "w2"), [(0, 40.0), (125, 30.0), (250, 20.0), (500, 0.0), (900, 0.0)])
def test_the_negative_weight_falls_over_the_first_500_steps(step, w2):
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    assert CSDParameters().w2 == (0, 40.0, 0.0, 500)
    falling = gradient_of(CSDParameters(), prior, z, t, noise, step=step, steps=2500)
    fixed = gradient_of(CSDParameters(w1=40.0, w2=w2), prior, z, t, noise)
    torch.testing.assert_close(falling, fixed, atol=1e-10, rtol=0)


def test_both_published_directions_of_the_anneal_are_literals():
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    coarse, refine = CSDParameters(w1=1.0, w2=(0.0, 1.0, 5000)), CSDParameters(w1=(1.0, 3.0, 100), w2=(1.0, 0.5, 10_000))
    table = [(coarse, 0, 1.0, 0.0), (coarse, 2500, 1.0, 0.5), (refine, 50, 2.0, 0.9975), (refine, 10_000, 3.0, 0.5)]
    for parameters, step, w1, w2 in table:
        found = gradient_of(parameters, prior, z, t, noise, step=step, steps=10_001)
        torch.testing.assert_close(found, gradient_of(CSDParameters(w1=w1, w2=w2), prior, z, t, noise), atol=1e-10, rtol=0)


def test_csd_rows_count_a_negative_that_is_ever_read():
    rows = METHODS["csd"].rows
    assert rows(CSDParameters(), 500) == 3
    assert rows(CSDParameters(w2=(0.0, 1.0, 50)), 500) == 3
    assert rows(CSDParameters(w2=0.0), 500) == 2
    assert rows(CSDParameters(w2=(100, 0.0, 0.0, 200)), 500) == 2
    assert rows(CSDParameters(w2=(0.0, 0.0, 200)), 500) == 2
    assert rows(CSDParameters(w2=0.0, perp_neg=True), 500) == 4
    assert rows(CSDParameters(w2=2.0, perp_neg=True), 500) == 5
