"""PFD (arXiv 2605.09071) against the exact flows of Gaussians."""

import math
from itertools import pairwise

import pytest
import torch
from msgspec.structs import replace

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import PFDParameters, SDIParameters
from backend.distill.pfd import forward_difference, there_and_back
from backend.priors.counting import CountingPrior
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.nodes import CLEAN, geometric_nodes
from backend.priors.schedule import stable_diffusion_abar

from .conftest import scene
from .flows import coefficients, extrapolated, field_of, flow_down, flow_up, normal, smooth_levels, values
from .one_step import eps, gradient_of, some_latents

PFD = METHODS["pfd"]
MU, S = 1.0, 0.7  # the prior
M, R = -0.5, 1.1  # the particles
Z = values(-2.0, -0.7, 0.1, 1.4)


def pfd(prior, z, t, **settings):
    return gradient_of(PFDParameters(**settings), prior, z, torch.as_tensor(t), None)


# One reverse step


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
@pytest.mark.parametrize("level", [4, 12])
def test_pfd_one_step_equals_sdi(level, solver):
    # A table of thirteen levels, so that the inversion of both goes through all there are.
    means = torch.tensor([[1.0, 0.5], [-1.0, 0.0], [0.3, -2.0]], dtype=torch.float64)
    covariances = torch.tensor([0.3, 0.8, 0.5], dtype=torch.float64).view(3, 1, 1) * torch.eye(2, dtype=torch.float64)
    prior = GaussianMixturePrior(means, covariances, {"target": [0, 1]}, abar=stable_diffusion_abar()[19::80])
    z, t, _, _ = some_latents(prior, [level] * 3)
    sdi = gradient_of(SDIParameters(guidance=7.5, inversion_guidance=None, stride=1, eta=0.0), prior, z, t, None)
    way = {"guidance": 7.5, "inversion_steps": level, "nodes": "uniform", "solver": solver}
    torch.testing.assert_close(pfd(prior, z, t, steps=1, **way), sdi, atol=1e-10, rtol=1e-10)
    assert not torch.allclose(pfd(prior, z, t, steps=2, **way), sdi, rtol=0.01)


def test_pfd_one_step_is_the_distance_to_the_posterior_mean():
    # G = z - x0h(x_t), x_t from a single inversion step of the plain score: both steps written out.
    prior = scene()
    z, t, _, _ = some_latents(prior, [600, 200])
    alpha, sigma = coefficients(prior, t)
    x_t = alpha * z + sigma * eps(prior, z, torch.zeros_like(t), "")
    clean = (x_t - sigma * eps(prior, x_t, t, "target")) / alpha
    found = pfd(prior, z, t, guidance=1.0, inversion_steps=1, steps=1)  # 1 - g = 0: the inversion reads the null text
    torch.testing.assert_close(found, z - clean, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("form", ["two_solve", "forward"])
def test_pfd_clean_is_where_the_gradient_pulls(form):
    prior = scene()
    z, t, _, _ = some_latents(prior, [200, 700])
    conditions = {"target": prior.embed(["target"]), "null": prior.embed([""])}
    out = PFD.gradient(prior, z, t, {}, conditions, None, PFDParameters(form=form, weighting="x0"), MethodState())
    alpha, sigma = coefficients(prior, t)
    torch.testing.assert_close(out.gradient, sigma / alpha * (z - out.clean), atol=1e-12, rtol=1e-10)


# Between Gaussians


def x0h(prior, z, t):
    """mu + s (alpha (m - mu) + sqrt(alpha^2 r^2 + sigma^2) zeta) / sqrt(D), zeta = (z - m)/r."""
    return flow_down(prior, flow_up(prior, z, t, M, R), t, MU, S)


@pytest.mark.parametrize(("solver", "inversion_solver", "order"), [("ddim", "ddim", 1), ("heun", "ab2", 2)])
def test_pfd_between_gaussians_is_the_closed_form(solver, inversion_solver, order):
    abar = smooth_levels(2.28, 256)
    prior, present = normal(MU, S, abar), normal(M, R, abar)
    exact, results = x0h(prior, Z, [256] * 4), []
    for steps in (16, 32, 64, 128, 256):
        settings = PFDParameters(inversion_steps=100, steps=100, solver=solver, inversion_solver=inversion_solver, nodes="uniform")
        results.append(there_and_back(prior, Z, [256] * 4, field_of(present), field_of(prior), _steps(settings, steps)))
    errors = [float((result - exact).abs().max()) for result in results]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.1)
    torch.testing.assert_close(extrapolated(results, order), exact, atol=1e-8, rtol=0)


