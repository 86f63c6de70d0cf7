"""JSD (arXiv 2503.10660): its two targets, and the weighted forms against the divergence itself."""

import math

import pytest
import torch

from backend.distill.contract import MethodState, add_noise
from backend.distill.jsd import bounded_residual, discriminator, estimated_log_ratio
from backend.distill.methods import METHODS
from backend.distill.oracle_critics import GaussianCritic
from backend.distill.parameters import JSDParameters, SDIParameters, VSDParameters
from backend.priors.conversions import clean_from
from backend.priors.mixture import GaussianMixturePrior
from backend.refine.seeds import generator

from .conftest import gaussians, scene

JSD, SDI, VSD = METHODS["jsd"], METHODS["sdi"], METHODS["vsd"]
LABELS = {"target": "target", "null": "", "critic": "target"}
LEVELS = torch.tensor([0, 30, 400, 980])


def some(prior, count, seed=0):
    return torch.randn(count, *prior.latent_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(method, parameters, prior, count):
    shape = (count, *prior.latent_shape)
    return {d.name: torch.randn(shape, dtype=torch.float64, generator=generator(0, d.name)) for d in method.draws(parameters)}


def run(parameters, prior, z, t, *, method=JSD, draws=None, critic=None):
    conditions = {role: prior.embed([LABELS[role]]) for role in method.roles(parameters)}
    draws = draws or drawn(method, parameters, prior, len(z))
    return method.gradient(prior, z, t, draws, conditions, None, parameters, MethodState(critic=critic))


def test_k_0_is_sdi_and_asks_for_no_second_target():
    prior = scene()
    z = some(prior, 4)
    ours = run(JSDParameters(k=0.0, guidance=8.5, inversion_guidance=-6.5), prior, z, LEVELS)
    sdi = run(SDIParameters(), prior, z, LEVELS, method=SDI)
    assert torch.equal(ours.gradient, sdi.gradient)
    assert torch.equal(ours.clean, sdi.clean)
    for level in LEVELS.tolist():
        assert JSD.rows(JSDParameters(k=0.0), level) == SDI.rows(SDIParameters(), level)
        assert JSD.rows(JSDParameters(), level) == SDI.rows(SDIParameters(), level) + 2 <= 26


@pytest.mark.parametrize("k", [0.3, 1.0, 4.0])
def test_two_targets_are_one_at_their_weighted_mean(k):
    # G = (1 + k)(z - (hi + k lo)/(1 + k)); hi is SDI's, lo = x0(alpha hi + sigma e').
    prior = scene()
    z, guidance = some(prior, 4), 7.5
    parameters = JSDParameters(k=k, guidance=guidance, eta=0.0, inversion_guidance=None)
    draws = drawn(JSD, parameters, prior, 4)
    out = run(parameters, prior, z, LEVELS, draws=draws)
    high = run(SDIParameters(guidance=guidance, inversion_guidance=None, eta=0.0), prior, z, LEVELS, method=SDI).clean
    again = add_noise(prior, high, LEVELS, draws["noise"])
    null, target = (prior.predict_noise(again, LEVELS, prior.embed([label] * 4)) for label in ("", "target"))
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(LEVELS))
    low = clean_from(null + guidance * (target - null), again, alpha, sigma)
    torch.testing.assert_close(out.gradient, (1 + k) * (z - (high + k * low) / (1 + k)), atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(out.clean, (high + k * low) / (1 + k), atol=1e-10, rtol=1e-10)


def test_both_targets_are_the_point_when_the_prior_is_a_point_mass():
    point = torch.tensor([[0.4, -1.2]], dtype=torch.float64)
    prior = GaussianMixturePrior(point, torch.zeros(1, 2, 2, dtype=torch.float64), {"target": [0]})
    z, t = some(prior, 3), torch.tensor([20, 400, 900])
    high, both = (run(JSDParameters(k=k), prior, z, t).clean for k in (0.0, 3.0))
    torch.testing.assert_close(high, point.view(1, 2, 1, 1).expand(3, -1, -1, -1), atol=1e-9, rtol=0)
    torch.testing.assert_close(both, high, atol=1e-9, rtol=0)


def test_what_the_form_leaves_open_suits_it():
    prior = scene()
    z = some(prior, 4)
    critic = GaussianCritic(prior)
    critic.train_step(z, None, None, None)
    for form, guidance, weighting in (("two_target", 13.5, "uniform"), ("saturating", 7.5, "sds"), ("non_saturating", 7.5, "sds")):
        given, written = (JSDParameters(form=form), JSDParameters(form=form, guidance=guidance, weighting=weighting))
        assert torch.equal(run(given, prior, z, LEVELS, critic=critic).gradient, run(written, prior, z, LEVELS, critic=critic).gradient)
        assert JSD.uses_critic(given) == (form != "two_target")


TARGET = gaussians([[-2.0], [2.0]], [[0.49], [0.49]], {}, weights=torch.tensor([0.6, 0.4]))
SPREAD = 0.8  # of q = N(m, .8^2)


class Grid:
    """q_t and p_t of one noise level on a grid that is fine enough to integrate to rounding."""

    def __init__(self, mean, level, dtype=torch.float64):
        abar = float(TARGET.abar[level])
        self.alpha, self.sigma = math.sqrt(abar), math.sqrt(1 - abar)
        variance = abar * SPREAD**2 + 1 - abar
        deviation = math.sqrt(variance)
        self.x = torch.linspace(-14, 24, 8001, dtype=torch.float64)
        self.log_q = -0.5 * (self.x - self.alpha * mean).square() / variance - 0.5 * math.log(2 * math.pi) - math.log(deviation)
        rows = self.x.view(-1, 1, 1, 1)
        t, condition = torch.full((8001,), level), TARGET.embed([""]).expand(8001)
        self.log_p = TARGET.log_prob(rows, t, condition)
        self.eps_p = TARGET.predict_noise(rows, t, condition)
        critic = GaussianCritic(TARGET)
        critic.fit_moments(torch.tensor([mean], dtype=torch.float64), torch.tensor([[SPREAD**2]], dtype=torch.float64))
        (self.eps_q,) = critic.predict(rows, t, condition, [None])
        self.log_ratio = self.log_p - self.log_q

    def integral(self, values):
        return float(torch.trapezoid(values, self.x))

    def kl(self):
        return self.integral(self.log_q.exp() * (self.log_q - self.log_p))

    def js(self):
        log_m = torch.logaddexp(self.log_q, self.log_p) - math.log(2)
        parts = (self.log_q.exp() * (self.log_q - log_m), self.log_p.exp() * (self.log_p - log_m))
        return 0.5 * sum(self.integral(part) for part in parts)

    def mean_gradient(self, form):
        """The shipped residual in the mean over q_t, as a gradient by m: eps = -sigma score, and dx_t/dm = alpha."""
        residual = bounded_residual(self.eps_p, self.eps_q, self.log_ratio, form).flatten()
        return self.alpha / self.sigma * self.integral(self.log_q.exp() * residual)


def slope(quantity, mean, level, h=2e-4):
    # Five points, so that the difference is exact to 1e-10.
    at = [quantity(Grid(mean + k * h, level)) for k in (-2, -1, 1, 2)]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)


