import math

import pytest
import torch

from backend.errors import UserError
from backend.priors.conversions import clean_from, noise_from, training_target
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.nodes import as_rows
from backend.priors.sampling import guided_field
from backend.priors.schedule import stable_diffusion_abar
from backend.priors.solvers import solve

LEVELS = torch.tensor([20, 200, 500, 980])
KINDS = ["epsilon", "v_prediction", "sample"]


def spread(value):
    return value.view(-1, 1, 1, 1)


def test_schedule_reference_values():
    abar = stable_diffusion_abar()
    ratio = ((1 - abar) / abar).sqrt()[LEVELS]
    torch.testing.assert_close(ratio, torch.tensor([0.138, 0.572, 1.618, 13.04], dtype=torch.float64), rtol=2e-3, atol=0)


@pytest.mark.parametrize("label", ["", "a", "b", "c"])
@pytest.mark.parametrize("parametrisation", KINDS)
def test_e1_noise_is_minus_sigma_times_the_score(mixture, label, parametrisation):
    prior = mixture(parametrisation)
    x = torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    condition = prior.embed([label] * 4)
    (score,) = torch.autograd.grad(prior.log_prob(x, LEVELS, condition).sum(), x)
    noise = prior.predict_noise(x, LEVELS, condition)
    torch.testing.assert_close(noise, -spread(prior.coefficients(LEVELS)[1]) * score, atol=1e-10, rtol=0)


def test_log_prob_is_that_of_the_written_out_gaussian(mixture):
    prior = mixture()
    x = torch.randn(1, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([300])
    alpha, sigma = prior.coefficients(t)
    covariance = prior.basis[0] @ prior.variances[0].diag() @ prior.basis[0].T
    normal = torch.distributions.MultivariateNormal(alpha * prior.means[0], alpha**2 * covariance + sigma**2 * torch.eye(4))
    torch.testing.assert_close(prior.log_prob(x, t, prior.embed(["a"])), normal.log_prob(x.view(1, 4)))


@pytest.mark.parametrize("parametrisation", KINDS)
def test_e2_conversions_round_trip(parametrisation):
    generator = torch.Generator().manual_seed(1)
    clean, noise = (torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    abar = stable_diffusion_abar()[LEVELS]
    alpha, sigma = spread(abar.sqrt()), spread((1 - abar).sqrt())
    x_t = alpha * clean + sigma * noise
    expected = {"epsilon": noise, "v_prediction": alpha * noise - sigma * clean, "sample": clean}[parametrisation]
    torch.testing.assert_close(training_target(clean, noise, parametrisation, alpha, sigma), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(noise_from(expected, parametrisation, x_t, alpha, sigma), noise, atol=1e-12, rtol=0)
    torch.testing.assert_close(clean_from(noise, x_t, alpha, sigma), clean, atol=1e-12, rtol=0)


def test_unknown_parametrisation_is_refused():
    with pytest.raises(ValueError, match="'flow'"):
        noise_from(*[torch.zeros(1)] * 1, "flow", *[torch.zeros(1)] * 3)


@pytest.mark.parametrize("label", ["a", "c"])
def test_samples_have_the_moments_of_their_label(mixture, label):
    prior = mixture()
    drawn = prior.sample(40_000, label, generator=torch.Generator().manual_seed(0)).view(-1, 4)
    share = prior.log_weights[prior.labels.index(label)].exp()
    mean = share @ prior.means
    each = torch.einsum("kij,kj,klj->kil", prior.basis, prior.variances, prior.basis) + torch.einsum("ki,kj->kij", prior.means, prior.means)
    covariance = torch.einsum("k,kij->ij", share, each) - torch.outer(mean, mean)
    scale = covariance.diagonal().sqrt()
    assert ((drawn.mean(0) - mean) / scale).abs().max() < 4 / math.sqrt(40_000)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.05 * float(scale.max()) ** 2, rtol=0)


def test_a_point_mass_is_allowed():
    prior = GaussianMixturePrior(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2, 2))
    x = torch.randn(3, 2, 1, 1, dtype=torch.float64)
    t = torch.tensor([0, 400, 999])
    alpha, sigma = (spread(v) for v in prior.coefficients(t))
    noise = prior.predict_noise(x, t, prior.embed([""]).expand(3))
    torch.testing.assert_close(noise, (x - alpha * torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)) / sigma)


def test_unknown_label_names_the_nearest(mixture):
    prior = GaussianMixturePrior(torch.zeros(1, 1), torch.ones(1, 1, 1), {"a red mug": [0]})
    assert prior.unknown_words("a red mag") == ["a red mag"]
    with pytest.raises(UserError, match="Did you mean 'a red mug'"):
        prior.embed(["a red mag"])


def test_fingerprint_follows_the_density(mixture):
    assert mixture().fingerprint() == mixture().fingerprint()
    assert mixture().fingerprint() != mixture("sample").fingerprint()


def gaussian(mean=2.0, variance=0.25):
    return GaussianMixturePrior(torch.tensor([[mean]], dtype=torch.float64), torch.tensor([[[variance]]], dtype=torch.float64))


def field_of(prior):
    return guided_field(prior, prior.embed([""]), None, 1.0)


def test_solvers_converge_to_the_closed_form_ode():
    # x_0 = mu + s (x_t - alpha mu) / sqrt(D_t), with D_t = alpha^2 s^2 + sigma^2
    prior, t = gaussian(), 600
    alpha, sigma = (float(v) for v in prior.coefficients(torch.tensor([t])))
    x_t = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64).view(3, 1, 1, 1)
    exact = 2.0 + 0.5 * (x_t - alpha * 2.0) / math.sqrt(alpha**2 * 0.25 + sigma**2)
    ratio = (1 / prior.abar - 1).sqrt()

    def error(steps, solver):
        # Even in log(sigma/alpha), from level 600 down to level 0, then clean.
        targets = torch.logspace(math.log10(ratio[t]), math.log10(ratio[0]), steps, dtype=torch.float64)
        nodes = [*dict.fromkeys(int((ratio - target).abs().argmin()) for target in targets), -1]
        return float((solve(field_of(prior), prior, x_t, as_rows(nodes, 3), solver) - exact).abs().max())

    first_order = [error(steps, "ddim") for steps in (10, 20, 40)]
    assert first_order[1] / first_order[0] == pytest.approx(0.5, abs=0.1)
    assert first_order[2] / first_order[1] == pytest.approx(0.5, abs=0.1)
    assert error(10, "dpmpp2m") < first_order[2] / 4  # second order: a quarter of the steps, a fraction of the error
    assert error(20, "dpmpp2m") < error(10, "dpmpp2m") / 2


def test_a_single_step_is_the_posterior_mean():
    prior, t = gaussian(), torch.tensor([600])
    x_t = torch.tensor([1.7], dtype=torch.float64).view(1, 1, 1, 1)
    alpha, sigma = prior.coefficients(t)
    expected = 2.0 + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x_t - alpha * 2.0)
    torch.testing.assert_close(solve(field_of(prior), prior, x_t, [[600, -1]]), expected)
