"""ESD (arXiv 2401.00909) against Gaussians: what lambda keeps of the spread of the views."""

import math
from functools import lru_cache
from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from backend.distill.contract import MethodState, Pose, latent_loss
from backend.distill.methods import METHODS
from backend.distill.oracle_critics import DiracCritic, GaussianCritic, KDECritic, MixedCritic
from backend.distill.parameters import ESDParameters, VSDParameters
from backend.distill.schedules import Schedule, draw_timesteps
from backend.priors.guidance import guide
from backend.priors.mixture import GaussianMixturePrior

from .conftest import gaussians, scene
from .test_vsd import BANDWIDTH, SHARES, energy_distance, four_modes, modes, start

ESD, VSD = METHODS["esd"], METHODS["vsd"]
HERE = Pose(azimuth_deg=torch.zeros(1))  # "with the camera" is all that the exact critics hear of it


def texts(prior, **labels):
    return {role: prior.embed([label]) for role, label in labels.items()}


def inputs(batch=4):
    generator = torch.Generator().manual_seed(0)
    z, noise = (torch.randn(batch, 2, 2, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    return z, torch.tensor([10, 300, 700, 980])[:batch], noise


def point_and_cloud(prior, z):
    """A critic that tells each particle from all of them."""
    critic = MixedCritic(DiracCritic(prior, BANDWIDTH), KDECritic(prior, BANDWIDTH))
    critic.train_step(z, None, HERE, torch.Generator())
    return critic


def esd(lambda_, *, guidance=7.5, weighting="sds", step=0, steps=1, method=ESD):
    """G on the mixture, and the critic it was made with."""
    prior, (z, t, noise) = scene(), inputs()
    settings = {"guidance": guidance, "weighting": weighting}
    parameters = ESDParameters(lambda_=lambda_, **settings) if method is ESD else VSDParameters(**settings)
    state = MethodState(step=step, steps=steps, critic=point_and_cloud(prior, z))
    conditions = texts(prior, null="", target="target", critic="source")
    return method.gradient(prior, z, t, {"noise": noise}, conditions, HERE, parameters, state)


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_v1_esd_at_lambda_0_is_vsd(guidance):
    torch.testing.assert_close(
        esd(0.0, guidance=guidance).gradient, esd(None, guidance=guidance, method=VSD).gradient, atol=1e-10, rtol=1e-10
    )


@pytest.mark.parametrize("lambda_", [0.0, 0.3, 1.0, 1.2])
def test_v1_mixture_of_predictions_is_guidance_of_the_critic(lambda_):
    # The published code writes e_q(none) + s (e_q(c) - e_q(none)) with s = 1 - lambda.
    prior, (z, t, noise) = scene(), inputs()
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    x_t = alpha * z + sigma * noise
    without, seen = point_and_cloud(prior, z).predict(x_t, t, None, [None, HERE])
    prediction = prior.predict_noise(x_t, t, prior.embed(["target"]).expand(4))
    by_hand = sigma**2 * (prediction - guide(without, seen, 1.0 - lambda_))
    out = esd(lambda_, guidance=1.0)
    torch.testing.assert_close(out.gradient, by_hand, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(out.diagnostics["camera_rms"], (seen - without).square().mean().sqrt())


def test_lambda_follows_its_schedule_literal():
    literal = (10, 1.0, 0.5, 20)
    for step, value in ((0, 1.0), (10, 1.0), (15, 0.75), (20, 0.5), (99, 0.5)):
        assert torch.equal(esd(literal, step=step, steps=100).gradient, esd(value).gradient), step


def test_a_missing_critic_is_said():
    prior, (z, t, noise) = scene(), inputs()
    conditions = texts(prior, target="", critic="")
    with pytest.raises(ValueError, match="needs a critic"):
        ESD.gradient(prior, z, t, {"noise": noise}, conditions, None, ESDParameters(guidance=1.0), MethodState())


# A Gaussian q = N(m, r^2) against p = N(mu, s^2): x = m + r c, where c plays the camera. Both scores are linear, so four points,
# c = +-1 and e = +-1, have the moments of all c and e, and the mean over them is the expectation, to rounding.

MU = 0.3


def expected_gradient(m, r, variance, lambda_, levels, weighting):
    """E[G] by m and by r, over c, e and the levels."""
    prior = gaussians([[MU]], [[variance]], {})
    c, e = (value.double().repeat(len(levels)).view(-1, 1, 1, 1) for value in (torch.tensor([1, 1, -1, -1]), torch.tensor([1, -1, 1, -1])))
    z, t = m + r * c, torch.as_tensor(levels).repeat_interleave(4)
    critic = MixedCritic(DiracCritic(prior), GaussianCritic(prior))
    critic.train_step(z, None, HERE, torch.Generator())
    parameters = ESDParameters(guidance=1.0, lambda_=lambda_, weighting=weighting)
    out = ESD.gradient(prior, z, t, {"noise": e}, texts(prior, target="", critic=""), HERE, parameters, MethodState(critic=critic))
    return out.gradient.mean(), (out.gradient * c).mean()


def settle(variance, lambda_, levels, weighting, steps, rates):
    """m and r^2 where descent comes to rest, at a rate for each."""
    m, r = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    for _ in range(steps):
        by_m, by_r = expected_gradient(m, r, variance, lambda_, levels, weighting)
        m, r = m - rates[0] * by_m, r - rates[1] * by_r
    return float(m), float(r) ** 2


def coefficients(levels):
    return gaussians([[MU]], [[1.0]], {}).coefficients(torch.as_tensor(levels))


@pytest.mark.parametrize("variance", [1.0, 0.49])
@pytest.mark.parametrize(("level", "lambda_"), [(50, 0.5), (150, 0.5), (400, 0.5), (400, 0.75), (400, 1.0), (900, 1.0), (150, 1.2)])
def test_x1_stationary_spread(level, lambda_, variance):
    # r^2 = max(0, lambda s^2 - (1 - lambda) st^2), m = mu.
    alpha, sigma = (float(value) for value in coefficients([level]))
    theory = max(0.0, lambda_ * variance - (1 - lambda_) * (sigma / alpha) ** 2)
    total = alpha**2 * variance + sigma**2
    rates = total / (alpha * sigma), 0.5 * total**2 / (2 * alpha**3 * sigma * variance)  # from the slopes of both gradients
    m, spread = settle(variance, lambda_, [level], "uniform", 150, rates)
    assert m == pytest.approx(MU, abs=1e-3)
    assert spread == pytest.approx(theory, abs=1e-3)


def balance(spread, variance, lambda_, levels):
    """sum_t w_t sigma_t alpha_t (1/D_p - lambda/D_q), w = sigma^2: the gradient by r over r, when all levels take part."""
    alpha, sigma = coefficients(levels)
    d_p, d_q = (alpha**2 * value + sigma**2 for value in (variance, spread))
    return float((sigma**3 * alpha * (1 / d_p - lambda_ / d_q)).sum())


def stationary(variance, lambda_, levels):
    """The root r^2 by bisection; 0 where the gradient pushes together at every spread."""
    low, high = 0.0, 100.0
    if balance(low, variance, lambda_, levels) >= 0:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if balance(middle, variance, lambda_, levels) < 0 else (low, middle)
    return low


def critical(variance, levels):
    """The lambda below which r = 0 is stable: where the balance at r = 0 changes its sign."""
    alpha, sigma = coefficients(levels)
    return float((sigma**3 * alpha / (alpha**2 * variance + sigma**2)).sum() / (sigma * alpha).sum())


LEVELS = range(20, 980)


@pytest.mark.parametrize(("lambda_", "spread"), [(0.75, 0.2755), (0.9, 0.6706), (1.0, 1.0), (1.1, 1.3762)])
def test_x1_with_all_levels_the_specifications_roots(lambda_, spread):
    assert stationary(1.0, lambda_, LEVELS) == pytest.approx(spread, abs=1e-3)


@pytest.mark.parametrize(
    ("variance", "highest", "lambda_"),
    [(1.0, 980, 0.574), (1.0, 500, 0.394), (1.0, 200, 0.141), (0.25, 980, 0.777), (0.25, 500, 0.666), (0.25, 200, 0.377)],
)
def test_x1_critical_lambda(variance, highest, lambda_):
    levels = range(20, highest)
    assert critical(variance, levels) == pytest.approx(lambda_, abs=5e-3)
    assert stationary(variance, critical(variance, levels) - 0.01, levels) == 0.0
    assert stationary(variance, critical(variance, levels) + 0.01, levels) > 0.0


@pytest.mark.parametrize("lambda_", [0.4, 0.75, 1.1])
def test_x1_descent_with_all_levels_finds_the_root(lambda_):
    levels = LEVELS[::8]
    m, spread = settle(1.0, lambda_, levels, "sds", 100, (4.0, 4.0))
    assert m == pytest.approx(MU, abs=1e-3)
    assert spread == pytest.approx(stationary(1.0, lambda_, levels), abs=1e-3)


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 1.0, 1.2])
def test_gradient_is_that_of_the_entropic_objective(lambda_):
    # J = -E_q log p - lambda H(q) - (1 - lambda) E_c H(q(.|c)) = lambda KL(q || p) + (1 - lambda) E_c KL(q(.|c) || p), all at level t:
    # by autograd of either, and as (alpha/sigma) E[G dz] from the scores alone.
    level, variance = 350, 0.49
    alpha, sigma = (float(value) for value in coefficients([level]))
    m, r = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (-0.5, 1.3))
    c = torch.tensor([1.0, -1.0], dtype=torch.float64)
    p = Normal(torch.tensor(alpha * MU, dtype=torch.float64), (alpha**2 * variance + sigma**2) ** 0.5)

    def as_divergences(q, alone):
        return lambda_ * kl_divergence(q, p) + (1 - lambda_) * kl_divergence(alone, p).mean()

    def as_entropies(q, alone):
        cross_entropy = -p.log_prob(q.mean) + 0.5 * q.variance / p.variance  # E_q[-log p] of a quadratic log p
        return cross_entropy - lambda_ * q.entropy() - (1 - lambda_) * alone.entropy().mean()

    def derivative(objective):
        q = Normal(alpha * m, (alpha**2 * r**2 + sigma**2).sqrt())
        alone = Normal(alpha * (m + r * c), sigma)
        return torch.stack(torch.autograd.grad(objective(q, alone), (m, r)))

    by_divergences, by_entropy = derivative(as_divergences), derivative(as_entropies)
    with torch.no_grad():
        by_scores = alpha / sigma * torch.stack(expected_gradient(m, r, variance, lambda_, [level], "uniform"))
    torch.testing.assert_close(by_divergences, by_entropy, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(by_scores, by_entropy, atol=1e-12, rtol=1e-12)
    assert by_scores.abs().min() > 0.01


# The 2D Gaussian of ESD's Fig. 3 (arXiv 2401.00909): p = N(mu, L L^T), renders x = m + A c with the camera c ~ N(0, I).


class Plane:
    def __init__(self, seed):
        generator = torch.Generator().manual_seed(seed)
        uniform = lambda *shape: torch.rand(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
        self.mean, factor = uniform(2), uniform(2, 2) + torch.eye(2)
        self.covariance = factor @ factor.mT
        self.start = self.mean + 10 * uniform(2), uniform(2, 2)
        self.prior = GaussianMixturePrior(self.mean[None], self.covariance[None])

    def theory(self, lambda_, levels):
        """Trace ratio at rest: each axis of the covariance settles on its own root."""
        axes = torch.linalg.eigvalsh(self.covariance).tolist()
        return sum(stationary(axis, lambda_, levels) for axis in axes) / sum(axes)

    def run(self, lambda_, *, high=0.98, steps=2000, batch=256, rate=1e-2, seed=0):
        """(distance of the means, trace of A A^T over that of L L^T) after AdamW with 100/2000 of warm-up and 2/3 of a cosine."""
        generator = torch.Generator().manual_seed(seed)
        m, a = (value.clone().requires_grad_() for value in self.start)
        optimiser = torch.optim.AdamW([m, a], lr=rate, weight_decay=0.0)
        critic = MixedCritic(DiracCritic(self.prior), GaussianCritic(self.prior))
        conditions = texts(self.prior, target="", critic="")
        parameters = ESDParameters(guidance=1.0, lambda_=lambda_)
        schedule = Schedule.of("uniform", high=(high, high))
        warm = max(steps // 20, 1)
        for step in range(steps):
            scale = step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (1.5 * steps - warm)))
            optimiser.param_groups[0]["lr"] = rate * scale
            t = draw_timesteps(schedule, step, steps, batch, self.prior.timesteps, generator)
            c, noise = (torch.randn(batch, 2, dtype=torch.float64, generator=generator) for _ in range(2))
            x = (m + c @ a.mT).view(batch, 2, 1, 1)
            critic.with_camera.train_step(x, None, HERE, generator)
            critic.without_camera.fit_moments(m.detach(), (a @ a.mT).detach())  # exact, where a batch would only estimate it
            state = MethodState(critic=critic)
            out = ESD.gradient(self.prior, x, t, {"noise": noise.view_as(x)}, conditions, HERE, parameters, state)
            optimiser.zero_grad()
            latent_loss(x, out.gradient, "sum").backward()
            optimiser.step()
        ratio = (a @ a.mT).trace() / self.covariance.trace()
        return float((m.detach() - self.mean).norm()), float(ratio.detach())


@lru_cache
def small_run(lambda_, high=0.98):
    return Plane(0).run(lambda_, high=high, steps=300, batch=64, rate=0.1)


def test_fig3_lambda_0_collapses():
    distance, ratio = small_run(0.0)
    assert distance < 0.1 and ratio < 0.01


def test_fig3_lambda_1_keeps_the_spread():
    distance, ratio = small_run(1.0)
    assert distance < 0.01 and ratio == pytest.approx(1.0, rel=0.02)


def test_fig3_the_spread_grows_with_lambda():
    assert small_run(0.0)[1] < small_run(0.5)[1] < 0.5 < small_run(1.0)[1]


def test_fig3_small_levels_keep_more_of_the_spread():
    assert small_run(0.5, high=0.2)[1] > 2 * small_run(0.5)[1]


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_fig3_at_full_size(seed):
    # AdamW 1e-2, 256 cameras, 2000 steps. Reference runs (docs/methods.md, "One Gaussian"), on another plane: .0001, .136, .475, .771,
    # 1.000, 1.248 for these lambdas, and .472 for .5 with t <= 200.
    plane = Plane(seed)
    ratios = []
    for lambda_ in (0.0, 0.5, 0.75, 0.9, 1.0, 1.1):
        distance, ratio = plane.run(lambda_)
        assert distance < 0.16
        assert ratio == pytest.approx(plane.theory(lambda_, LEVELS), rel=0.02, abs=0.02)
        ratios.append(ratio)
    assert ratios[0] < 0.01 and ratios[4] == pytest.approx(1.0, rel=0.02)
    assert all(less < more for less, more in pairwise(ratios))
    assert plane.run(0.5, high=0.2)[1] > 2 * ratios[1]


@pytest.mark.long
def test_particles_between_collapse_and_target():
    # Reference run (docs/methods.md, "Four modes"), lambda = .5: fractions .53 .34 .12 .01, energy distance .309 after 3000-6000 steps.
    prior, z = four_modes(), start(200, 1.5)
    generator = torch.Generator().manual_seed(0)
    critic = MixedCritic(DiracCritic(prior, BANDWIDTH), KDECritic(prior, BANDWIDTH))
    conditions, parameters = texts(prior, target="", critic=""), ESDParameters(guidance=1.0, lambda_=0.5)
    for step in range(4000):
        t = draw_timesteps(Schedule(), step, 4000, 200, prior.timesteps, generator)
        noise, unit = (torch.randn(z.shape, dtype=z.dtype, generator=generator) for _ in range(2))
        critic.train_step(z, conditions["critic"], HERE, generator)
        at = critic.without_camera.samples(z, unit)
        z = z - 0.1 * ESD.gradient(prior, at, t, {"noise": noise}, conditions, HERE, parameters, MethodState(critic=critic)).gradient
    samples = critic.without_camera.samples(z, torch.randn(z.shape, dtype=z.dtype, generator=generator))
    fractions, _ = modes(samples, prior)
    assert fractions[0] > SHARES[0] + 0.05 and fractions[3] < SHARES[3] - 0.05
    assert 0.05 < energy_distance(samples, prior) < 0.6
