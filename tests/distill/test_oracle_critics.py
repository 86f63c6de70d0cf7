"""Exact critics against the densities they are the scores of."""

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from backend.distill.contract import MethodState, Pose, kappa
from backend.distill.methods import METHODS
from backend.distill.oracle_critics import DiracCritic, GaussianCritic, KDECritic, MixedCritic
from backend.distill.parameters import VSDParameters
from backend.priors.mixture import GaussianMixturePrior

from .conftest import gaussians, scene
from .test_critic_contract import check_critic

LEVELS = [20, 200, 500, 980]
BANDWIDTH = 0.25


def fitted(critic, particles):
    critic.train_step(particles, None, None, torch.Generator())
    return critic


def particles_of(prior, count, seed=0):
    return torch.randn(count, *prior.latent_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise_of(density, x_t, sigma):
    """-sigma grad log q_t by autograd."""
    x_t = x_t.clone().requires_grad_()
    (score,) = torch.autograd.grad(density.log_prob(x_t.flatten(1)).sum(), x_t)
    return -sigma * score


def noised(prior, level, count, seed=1):
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([level])))
    return torch.full((count,), level), alpha, sigma, 1.5 * particles_of(prior, count, seed)


CRITICS = {
    "dirac": DiracCritic,
    "dirac_with_bandwidth": lambda prior: DiracCritic(prior, BANDWIDTH),
    "gaussian": GaussianCritic,
    "kde": lambda prior: KDECritic(prior, BANDWIDTH),
    "mixed": lambda prior: MixedCritic(DiracCritic(prior), KDECritic(prior, BANDWIDTH)),
}


@pytest.mark.parametrize("name", CRITICS)
def test_every_oracle_keeps_the_contract_of_a_critic(name):
    prior = scene()
    pose = Pose(azimuth_deg=torch.linspace(0, 270, 12))
    for dtype in (torch.float64, torch.float32):
        check_critic(CRITICS[name](prior), particles_of(prior, 12).to(dtype), prior.embed(["target"]), pose, learns=False)


@pytest.mark.parametrize("level", LEVELS)
def test_dirac_is_the_noise_that_leads_from_the_particle(level):
    prior = scene()
    t, alpha, sigma, x_t = noised(prior, level, 5)
    z = particles_of(prior, 5)
    (noise,) = fitted(DiracCritic(prior), z).predict(x_t, t, None, [None])
    torch.testing.assert_close(noise, kappa(prior, x_t, z, t), atol=1e-11, rtol=1e-11)
    wide = fitted(DiracCritic(prior, BANDWIDTH), z).predict(x_t, t, None, [None])[0]
    variance = alpha**2 * BANDWIDTH**2 + sigma**2
    density = Independent(Normal(alpha * z.flatten(1), variance**0.5), 1)
    torch.testing.assert_close(wide, noise_of(density, x_t, sigma), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [40, 3], ids=["many", "fewer_than_dimensions"])
