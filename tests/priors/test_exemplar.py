"""The posterior over pictures against the mixture that it is a case of, against autograd, and at both ends of time."""

import math

import pytest
import torch

from backend.priors.contract import Condition
from backend.priors.conversions import clean_from
from backend.priors.exemplar import ExemplarPrior
from backend.priors.guidance import predict_each
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.sampling import sample
from backend.priors.schedule import stable_diffusion_abar
from backend.views import BACK, FRONT, SIDE

from .conformance import check_prior

LEVELS = torch.tensor([0, 200, 500, 980])
KINDS = ["epsilon", "v_prediction", "sample"]
CAPTIONS = ("a red mug", "a red mug", "a blue mug", "a red vase with dots", "a blue vase")
VIEWS = (FRONT, SIDE, FRONT, "", BACK)


def exemplars(parametrisation="epsilon", size=4, **settings):
    generator = torch.Generator().manual_seed(5)
    pixels = torch.rand(len(CAPTIONS), 3, size, size, generator=generator, dtype=torch.float64)
    return ExemplarPrior(pixels, CAPTIONS, VIEWS, parametrisation=parametrisation, **settings)


def soft(parametrisation="epsilon"):
    """Words and views that weigh about as much as distances do."""
    return exemplars(parametrisation, word_nats=1.5, view_nats=0.7)


def as_mixture(prior, prompt, parametrisation):
    """The same density as a mixture of point masses: zero covariances."""
    count, d = prior.bank.shape
    return GaussianMixturePrior(
        prior.bank,
        torch.zeros(count, d, d),
        weights=prior.embed([prompt]).text[0].exp(),
        latent_shape=prior.latent_shape,
        parametrisation=parametrisation,
    )


def noisy(prior, t, seed=0):
    """Pictures with the noise of their level, [len(t),3,S,S] float64: where a run looks."""
    generator = torch.Generator().manual_seed(seed)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    clean = prior.bank[torch.randint(len(prior.bank), (len(t),), generator=generator)].view(-1, *prior.latent_shape)
    return alpha * clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("parametrisation", KINDS)
def test_exemplars_are_a_prior(parametrisation):
    check_prior(exemplars(parametrisation, size=8), ("a red mug", "a blue vase, back view"))


@pytest.mark.parametrize("prompt", ["", "a red mug", "a red mug, back view"])
@pytest.mark.parametrize("parametrisation", KINDS)
def test_the_posterior_is_the_mixture_of_zero_covariances(parametrisation, prompt):
    prior = soft(parametrisation)
    mixture = as_mixture(prior, prompt, parametrisation)
    x = noisy(prior, LEVELS)
    condition, null = prior.embed([prompt] * 4), mixture.embed([""] * 4)
    torch.testing.assert_close(prior.log_prob(x, LEVELS, condition), mixture.log_prob(x, LEVELS, null), atol=1e-10, rtol=1e-12)
    torch.testing.assert_close(prior.network(x, LEVELS, condition), mixture.network(x, LEVELS, null), atol=1e-10, rtol=0)
    ours, theirs = prior.predict_noise(x, LEVELS, condition), mixture.predict_noise(x, LEVELS, null)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("parametrisation", KINDS)
def test_noise_is_minus_sigma_times_the_gradient_of_the_log_density(parametrisation):
    prior = soft(parametrisation)
    x = noisy(prior, LEVELS).requires_grad_()
    condition = prior.embed(["a red mug", "a blue mug, side view", "", "a vase"])
    (score,) = torch.autograd.grad(prior.log_prob(x, LEVELS, condition).sum(), x)
    sigma = prior.coefficients(LEVELS)[1].view(-1, 1, 1, 1)
    torch.testing.assert_close(prior.predict_noise(x, LEVELS, condition), -sigma * score, atol=1e-9, rtol=0)


def test_at_t_0_the_mean_is_the_nearest_picture():
    prior = exemplars()
    x = noisy(prior, torch.zeros(6, dtype=torch.int64))
    t = torch.zeros(6, dtype=torch.int64)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    clean = clean_from(prior.predict_noise(x, t, prior.embed([""] * 6)), x, alpha, sigma)
    nearest = torch.cdist(x.flatten(1), alpha[0, 0, 0] * prior.bank).argmin(1)
    assert len(set(nearest.tolist())) > 1
    torch.testing.assert_close(clean.flatten(1), prior.bank[nearest], atol=1e-9, rtol=0)