@pytest.mark.parametrize("level", [0, 300, 700])
@pytest.mark.parametrize("mean", [0.0, 3.0, 6.0, 9.0])
def test_j1_half_of_the_saturating_form_is_the_gradient_of_the_js_divergence(mean, level):
    assert 0.5 * Grid(mean, level).mean_gradient("saturating") == pytest.approx(slope(Grid.js, mean, level), abs=1e-6)


@pytest.mark.parametrize("mean", [0.0, 3.0, 6.0, 9.0])
def test_j1_the_non_saturating_form_is_the_gradient_of_kl_minus_twice_js(mean):
    expected = slope(lambda grid: grid.kl() - 2 * grid.js(), mean, 300)
    assert Grid(mean, 300).mean_gradient("non_saturating") == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_far_from_the_prior_the_saturating_form_vanishes_and_the_other_does_not():
    far = Grid(9.0, 0)
    assert far.js() == pytest.approx(math.log(2), abs=1e-5)
    assert 0 < 0.5 * far.mean_gradient("saturating") < 1e-5
    assert far.mean_gradient("non_saturating") == pytest.approx(
        (9 * far.alpha**2 - 2 * far.alpha**2) / (far.alpha**2 * 0.49 + far.sigma**2), rel=1e-3
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_j2_d_lies_strictly_between_0_and_1_and_js_is_at_most_ln_2(dtype):
    for mean in (0.0, 3.0, 6.0, 9.0):
        assert 0 < Grid(mean, 300).js() <= math.log(2)
    log_ratio = torch.tensor([-math.inf, -1e30, -50.0, -20.0, -1.0, 0.0, 1.0, 20.0, 50.0, 1e30, math.inf], dtype=dtype)
    for share in (discriminator(log_ratio), discriminator(-log_ratio)):
        assert ((share > 0) & (share < 1)).all() and not share.requires_grad
    torch.testing.assert_close(discriminator(log_ratio[4:7]), log_ratio[4:7].sigmoid())
    torch.testing.assert_close(discriminator(log_ratio) + discriminator(-log_ratio), torch.ones_like(log_ratio), atol=3e-7, rtol=0)


def test_dimension_caveat_the_true_log_ratio_is_decided_by_the_number_of_elements():
    # Latents off by .3 standard deviations per element: median D .492 .461 .059 .000 for 1, 4, 64, 16384 elements; .489 per element.
    medians, each = [], []
    for size in (1, 4, 64, 16384):
        x = 0.3 + torch.randn(1000 if size < 1000 else 50, size, dtype=torch.float32, generator=torch.Generator().manual_seed(size))
        log_ratio = 0.5 * ((x - 0.3).square() - x.square()).sum(1).double()
        medians.append(float(discriminator(log_ratio).median()))
        each.append(float(discriminator(log_ratio / size).median()))
        assert medians[-1] == pytest.approx(float(torch.tensor(-0.045 * size).sigmoid()), abs=0.015)
    assert medians == pytest.approx([0.492, 0.461, 0.059, 0.0], abs=0.015)
    assert each == pytest.approx([0.489] * 4, abs=0.015)


def test_estimated_log_ratio_is_the_difference_of_the_mean_square_errors():
    of_prior, of_renders, noise = (torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(s)) for s in range(3))
    errors = [((said - noise) ** 2).flatten(1).sum(1) for said in (of_renders, of_prior)]
    torch.testing.assert_close(estimated_log_ratio(of_prior, of_renders, noise, 2.5), 2.5 * (errors[0] - errors[1]) / (2 * 18))