def test_pfd_error_halves_with_twice_the_ddim_steps():
    # On Stable Diffusion's levels, with nodes geometric in st.
    prior, present = normal(MU, S), normal(M, R)
    exact, errors = x0h(prior, Z, [600] * 4), []
    for steps in (5, 10, 20, 40, 80):
        settings = PFDParameters(inversion_steps=steps, steps=steps, solver="ddim")
        errors.append(float((there_and_back(prior, Z, [600] * 4, field_of(present), field_of(prior), settings) - exact).abs().max()))
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(("solver", "inversion_solver", "last"), [("ddim", "ddim", 0.2), ("dpmpp2m", "ab2", 0.02)])
def test_pfd_with_one_field_both_ways_comes_back(solver, inversion_solver, last):
    prior, errors = normal(MU, S), []
    for steps in (10, 20, 40):
        settings = PFDParameters(inversion_steps=steps, steps=steps, solver=solver, inversion_solver=inversion_solver)
        errors.append(float((there_and_back(prior, Z, [600] * 4, field_of(prior), field_of(prior), settings) - Z).abs().max()))
    assert errors[2] < 0.55 * errors[1] < 0.55**2 * errors[0]
    assert errors[2] < last


def test_pfd_nodes_matter_more_than_the_solver():
    prior, error = normal(MU, S), {}
    alpha, sigma = coefficients(prior, [600] * 4)
    x_t = flow_up(prior, Z, [600] * 4, MU, S)

    def straight(x, t, which):
        return (x_t - alpha * Z) / sigma  # leads to x_t in one step

    for solver in ("ddim", "dpmpp2m"):
        for nodes in ("geometric", "uniform"):
            settings = PFDParameters(inversion_steps=1, steps=10, solver=solver, nodes=nodes)
            error[solver, nodes] = float((there_and_back(prior, Z, [600] * 4, straight, field_of(prior), settings) - Z).abs().max())
    assert error["dpmpp2m", "geometric"] < 0.2 * error["dpmpp2m", "uniform"]
    assert error["dpmpp2m", "geometric"] < 0.1 * error["ddim", "geometric"]
    assert error["dpmpp2m", "uniform"] > 0.4 * error["ddim", "uniform"]


def test_pfd_fixed_point_is_the_target():
    # Particles that know their own score end with the prior's mean and spread, at weaker and stronger noise.
    prior = normal(MU, S, smooth_levels(13.0, 512))
    settings = PFDParameters(inversion_steps=64, steps=64, solver="heun", inversion_solver="ab2", nodes="uniform")
    levels, target = [192, 192, 320, 320, 512, 512], field_of(prior)
    z = values(-1.0, 0.5, -1.0, 0.5, -1.0, 0.5)  # m - r and m + r at each level: the flows are affine, so two points tell all
    for _ in range(14):
        mean = z.view(3, 2).mean(1).repeat_interleave(2).view(-1, 1, 1, 1)
        variance = (z - mean).square()

        def present(x, t, which, mean=mean, variance=variance):
            alpha, sigma = coefficients(prior, t)
            return sigma * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

        z = there_and_back(prior, z, levels, present, target, settings)
    ends = z.view(3, 2)
    assert ends.mean(1).tolist() == pytest.approx([MU] * 3, abs=1e-3)
    assert ((ends[:, 1] - ends[:, 0]) / 2).tolist() == pytest.approx([S] * 3, abs=1e-3)


@pytest.mark.parametrize(("guidance", "drift"), [(2.0, -2.121), (7.5, -9.899)])
def test_pfd_frozen_score_drift(guidance, drift):
    # Equal covariances: the constant (mu_inv - mu_g)(1 - alpha s / sqrt(D)) with mu_g = mu_0 + g (mu_y - mu_0); no fixed point.
    st = 2.2846  # of t = 600
    covariances = torch.full((2, 1, 1), S**2, dtype=torch.float64)
    prior = GaussianMixturePrior(values(0.0, 1.0).flatten(1), covariances, {"": [0], "target": [1]}, abar=smooth_levels(st, 100))
    way = {"inversion_steps": 100, "inversion_solver": "ab2", "steps": 100, "solver": "heun", "nodes": "uniform"}
    found = pfd(prior, Z, [100] * 4, guidance=guidance, **way)
    closed = ((1.0 - guidance) - guidance) * (1.0 - S / math.sqrt(S**2 + st**2))
    assert closed == pytest.approx(drift, abs=1e-3)
    torch.testing.assert_close(found, torch.full_like(Z, closed), atol=3e-3, rtol=0)


# The forward form