def test_as_alpha_goes_to_0_the_mean_is_that_of_the_weights():
    prior = exemplars(word_nats=1.5, view_nats=0.7, abar=torch.cat([stable_diffusion_abar(), torch.tensor([1e-20])]))
    t = torch.tensor([1000, 1000])
    x = torch.randn(2, *prior.latent_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condition = prior.embed(["a red mug, side view", ""])
    shares = prior.shares(x, t, condition)
    torch.testing.assert_close(shares, condition.text.exp(), atol=1e-7, rtol=0)
    torch.testing.assert_close(condition.text[1].exp(), torch.full((5,), 0.2, dtype=torch.float64))


@pytest.mark.parametrize("parametrisation", KINDS)
def test_float32_latents_near_t_0_keep_the_noise_of_float64(parametrisation):
    """64 px: distances of 1e4 are divided by .0017, so a float32 product of matrices would be wrong by whole units of log weight."""
    prior = exemplars(parametrisation, size=64)
    t = torch.tensor([0, 1, 20])
    x = noisy(prior, t).float()
    condition = prior.embed([""] * 3)
    exact = prior.predict_noise(x.double(), t, condition)
    torch.testing.assert_close(prior.predict_noise(x, t, condition).double(), exact, atol=2e-5, rtol=1e-5)


def test_two_almost_equal_pictures_are_told_apart_by_the_likelihood_ratio():
    """Two pictures one grey level apart in one pixel of 64 px: log odds at t = 0 are (alpha d)(x - alpha m) / sigma^2, exactly."""
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64).repeat(2, 1, 1, 1)
    pixels[1, 0, 3, 3] += 1 / 255
    prior = ExemplarPrior(pixels, ("one", "one"))
    t = torch.tensor([0])
    alpha, sigma = (float(value) for value in prior.coefficients(t))
    first, second = prior.bank[:, 3 * 64 + 3].tolist()
    x = alpha * prior.bank[:1].view(1, 3, 64, 64).clone()
    x[0, 0, 3, 3] = alpha * (0.3 * first + 0.7 * second)
    odds = alpha * (second - first) * (float(x[0, 0, 3, 3]) - alpha * (first + second) / 2) / sigma**2
    shares = prior.shares(x, t, prior.embed([""]))[0]
    assert math.log(shares[1] / shares[0]) == pytest.approx(odds, rel=1e-6)


def test_a_ddim_sample_is_one_of_the_pictures_that_the_prompt_means():
    prior = exemplars(size=16)
    drawn = sample(prior, prior.embed(["a red mug"] * 12), guidance=1.0, steps=25, generator=torch.Generator().manual_seed(0))
    gaps = torch.cdist(drawn.double().flatten(1), prior.bank)
    assert gaps.min(1).values.max() < 1e-3
    assert set(gaps.argmin(1).tolist()) == {0, 1}


def test_exact_samples_follow_the_weights():
    prior = soft()
    drawn = prior.sample(4000, "a red mug", generator=torch.Generator().manual_seed(0)).flatten(1)
    counted = (torch.cdist(drawn, prior.bank) < 1e-3).double().mean(0)
    torch.testing.assert_close(counted, prior.embed(["a red mug"]).text[0].exp(), atol=0.03, rtol=0)


def counting(prior, prompt):
    """The pictures with a weight of more than a billionth, by number."""
    return [row for row, share in enumerate(prior.embed([prompt]).text[0].exp().tolist()) if share > 1e-9]


@pytest.mark.parametrize(
    ("prompt", "pictures"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("a the of", [0, 1, 2, 3, 4]),
        ("a red mug", [0, 1]),
        ("A RED mug,", [0, 1]),
        ("a photo of a red mug on a zebra", [0, 1]),  # the zebra is in no caption
        ("a red mug, side view", [1]),
        ("a red mug, back view", [0, 1]),  # there is none from the back: all of them, alike
        ("a red vase, overhead view", [3]),  # no tag: may stand for any view
        ("mug, front view", [0, 2]),
        ("front view", [0, 2, 3]),
        ("dots", [3]),
        ("a green mug", [0, 1, 2]),
    ],
)
def test_the_pictures_that_share_most_words_and_the_view_count(prompt, pictures):
    assert counting(exemplars(), prompt) == pictures
    weights = exemplars().embed([prompt]).text[0].exp()[pictures]
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / len(pictures)))


