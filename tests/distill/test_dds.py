"""The delta denoising score (arXiv 2304.07090): nothing at the reference, no noise, a pure translation."""

import pytest
import torch

from backend.distill.parameters import DDSParameters, SDSParameters
from backend.priors.counting import CountingPrior

from .conftest import gaussians, scene
from .one_step import coefficients, eps, gradient_of, some_latents

LEVELS = [10, 420, 900]


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_d1_dds_is_zero_at_the_reference(guidance):
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    same = {"target": "target", "source": "target", "null": ""}
    gradient = gradient_of(DDSParameters(guidance=guidance), prior, z, t, noise, same, reference=z.clone())
    assert torch.equal(gradient, torch.zeros_like(z))


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_dds_is_the_difference_of_two_guided_predictions(guidance):
    prior = scene()
    z, t, noise, x_t = some_latents(prior, LEVELS)
    reference = some_latents(prior, LEVELS, seed=1)[0]
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    there = alpha * reference + sigma * noise
    by_hand = 0
    for x, label, sign in ((x_t, "target", 1), (there, "source", -1)):
        null = eps(prior, x, t, "")
        by_hand = by_hand + sign * (null + guidance * (eps(prior, x, t, label) - null))
    counted = CountingPrior(prior)
    gradient = gradient_of(DDSParameters(guidance=guidance, weighting="sds"), counted, z, t, noise, reference=reference)
    torch.testing.assert_close(gradient, sigma**2 * by_hand, atol=1e-10, rtol=1e-10)
    assert (counted.calls, counted.rows) == (1, (2 if guidance == 1 else 4) * 3)


def bed(variance=0.49):
    """Target, source and null with one variance and means of their own."""
    return gaussians([[1.0], [-0.5], [0.2]], [[variance]] * 3, {"target": [0], "source": [1], "": [2]})


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_d2_dds_is_noise_free_between_gaussians(guidance):
    # G/w = (sigma alpha / D) ((z - z_ref) - g (mu_tgt - mu_src)) for every e; the null text cancels.
    level, count, variance = 600, 500, 0.49
    prior = bed(variance)
    alpha, sigma = coefficients(prior, level)
    t = torch.full((count,), level)
    noise = torch.randn(count, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, reference = torch.full_like(noise, 0.3), torch.full_like(noise, -0.8)
    gradient = gradient_of(DDSParameters(guidance=guidance), prior, z, t, noise, reference=reference)
    expected = sigma * alpha / (alpha**2 * variance + sigma**2) * (1.1 - guidance * 1.5)
    torch.testing.assert_close(gradient, torch.full_like(noise, expected), atol=1e-10, rtol=0)
    spread = gradient_of(SDSParameters(guidance=1.0, weighting="uniform"), prior, z, t, noise).std()
    assert spread > 0.05  # what DDS is rid of


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_dds_fixed_point_is_the_translated_reference(guidance):
    prior = bed()
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(4, 1, 1, 1, dtype=torch.float64, generator=generator)
    z = reference.clone()
    for _ in range(200):
        noise = torch.randn(z.shape, dtype=z.dtype, generator=generator)
        t = torch.randint(50, 950, (4,), generator=generator)
        z = z - 0.5 * gradient_of(DDSParameters(guidance=guidance), prior, z, t, noise, reference=reference)
    torch.testing.assert_close(z, reference + guidance * 1.5, atol=1e-6, rtol=0)


def test_dds_without_a_reference_says_what_is_missing():
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    with pytest.raises(ValueError, match=r"DDS needs the latents of what is edited.*MethodState\.reference"):
        gradient_of(DDSParameters(), prior, z, t, noise)
