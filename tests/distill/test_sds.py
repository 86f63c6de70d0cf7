"""SDS (arXiv 2209.14988) against Gaussians: its mean, its spread, its fixed points, its collapse."""

import math

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import SDSParameters
from backend.distill.schedules import Schedule, draw_timesteps
from backend.priors.sampling import guided_field
from backend.priors.solvers import solve

from .conftest import gaussians, scene
from .one_step import eps, gradient_of, some_latents

SDS = METHODS["sds"]


def run(prior, z, t, noise, guidance, target="", weighting="uniform"):
    conditions = {"target": prior.embed([target]), "null": prior.embed([""])}
    parameters = SDSParameters(guidance=guidance, weighting=weighting)
    return SDS.gradient(prior, z, t, {"noise": noise}, conditions, None, parameters, MethodState()).gradient


@pytest.mark.parametrize(("level", "deviation"), [(50, 0.906), (500, 0.158), (900, 0.007)])
def test_s1_s2_mean_and_spread_over_the_noise(level, deviation):
    # E[G/w] = sigma alpha (z - mu) / D, spread alpha^2 s^2 / D, with D = alpha^2 s^2 + sigma^2.
    mean, variance, count = 0.7, 0.49, 100_000
    prior = gaussians([[mean]], [[variance]], {})
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([level])))
    total = alpha**2 * variance + sigma**2
    noise = torch.randn(count, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(level))
    z = torch.full((count, 1, 1, 1), -0.4, dtype=torch.float64)
    residual = run(prior, z, torch.full((count,), level), noise, 1.0)
    expected = sigma * alpha * (-0.4 - mean) / total
    spread = alpha**2 * variance / total
    assert abs(float(residual.mean()) - expected) < 4 * spread / math.sqrt(count)
    assert float(residual.std()) == pytest.approx(spread, rel=0.02)
    assert spread == pytest.approx(deviation, abs=6e-4)


def descend(prior, z, steps, rate, guidance, target, level, seed=0):
    generator = torch.Generator().manual_seed(seed)
    t = torch.full((z.shape[0],), level)
    average = torch.zeros_like(z)
    for step in range(steps):
        # Pairs of opposite noises: on Gaussians the noise then cancels, and the fixed point is reached exactly.
        noise = torch.randn(z.shape, dtype=z.dtype, generator=generator)
        gradient = 0.5 * (run(prior, z, t, noise, guidance, target) + run(prior, z, t, -noise, guidance, target))
        z = z - rate * gradient
        if step >= steps // 2:
            average += z / (steps - steps // 2)
    return average


@pytest.mark.parametrize("guidance", [0.0, 1.0, 7.5, 100.0])
def test_s3_guidance_overshoots_to_its_fixed_point(guidance):
    # Equal covariances: mu_c + (g - 1)(mu_c - mu_u), the closed form of over-saturation; mu_c = 1, mu_u = 0.
    prior = gaussians([[1.0], [0.0]], [[0.5], [0.5]], {"target": [0], "": [1]})
    end = descend(prior, torch.zeros(1, 1, 1, 1, dtype=torch.float64), 200, 0.5, guidance, "target", 400)
    assert float(end) == pytest.approx(guidance, rel=1e-3, abs=1e-6)  # mu_u at g = 0, mu_c at g = 1


@pytest.mark.parametrize(("guidance", "expected"), [(7.5, 1.3511), (100.0, 1.4221)])
def test_s3_fixed_point_with_unequal_variances(guidance, expected):
    # x* = (g mu_c/D_c + (1-g) mu_u/D_u) / (g/D_c + (1-g)/D_u), in latents; s_c^2 = .25, s_u^2 = 4, t = 400.
    mu_c, mu_u, level = 1.0, -1.0, 400
    prior = gaussians([[mu_c], [mu_u]], [[0.25], [4.0]], {"target": [0], "": [1]})
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([level])))
    d_c, d_u = alpha**2 * 0.25 + sigma**2, alpha**2 * 4.0 + sigma**2
    theory = (guidance * mu_c / d_c + (1 - guidance) * mu_u / d_u) / (guidance / d_c + (1 - guidance) / d_u)
    end = descend(prior, torch.zeros(1, 1, 1, 1, dtype=torch.float64), 400, 1.0 / guidance, guidance, "target", level)
    assert float(end) == pytest.approx(theory, rel=1e-4)


def test_the_residual_is_guidance_and_the_noise_term():
    # G/w = g (e_y - e_0) + (e_0 - e), with the predictions of the two texts; large g leaves the first term alone.
    prior = scene()
    z, t, noise, x_t = some_latents(prior, [10, 420, 900])
    null, target = eps(prior, x_t, t, ""), eps(prior, x_t, t, "target")
    for guidance in (0.0, 1.0, 7.5, 100.0):
        found = gradient_of(SDSParameters(guidance=guidance, weighting="uniform"), prior, z, t, noise)
        torch.testing.assert_close(found, guidance * (target - null) + (null - noise), atol=1e-10, rtol=1e-10)