def test_gaussian_is_the_score_of_the_moments(level, count):
    prior = scene()
    t, alpha, sigma, x_t = noised(prior, level, 6)
    z = particles_of(prior, count)
    flat = z.flatten(1)
    covariance = torch.cov(flat.mT, correction=0)
    density = MultivariateNormal(alpha * flat.mean(0), alpha**2 * covariance + sigma**2 * torch.eye(8, dtype=torch.float64))
    (noise,) = fitted(GaussianCritic(prior), z).predict(x_t, t, None, [None])
    torch.testing.assert_close(noise, noise_of(density, x_t, sigma), atol=1e-9, rtol=1e-9)
    given = GaussianCritic(prior)
    given.fit_moments(flat.mean(0), covariance)
    torch.testing.assert_close(given.predict(x_t, t, None, [None])[0], noise, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("level", LEVELS)
def test_kde_is_the_score_of_the_mixture_over_the_particles(level):
    prior = scene()
    t, alpha, sigma, x_t = noised(prior, level, 6)
    z = particles_of(prior, 30)
    variance = alpha**2 * BANDWIDTH**2 + sigma**2
    components = Independent(Normal(alpha * z.flatten(1), variance**0.5), 1)
    density = MixtureSameFamily(Categorical(torch.ones(30, dtype=torch.float64)), components)
    (noise,) = fitted(KDECritic(prior, BANDWIDTH), z).predict(x_t, t, None, [None])
    torch.testing.assert_close(noise, noise_of(density, x_t, sigma), atol=1e-10, rtol=1e-10)


def test_kde_equals_a_mixture_prior_with_a_component_for_every_particle():
    z = particles_of(scene(), 20)
    twin = GaussianMixturePrior(z.flatten(1), BANDWIDTH**2 * torch.eye(8, dtype=torch.float64).expand(20, 8, 8), latent_shape=(2, 2, 2))
    x_t, t = particles_of(twin, 7, 3), torch.tensor([0, 20, 200, 500, 800, 980, 999])  # a level for each row
    (noise,) = fitted(KDECritic(twin, BANDWIDTH), z).predict(x_t, t, None, [None])
    torch.testing.assert_close(noise, twin.predict_noise(x_t, t, twin.embed([""]).expand(7)), atol=1e-10, rtol=1e-10)


def test_kde_keeps_its_digits_far_from_the_origin():
    # The distances are taken apart into products; with particles 1e3 away from the origin and .1 apart something must be left of them.
    prior = scene()
    z = 1e3 + 0.1 * particles_of(prior, 20)
    t, alpha, _, offset = noised(prior, 20, 4)
    x_t = alpha * (1e3 + 0.1 * offset)
    near = fitted(KDECritic(prior, BANDWIDTH), z - 1e3).predict(x_t - alpha * 1e3, t, None, [None])[0]
    torch.testing.assert_close(fitted(KDECritic(prior, BANDWIDTH), z).predict(x_t, t, None, [None])[0], near, atol=1e-6, rtol=0)


def test_gradient_at_the_samples_of_a_kde_is_the_gradient_of_kl_in_its_centres():
    # d KL(q_t || p_t) / d z_i = E[(alpha / sigma) G(z_i + h xi)] / N with w = 1: left by integrating on a grid, right by Gauss-Hermite
    # quadrature over xi and e.
    prior = gaussians([[1.0], [-1.5]], [[0.3], [0.2]], {}, weights=torch.tensor([0.7, 0.3]))
    level, count = 300, 4
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([level])))
    centres = torch.tensor([-1.2, -0.1, 0.4, 1.6], dtype=torch.float64).requires_grad_()
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    spread = (alpha**2 * BANDWIDTH**2 + sigma**2) ** 0.5
    log_q = torch.logsumexp(Normal(alpha * centres, spread).log_prob(grid[:, None]), 1) - torch.tensor(count).log()
    rows = grid.view(-1, 1, 1, 1)
    log_p = prior.log_prob(rows, torch.full((len(grid),), level), prior.embed([""]).expand(len(grid)))
    (exact,) = torch.autograd.grad(torch.trapezoid(log_q.exp() * (log_q - log_p), grid), centres)

    nodes, weight = (torch.from_numpy(values) for values in hermegauss(40))
    weight = weight / weight.sum()
    centre, xi, e = (value.reshape(-1, 1, 1, 1) for value in torch.meshgrid(centres.detach(), nodes, nodes, indexing="ij"))
    critic = fitted(KDECritic(prior, BANDWIDTH), centres.detach().view(-1, 1, 1, 1))
    samples = critic.samples(centre, xi)
    conditions = {"target": prior.embed([""]), "critic": prior.embed([""])}
    gradient = METHODS["vsd"].gradient(
        prior,
        samples,
        torch.full((len(samples),), level),
        {"noise": e},
        conditions,
        None,
        VSDParameters(guidance=1.0, weighting="uniform"),
        MethodState(critic=critic),
    )
    mean = torch.einsum("cij,i,j->c", gradient.gradient.view(count, 40, 40), weight, weight)
    torch.testing.assert_close(alpha / sigma * mean / count, exact, atol=1e-8, rtol=1e-8)


def test_mixed_asks_one_critic_with_a_camera_and_the_other_without():
    prior, pose = scene(), Pose(azimuth_deg=torch.zeros(6))
    t, _, _, x_t = noised(prior, 400, 6)
    critic = fitted(MixedCritic(DiracCritic(prior), GaussianCritic(prior)), particles_of(prior, 6))
    without, seen, again = critic.predict(x_t, t, None, [None, pose, None])
    assert torch.equal(without, critic.without_camera.predict(x_t, t, None, [None])[0])
    assert torch.equal(seen, critic.with_camera.predict(x_t, t, None, [pose])[0])
    assert torch.equal(without, again) and not torch.allclose(without, seen)
    assert critic.rows == 18


def test_what_an_oracle_cannot_answer_is_said():
    prior = scene()
    t, _, _, x_t = noised(prior, 400, 6)
    with pytest.raises(ValueError, match="KDECritic knows no particles yet"):
        KDECritic(prior, BANDWIDTH).predict(x_t, t, None, [None])
    with pytest.raises(ValueError, match="4 single particles was asked about 6 latents"):
        fitted(DiracCritic(prior), particles_of(prior, 4)).predict(x_t, t, None, [None])