def test_pfd_forward_is_guidance_along_the_inversion():
    # G = (g - g_inv) sum_k (st_{k+1} - st_k)(e_y - e_0)(x_k), written out sample by sample.
    prior, guidance, inverse = scene(), 4.0, -2.5
    z, t, _, _ = some_latents(prior, [3, 250, 900])
    found = pfd(prior, z, t, form="forward", guidance=guidance, inversion_guidance=inverse, inversion_steps=8)
    for row, level in enumerate(t.tolist()):
        x, total = z[row : row + 1], 0.0
        nodes = geometric_nodes(prior.abar_host, level, 8)
        for here, there in pairwise(nodes):
            asked = torch.tensor([max(here, 0)])
            null, target = eps(prior, x, asked, ""), eps(prior, x, asked, "target")
            (a, s), (alpha, sigma) = (coefficients(prior, [max(k, 0)]) if k != CLEAN else (1.0, 0.0) for k in (here, there))
            total = total + (sigma / alpha - s / a) * (target - null)
            x = alpha * (x / a + (sigma / alpha - s / a) * (null + inverse * (target - null)))
        torch.testing.assert_close(found[row : row + 1], (guidance - inverse) * total, atol=1e-10, rtol=1e-10)


def test_expected_pfd_displacement_is_the_wasserstein_gradient_for_the_mean():
    # E_t[Delta_t] = d/dm int w(s) KL(q_s || p_s) ds, w(t) = (1 - t) beta_t / (2 abar_t): VP, beta .1..20, mean shift 1, s^2 = .49.
    steps, cells = (16, 32, 64, 128, 256), 32
    place = torch.linspace(0.0, 1.0, cells * steps[-1] + 1, dtype=torch.float64)  # the root of time: there st begins evenly
    prior = normal(0.0, S, torch.exp(-(0.1 * place**2 + 9.95 * place**4)))
    levels = [steps[-1] * cell for cell in range(1, cells + 1)]

    def pair(x, t, which):
        alpha, sigma = coefficients(prior, t)
        present, target = (sigma * (x - alpha * mean) / (alpha**2 * S**2 + sigma**2) for mean in (1.0, 0.0))
        return present, target

    settings = PFDParameters(form="forward", inversion_steps=100, nodes="uniform")
    z = torch.linspace(-1, 1, cells, dtype=torch.float64).view(-1, 1, 1, 1)
    found = extrapolated([forward_difference(prior, z, levels, pair, _steps(settings, count)).flatten() for count in steps], 1)
    simpson = torch.tensor([4.0, 2.0] * (cells // 2), dtype=torch.float64)  # Delta at time 0 is 0
    simpson[-1] = 1.0
    expected_displacement = float((simpson * 2.0 * place[levels] * found).sum() / (3 * cells))

    mean = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    time = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    abar = torch.exp(-(0.1 * time + 9.95 * time**2))
    divergence = abar * mean.square() / (2.0 * (abar * S**2 + 1.0 - abar))  # KL(q_s || p_s), equal variances
    weight = (1.0 - time) * (0.1 + 19.9 * time) / (2.0 * abar)
    (weight * divergence).mean().backward()
    assert float(mean.grad) == pytest.approx(1.9517169, abs=1e-5)
    assert expected_displacement == pytest.approx(float(mean.grad), abs=1e-5)


# Settings


def test_pfd_inversion_guidance_is_one_minus_guidance():
    z, t, _, _ = some_latents(scene(), [100, 700])
    for form in ("two_solve", "forward"):
        plain = pfd(scene(), z, t, form=form, guidance=4.0)
        assert torch.equal(plain, pfd(scene(), z, t, form=form, guidance=4.0, inversion_guidance=-3.0))
        assert not torch.allclose(plain, pfd(scene(), z, t, form=form, guidance=4.0, inversion_guidance=1.0))


@pytest.mark.parametrize(
    ("settings", "calls", "rows"),
    [
        ({}, 20, 40),
        ({"form": "forward"}, 10, 20),
        ({"form": "forward", "guidance": 1.0}, 10, 20),
        ({"guidance": 1.0}, 20, 20),
        ({"solver": "heun", "steps": 6, "inversion_steps": 3}, 14, 28),
        ({"solver": "ddim", "steps": 1, "inversion_solver": "ab2"}, 11, 22),
    ],
)
def test_pfd_asks_once_per_node(settings, calls, rows):
    prior = CountingPrior(scene())
    z, t, _, _ = some_latents(scene(), [20, 300, 999])
    gradient_of(PFDParameters(**settings), prior, z, t, None)
    assert prior.calls == calls
    assert prior.rows == 3 * rows == 3 * PFD.rows(PFDParameters(**settings), 300)


def test_pfd_at_weak_noise_has_fewer_nodes():
    assert [PFD.rows(PFDParameters(), t) for t in (0, 3, 9, 10)] == [4, 16, 40, 40]


def _steps(settings, count):
    """The same settings with more steps than a panel allows; the solvers know no limit."""
    return replace(settings, steps=count, inversion_steps=count)