def test_exchanging_the_texts_exchanges_g_and_one_minus_g():
    # e_y + g (e_0 - e_y) = e_0 + (1 - g)(e_y - e_0)
    prior = scene()
    z, t, noise, _ = some_latents(prior, [10, 420, 900])
    exchanged = gradient_of(SDSParameters(guidance=0.3), prior, z, t, noise, {"target": "", "null": "target"})
    torch.testing.assert_close(exchanged, gradient_of(SDSParameters(guidance=0.7), prior, z, t, noise), atol=1e-12, rtol=0)


@pytest.mark.parametrize("level", [50, 500, 900])
def test_the_noise_is_subtracted(level):
    # With e added, as arXiv 2401.00909 prints its Eq. 1, the mean is the same and the spread 1 + sigma^2/D, at least 1.
    prior, count = gaussians([[0.7]], [[0.49]], {}), 50_000
    noise = torch.randn(count, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    residual = run(prior, torch.full_like(noise, 0.7), torch.full((count,), level), noise, 1.0)
    printed = residual + 2 * noise
    assert abs(float(printed.mean() - residual.mean())) < 4 * 2 / math.sqrt(count)
    assert float(residual.std()) < 0.95 < 1.05 < float(printed.std())


def test_t3_particles_collapse_and_leave_modes_out():
    # Four Gaussians at (+-2, +-2), std .4, weights .4 .3 .2 .1; 200 particles, t ~ U{20..980}, w = sigma^2.
    prior = gaussians(
        [[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], [[0.16, 0.16]] * 4, {}, weights=torch.tensor([0.4, 0.3, 0.2, 0.1])
    )
    generator = torch.Generator().manual_seed(0)
    z = 1.5 * torch.randn(200, 2, 1, 1, dtype=torch.float64, generator=generator)
    schedule = Schedule()
    for step in range(1500):
        t = draw_timesteps(schedule, step, 1500, 200, prior.timesteps, generator)
        noise = torch.randn(z.shape, dtype=z.dtype, generator=generator)
        z = z - 0.05 * run(prior, z, t, noise, 1.0, weighting="sds")
    nearest = torch.cdist(z.flatten(1), prior.means).argmin(1)
    fractions = torch.bincount(nearest, minlength=4) / 200
    assert (fractions < 0.02).any(), fractions
    assert fractions[0] > 0.6, fractions  # the heaviest mode takes much more than its share of .4
    assert float(z[nearest == 0].flatten(1).std(0).mean()) < 0.35  # tighter than the mode itself, .4


def test_weightings_scale_the_residual_per_sample():
    prior = gaussians([[0.3]], [[0.5]], {})
    t = torch.tensor([10, 500, 900])
    z, noise = (torch.randn(3, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    residual = run(prior, z, t, noise, 1.0)
    expected = {"sds": sigma**2, "uniform": torch.ones_like(sigma), "fantasia3d": alpha * sigma**2, "x0": sigma / alpha}
    for weighting, weight in expected.items():
        torch.testing.assert_close(run(prior, z, t, noise, 1.0, weighting=weighting), weight * residual)


def test_x0_weighting_is_a_difference_of_clean_estimates():
    # z - x0h = (sigma/alpha)(eps - kappa), kappa = e for x_t made with e.
    prior = gaussians([[0.3]], [[0.5]], {})
    t = torch.tensor([600])
    z, noise = (torch.randn(1, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    x_t = alpha * z + sigma * noise
    clean = 0.3 + alpha * 0.5 / (alpha**2 * 0.5 + sigma**2) * (x_t - alpha * 0.3)
    torch.testing.assert_close(run(prior, z, t, noise, 1.0, weighting="x0"), z - clean)


def test_fixed_noise_reproduces_ddim():
    # Descent with one noise, levels falling, and weight st_k - st_{k-1}, is DDIM from alpha z0 + sigma e.
    prior = gaussians([[1.0], [-2.0]], [[0.2], [0.6]], {"target": [0]})
    noise = torch.randn(1, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    nodes = [980, 800, 640, 480, 300, 120, 20, -1]
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(torch.tensor(nodes[:1])))
    ratio = [*(float(s / a) for a, s in (prior.coefficients(torch.tensor([n])) for n in nodes[:-1])), 0.0]
    z = torch.zeros_like(noise)
    field = guided_field(prior, prior.embed(["target"]), prior.embed([""]), 3.0)
    expected = solve(field, prior, alpha * z + sigma * noise, [nodes])
    for k, node in enumerate(nodes[:-1]):
        z = z - (ratio[k] - ratio[k + 1]) * run(prior, z, torch.tensor([node]), noise, 3.0, "target")
    torch.testing.assert_close(z, expected, atol=1e-10, rtol=0)
