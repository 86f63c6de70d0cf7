"""The loss on pictures of HiFA (arXiv 2305.18766), with a prior whose pictures are its latents."""

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.image_loss import image_loss
from backend.distill.methods import METHODS
from backend.distill.parameters import SDSParameters
from backend.priors.counting import CountingPrior
from backend.priors.mixture import GaussianMixturePrior

LEVELS = torch.tensor([20, 500, 980])


def pictures(side=4, parametrisation="epsilon"):
    """One Gaussian N(.5, .1^2) over pictures 3 x side x side, decoded as they are."""
    d = 3 * side * side
    mean, spread = torch.full((1, d), 0.5, dtype=torch.float64), 0.01 * torch.eye(d, dtype=torch.float64).unsqueeze(0)
    return GaussianMixturePrior(mean, spread, {"target": [0]}, latent_shape=(3, side, side), parametrisation=parametrisation)


def rand(*shape, seed=0):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_hifa_image_gradient_is_weight_alpha_over_sigma_times_x_minus_decoded():
    prior, x, clean = pictures(), rand(3, 3, 4, 4).requires_grad_(), rand(3, 3, 4, 4, seed=1)
    image_loss(x, clean, prior, LEVELS, 2.5).backward()
    for row, level in enumerate(LEVELS.tolist()):  # every sample at its own noise level
        alpha, sigma = prior.abar_host[level].sqrt(), (1 - prior.abar_host[level]).sqrt()
        torch.testing.assert_close(x.grad[row], 2.5 * alpha / sigma * (x.detach() - clean)[row] / 3, atol=1e-14, rtol=1e-12)


def test_hifa_image_loss_pulls_to_the_posterior_mean_of_the_method():
    prior, noise = pictures(), torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = rand(3, 3, 4, 4).requires_grad_()
    conditions = {"target": prior.embed(["target"])}
    clean = METHODS["sds"].gradient(prior, x, LEVELS, {"noise": noise}, conditions, None, SDSParameters(guidance=1.0), MethodState()).clean
    image_loss(x, clean, prior, LEVELS, 1.0).backward()
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(LEVELS))
    # x0h = mu + alpha s^2 (x_t - alpha mu) / D
    x_t = alpha * x.detach() + sigma * noise
    mean = 0.5 + alpha * 0.01 * (x_t - alpha * 0.5) / (alpha**2 * 0.01 + sigma**2)
    torch.testing.assert_close(x.grad, alpha / sigma * (x.detach() - mean.clamp(0, 1)) / 3, atol=1e-12, rtol=1e-10)


def test_no_gradient_goes_through_the_decoder():
    prior, x, clean = pictures(), rand(2, 3, 4, 4).requires_grad_(), rand(2, 3, 4, 4, seed=1).requires_grad_()
    image_loss(x, clean, prior, LEVELS[:2], 1.0).backward()
    assert clean.grad is None and x.grad is not None


@pytest.mark.parametrize("side", [2, 8])
def test_a_decoded_picture_of_another_size_is_resized(side):
    flat = torch.full((2, 3, 4, 4), 0.25, dtype=torch.float64)
    at_target = torch.full((2, 3, side, side), 0.25, dtype=torch.float64)
    assert float(image_loss(at_target, flat, pictures(), LEVELS[:2], 1.0)) == pytest.approx(0.0, abs=1e-20)


def test_no_pixel_is_lost_where_the_decoded_picture_shrinks():
    corner = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    corner[..., 0, 0] = 1.0  # an interpolation without antialiasing never looks at it
    black = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
    assert float(image_loss(black, corner, pictures(8), LEVELS[:2], 1.0)) > 1e-4


def test_batch_equals_singles_and_what_is_not_finite_stays():
    prior, x, clean = pictures(), rand(3, 3, 4, 4), rand(3, 3, 4, 4, seed=1)
    together = image_loss(x, clean, prior, LEVELS, 1.0)
    singles = [image_loss(x[i : i + 1], clean[i : i + 1], prior, LEVELS[i : i + 1], 1.0) for i in range(3)]
    torch.testing.assert_close(together, sum(singles) / 3)
    clean[1, 0, 0, 0] = torch.nan
    assert not image_loss(x, clean, prior, LEVELS, 1.0).isfinite()


def test_one_decoder_call_and_no_denoiser_row():
    prior = CountingPrior(pictures())
    image_loss(rand(3, 3, 4, 4), rand(3, 3, 4, 4), prior, LEVELS, 1.0)
    assert (prior.decode_calls, prior.rows, prior.encode_calls) == (1, 0, 0)
