"""SDI (arXiv 2405.15891) against Gaussians: its noise, its contraction, its spread; and what the published code does at both ends."""

from itertools import pairwise

import pytest
import torch

from backend.distill.contract import MethodState, kappa
from backend.distill.methods import METHODS
from backend.distill.parameters import SDIParameters, SDSParameters
from backend.errors import UserError
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.nodes import CLEAN, stride_nodes
from backend.priors.schedule import stable_diffusion_abar
from backend.priors.solvers import level_of
from backend.refine.seeds import generator

from .conftest import gaussians, scene

SDI, SDS = METHODS["sdi"], METHODS["sds"]
STEPS = 11  # of the longest way at stride 100


class Overheard:
    """A prior that keeps what it is asked and what it says."""

    def __init__(self, prior):
        self.prior, self.calls = prior, []

    def __getattr__(self, name):
        return getattr(self.prior, name)

    def predict_noise(self, z_t, t, condition):
        noise = self.prior.predict_noise(z_t, t, condition)
        self.calls.append((z_t, t.tolist(), noise))
        return noise


def some(prior, count, seed=0):
    return torch.randn(count, *prior.latent_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def run(parameters, prior, z, t, draws=None, *, target="target", null="", method=SDI, **state):
    conditions = {"target": prior.embed([target]), "null": prior.embed([null])}
    return method.gradient(prior, z, t, draws or {}, conditions, None, parameters, MethodState(**state))


def ratios(prior, levels):
    """st of levels, CLEAN included."""
    level = level_of(prior, levels, torch.zeros(1, 1, 1, 1, dtype=torch.float64))
    return level.ratio.flatten()


def coefficients(prior, level):
    return (float(value) for value in prior.coefficients(torch.tensor([level])))


def guided(said, guidance):
    null, target = said.chunk(2)
    return null + guidance * (target - null)


@pytest.mark.parametrize("level", [0, 1, 150, 600, 980])
def test_n1_sdi_is_sds_with_kappa_the_st_weighted_mean_of_eps_along_the_path(level):
    prior = Overheard(scene())
    z, t = some(prior, 2), torch.full((2,), level)
    gradient, diagnostics, _ = run(SDIParameters(eta=0.0), prior, z, t)
    *path, (asked, _, _) = prior.calls
    nodes = stride_nodes(level, 100, 1)
    assert [levels[0] for _, levels, _ in path] == [max(node, 0) for node in nodes[:-1]]  # no noise: asked at index 0
    st = ratios(prior, nodes)
    steps = zip(st.diff(), path, strict=True)
    mean = sum(size * guided(said, -6.5) for size, (_, _, said) in steps) / st[-1]
    x_t = asked[:2]
    torch.testing.assert_close(kappa(prior, x_t, z, t), mean, atol=1e-10, rtol=1e-10)  # x_t = alpha z + sigma kappa
    torch.testing.assert_close(diagnostics["noise_rms"], mean.square().mean().sqrt(), atol=1e-10, rtol=1e-10)
    plain = run(SDSParameters(guidance=8.5, weighting="x0"), scene(), z, t, {"noise": mean}, method=SDS).gradient
    torch.testing.assert_close(gradient, plain, atol=1e-10, rtol=1e-10)


def test_gradient_is_z_minus_the_clean_estimate_times_its_weight():
    prior, t = scene(), torch.tensor([30, 400, 800])
    z = some(prior, 3)
    for weighting, weight in (("uniform", lambda a, s: torch.ones_like(a)), ("sds", lambda a, s: s**2), ("x0", lambda a, s: s / a)):
        out = run(SDIParameters(eta=0.0, weighting=weighting), prior, z, t)
        torch.testing.assert_close(out.gradient, weight(*prior.coefficients(t)).view(3, 1, 1, 1) * (z - out.clean))


def path_factor(abar, nodes, variance):
    """(x_t - alpha mu) / (z - mu) of DDIM inversion under N(mu, s^2): every step multiplies by a number."""
    st = (1 / abar - 1).sqrt()
    factor, before = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for here, there in pairwise(nodes):
        asked = max(here, 0)
        alpha, sigma = abar[asked].sqrt(), (1 - abar[asked]).sqrt()
        scale = torch.ones(()) if here == CLEAN else alpha  # x = scale xb
        factor = factor * (1 + (st[there] - before) * sigma * scale / (alpha**2 * variance + sigma**2))
        before = st[there]
    return abar[nodes[-1]].sqrt() * factor


@pytest.mark.parametrize("stride", [100, 10, 1])
def test_n2_the_same_score_both_ways_contracts_by_the_product_of_its_steps(stride):
    variance, level = 0.49, 600
    prior = gaussians([[0.0]], [[variance]], {"target": [0]})
    z = torch.tensor([-2.0, 0.1, 3.0], dtype=torch.float64).view(3, 1, 1, 1)
    settings = SDIParameters(guidance=1.0, inversion_guidance=1.0, eta=0.0, stride=stride)
    clean = run(settings, prior, z, torch.full((3,), level)).clean
    alpha, sigma = coefficients(prior, level)
    total = alpha**2 * variance + sigma**2
    factor = alpha * variance / total * float(path_factor(prior.abar, stride_nodes(level, stride, 1), variance))
    torch.testing.assert_close(clean, factor * z, atol=1e-12, rtol=1e-12)
    assert alpha * 0.7 / total**0.5 == pytest.approx(0.29295, abs=1e-5)
    assert factor == pytest.approx(0.29295, rel={100: 0.5, 10: 0.05, 1: 0.01}[stride])


def fine_levels(levels, highest):
    """abar of levels from no noise (0 and 1) up to a ratio st, even in asinh(st / s), s = .7: the flow of a Gaussian is smooth in it."""
    st = 0.7 * torch.sinh(torch.linspace(0, 1, levels, dtype=torch.float64) * torch.asinh(torch.tensor(highest / 0.7)))
    return 1 / (1 + torch.cat([torch.tensor([1e-9, 1e-8], dtype=torch.float64), st[1:]]) ** 2)


def st_of(level):
    return float((1 / stable_diffusion_abar()[level] - 1).sqrt())


def test_n2_contraction_is_alpha_s_over_sqrt_d_in_the_limit_of_fine_levels():
    # x0h - mu = (alpha s / sqrt(D)) (z - mu), at the st of level 600; extrapolated from three strides.
    mean, variance, top = 0.75, 0.49, 801
    prior = GaussianMixturePrior(
        torch.tensor([[mean]], dtype=torch.float64),
        torch.tensor([[[variance]]], dtype=torch.float64),
        {"target": [0]},
        abar=fine_levels(top, st_of(600)),
    )
    z = torch.tensor([3.0], dtype=torch.float64).view(1, 1, 1, 1)
    coarse = []
    for stride in (16, 8, 4):
        settings = SDIParameters(guidance=1.0, inversion_guidance=1.0, eta=0.0, stride=stride)
        coarse.append((float(run(settings, prior, z, torch.tensor([top])).clean) - mean) / (3.0 - mean))
    better = [2 * coarse[k + 1] - coarse[k] for k in (0, 1)]
    limit = (4 * better[1] - better[0]) / 3
    alpha, sigma = coefficients(prior, top)
    assert limit == pytest.approx(alpha * 0.7 / (alpha**2 * variance + sigma**2) ** 0.5, abs=1e-6)
    assert limit == pytest.approx(0.29295, abs=1e-5)


def test_n3_with_the_particles_own_score_the_mean_is_right_and_the_spread_is_not():
    # r^2 / s^2 = alpha^2 s^2 / (2 alpha^2 s^2 + sigma^2) < 1/2: particles N(m, r^2), inverted by their own score, judged by N(mu, s^2).
    mu, variance, levels = 0.7, 0.49, [81, 161, 241, 321]
    own = [f"particles at {level}" for level in levels]
    abar = fine_levels(321, st_of(900))

    def after(means, spreads, stride):
        """Moments of the particles after z <- z - G: two particles per level have them exactly."""
        prior = GaussianMixturePrior(
            torch.cat([means.new_tensor([mu]), means]).view(-1, 1),
            torch.cat([means.new_tensor([variance]), spreads]).view(-1, 1, 1),
            {"target": [0], **{label: [k + 1] for k, label in enumerate(own)}},
            abar=abar,
        )
        settings = SDIParameters(guidance=1.0, inversion_guidance=0.0, eta=0.0, stride=stride)
        deviation = spreads.sqrt()
        z = torch.cat([means + deviation, means - deviation]).view(8, 1, 1, 1)
        conditions = {"target": prior.embed(["target"]), "null": prior.embed(own * 2)}
        gradient = SDI.gradient(prior, z, torch.tensor(levels * 2), {}, conditions, None, settings, MethodState()).gradient
        upper, lower = (z - gradient).flatten().chunk(2)
        return torch.stack([(upper + lower) / 2, ((upper - lower) / 2).square()])

    def step(moments):
        return 2 * after(*moments, 4) - after(*moments, 8)  # without the solver's error of order 1/n

    # Both moments follow straight lines, m' = m + a (mu - m) and r'^2 = c^2 (alpha^2 r^2 + sigma^2): two steps give the fixed point.
    first = torch.tensor([0.2, variance], dtype=torch.float64).view(2, 1).expand(2, 4)
    second = step(first)
    slopes = (step(second) - second) / (second - first)
    assert (slopes.abs() < 1).all()  # a run gets there
    mean, spread = first + (second - first) / (1 - slopes)

    def law(abar):
        return abar * variance / (2 * abar * variance + 1 - abar)

    torch.testing.assert_close(mean, torch.full_like(mean, mu), atol=1e-3, rtol=0)
    torch.testing.assert_close(spread / variance, law(abar[levels]), atol=1e-3, rtol=0)
    specified = law(stable_diffusion_abar()[[100, 300, 600, 900]])
    torch.testing.assert_close(specified, torch.tensor([0.446, 0.293, 0.0790, 0.0069], dtype=torch.float64), atol=2e-4, rtol=0)


def drawn(draw, prior, count):
    shape = (count,) if draw.shape == "view" else (count, *prior.latent_shape)
    make = torch.rand if draw.kind == "uniform" else torch.randn
    return make(shape, dtype=torch.float64, generator=generator(0, draw.name))


def ddim_step(x, eps, here, there):
    """From one abar to another, as written in arXiv 2010.02502, Eq. 12, without its noise."""
    clean = (x - (1 - here).sqrt() * eps) / here.sqrt()
    return there.sqrt() * clean + (1 - there).sqrt() * eps


def deviation(here, there):
    return ((1 - here) / (1 - there) * (1 - there / here)).sqrt()


@pytest.mark.parametrize("level", [1, 150, 980])
def test_noise_on_the_way_has_the_variance_of_a_stochastic_ddim_step(level):
    prior, eta, t = scene(), 0.3, torch.tensor([level])
    settings = SDIParameters(eta=eta)
    z, draws = some(prior, 1), {draw.name: drawn(draw, prior, 1) for draw in SDI.draws(settings)}
    assert list(draws) == [f"inversion noise {step}" for step in range(1, STEPS)]  # none after the step from no noise
    said = Overheard(prior)
    out = run(settings, said, z, t, draws)
    nodes, x, clean = stride_nodes(level, 100, 1), z, torch.ones((), dtype=torch.float64)
    for step, (here, there) in enumerate(pairwise(nodes)):
        before, after = (clean if node == CLEAN else prior.abar[node] for node in (here, there))
        torch.testing.assert_close(said.calls[step][0][:1], x, atol=1e-12, rtol=1e-12)
        x = ddim_step(x, guided(said.calls[step][2], -6.5), before, after)
        if step:
            x = x + eta * deviation(before, after) * draws[f"inversion noise {step}"]
    expected = ddim_step(x, guided(said.calls[-1][2], 8.5), prior.abar[level], clean)
    torch.testing.assert_close(out.clean, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("level", "jitter", "end"), [(0, 0.5, 50), (1, 0.999, 100), (150, 0.0, 150), (600, 0.37, 637), (980, 0.5, 999)])
def test_match_reference_begins_at_level_0_and_ends_above_t(level, jitter, end):
    # Published code: abar_0 for z; the last level t + U{0..99}, at most 999; the denoiser and x0h read that latent as one of level t.
    prior, eta, t = scene(), 0.3, torch.tensor([level])
    settings = SDIParameters(match_reference=True)
    draws = {draw.name: drawn(draw, prior, 1) for draw in SDI.draws(settings)}
    assert list(draws) == [*(f"inversion noise {step}" for step in range(STEPS)), "jitter"]
    draws["jitter"] = torch.tensor([jitter], dtype=torch.float64)
    said, z = Overheard(prior), some(prior, 1)
    out = run(settings, said, z, t, draws)
    x, nodes = z, [0, *range(1, level, 100), end]
    for step, (here, there) in enumerate(pairwise(nodes)):
        eps = guided(prior.predict_noise(x.expand(2, -1, -1, -1), torch.tensor([here] * 2), prior.embed(["", "target"])), -6.5)
        x = ddim_step(x, eps, prior.abar[here], prior.abar[there])
        x = x + eta * deviation(prior.abar[here], prior.abar[there]) * draws[f"inversion noise {step}"]
    eps = guided(prior.predict_noise(x.expand(2, -1, -1, -1), t.expand(2), prior.embed(["", "target"])), 8.5)
    torch.testing.assert_close(out.clean, ddim_step(x, eps, prior.abar[level], torch.ones(())), atol=1e-10, rtol=1e-10)
    assert len(said.calls) == len(nodes)


def test_without_a_guidance_of_its_own_the_inversion_swaps_the_roles():
    prior, t = scene(), torch.tensor([350, 700])
    z = some(prior, 2)
    swapped, written = (run(SDIParameters(guidance=7.5, inversion_guidance=g, eta=0.0), prior, z, t).gradient for g in (None, -6.5))
    assert torch.equal(swapped, written)


def test_rows_are_those_of_the_specification():
    for level, nodes in ((0, 0), (1, 0), (2, 1), (101, 1), (102, 2), (980, 10)):
        assert SDI.rows(SDIParameters(), level) == 2 * (nodes + 1) + 2 <= 24
        assert SDI.rows(SDIParameters(perp_neg=True), level) == 4 * (nodes + 1) + 4
        assert SDI.rows(SDIParameters(match_reference=True), level) == 2 * (nodes + 1) + 2
        assert SDI.rows(SDIParameters(guidance=1.0, inversion_guidance=0.0), level) == (nodes + 1) + 1


def test_more_levels_than_noise_was_declared_for_are_refused_in_a_sentence():
    st = torch.linspace(0.01, 10, 1200, dtype=torch.float64)
    prior = GaussianMixturePrior(torch.zeros(1, 1), torch.ones(1, 1, 1), {"target": [0]}, abar=1 / (1 + st**2))
    z, t = torch.zeros(1, 1, 1, 1, dtype=torch.float64), torch.tensor([1100])
    with pytest.raises(UserError, match=r"1000 noise levels, but this prior has 1200\. Set 'eta' to 0"):
        run(SDIParameters(), prior, z, t)
    assert run(SDIParameters(eta=0.0), prior, z, t).gradient.isfinite().all()