def test_log_weights_are_nats_per_shared_word_less_nats_for_another_view():
    text = soft().embed(["a red mug, side view"]).text[0]
    expected = torch.tensor([3.0 - 0.7, 3.0, 1.5 - 0.7, 1.5, 0.0 - 0.7], dtype=torch.float64)
    torch.testing.assert_close(text, expected.log_softmax(0))


def test_a_blend_of_two_views_weighs_both_alike():
    prior = exemplars()
    front, side = prior.embed(["a red mug, front view", "a red mug, side view"]).text
    between = Condition((0.5 * front + 0.5 * side)[None])
    t = torch.tensor([999])
    shares = prior.shares(torch.zeros(1, *prior.latent_shape), t, between)[0]
    assert shares[0] > 0.2 and shares[1] > 0.2
    assert shares[2:].max() < 1e-9
    assert prior.log_prob(torch.zeros(1, *prior.latent_shape), t, between).isfinite().all()


def test_several_conditions_share_one_call():
    prior = exemplars()
    x = noisy(prior, LEVELS)
    both = predict_each(prior, x, LEVELS, [prior.embed([""]), prior.embed(["a blue vase"])])
    torch.testing.assert_close(both[1], prior.predict_noise(x, LEVELS, prior.embed(["a blue vase"] * 4)))


def test_unknown_words_are_those_that_no_caption_has():
    prior = exemplars()
    assert prior.unknown_words("a photo of a red mug, side view") == []
    assert prior.unknown_words("a Green mug with a zebra") == ["green", "zebra"]


def test_encode_and_decode_are_inverse_and_a_larger_picture_is_averaged():
    prior = exemplars(size=8)
    rgb = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.decode(prior.encode(rgb)), rgb, atol=1e-6, rtol=0)
    flat = torch.full((1, 3, 32, 32), 0.75, requires_grad=True)
    latents = prior.encode(flat)
    torch.testing.assert_close(latents.detach(), prior.encode(torch.full((1, 3, 8, 8), 0.75)))
    torch.testing.assert_close(prior.encode(prior.mean_picture[None].float()), torch.zeros(1, 3, 8, 8))
    latents.sum().backward()
    torch.testing.assert_close(flat.grad.sum(), torch.tensor(4.0 * 3 * 64))


def test_samples_from_noise_reach_every_picture_of_a_set_that_is_dark_in_common():
    """At the noisiest level .068 of the data is left: with what they share inside the latents, 66 of these 80 are the brightest."""
    pixels = torch.ones(4, 3, 32, 32, dtype=torch.float64)
    pixels[:, :, 8:24, 8:24] = torch.tensor([[0.3, 0.1, 0.1], [0.1, 0.3, 0.1], [0.3, 0.3, 0.1], [0.1, 0.1, 0.1]]).view(4, 3, 1, 1)
    prior = ExemplarPrior(pixels, ("mug",) * 4)
    drawn = sample(prior, prior.embed(["mug"] * 80), guidance=1.0, steps=20, generator=torch.Generator().manual_seed(0))
    counted = torch.cdist(drawn.double().flatten(1), prior.bank).argmin(1).bincount(minlength=4)
    assert counted.min() >= 12


def test_fingerprint_follows_pictures_captions_and_views():
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    said = {
        ExemplarPrior(pixels, ("a mug", "a vase")).fingerprint(),
        ExemplarPrior(pixels, ("a mug", "a cup")).fingerprint(),
        ExemplarPrior(pixels, ("a mug", "a vase"), (FRONT, "")).fingerprint(),
        ExemplarPrior(pixels + 0.001, ("a mug", "a vase")).fingerprint(),
        ExemplarPrior(pixels.flip(3), ("a mug", "a vase")).fingerprint(),
    }
    assert len(said) == 5
    assert ExemplarPrior(pixels, ("a mug", "a vase")).fingerprint() in said


def test_arguments_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="1 captions"):
        ExemplarPrior(torch.zeros(2, 3, 4, 4), ("a mug",))