@pytest.mark.parametrize("form", ["saturating", "non_saturating"])
def test_weighted_forms_are_the_vsd_gradient_times_a_number_between_0_and_1_per_view(form):
    prior = scene()
    z = some(prior, 4)
    critic = GaussianCritic(prior)
    critic.train_step(some(prior, 50, seed=7), None, None, None)
    draws = {"noise": some(prior, 4, seed=9)}
    parameters = JSDParameters(form=form, sharpness=30.0)
    out = run(parameters, prior, z, LEVELS, draws=draws, critic=critic)
    vsd = run(VSDParameters(), prior, z, LEVELS, method=VSD, draws=draws, critic=critic).gradient
    x_t = add_noise(prior, z, LEVELS, draws["noise"])
    null, target = (prior.predict_noise(x_t, LEVELS, prior.embed([label] * 4)) for label in ("", "target"))
    (learned,) = critic.predict(x_t, LEVELS, None, [None])
    guided = null + 7.5 * (target - null)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(LEVELS))
    torch.testing.assert_close(out.clean, clean_from(guided, x_t, alpha, sigma), atol=1e-10, rtol=1e-10)  # the prior's, not the critic's
    share = discriminator(estimated_log_ratio(guided, learned, draws["noise"], 30.0))
    share = share if form == "saturating" else 1 - share
    torch.testing.assert_close(out.gradient, share.view(4, 1, 1, 1) * vsd, atol=1e-10, rtol=1e-10)
    assert (out.gradient.abs() <= vsd.abs()).all()
    assert JSD.rows(parameters, 400) == 3


def test_sharpness_0_halves_both_weighted_forms():
    prior = scene()
    critic = GaussianCritic(prior)
    critic.train_step(some(prior, 50, seed=7), None, None, None)
    z, draws = some(prior, 4), {"noise": some(prior, 4, seed=9)}
    vsd = run(VSDParameters(), prior, z, LEVELS, method=VSD, draws=draws, critic=critic).gradient
    for form in ("saturating", "non_saturating"):
        half = run(JSDParameters(form=form, sharpness=0.0), prior, z, LEVELS, draws=draws, critic=critic).gradient
        torch.testing.assert_close(half, 0.5 * vsd)


def test_a_weighted_form_without_a_critic_says_so():
    prior = scene()
    with pytest.raises(ValueError, match="'saturating' needs a critic"):
        run(JSDParameters(form="saturating"), prior, some(prior, 4), LEVELS)
