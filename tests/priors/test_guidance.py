import torch

from backend.priors.counting import CountingPrior
from backend.priors.guidance import guided, predict_each
from backend.priors.nodes import CLEAN
from backend.priors.sampling import Sampling, ddim_nodes, even_nodes, sample


def test_predictions_come_back_in_the_order_of_the_conditions(mixture):
    prior = CountingPrior(mixture())
    z, t = torch.randn(3, 1, 2, 2), torch.tensor([5, 500, 950])
    conditions = [prior.embed(["a"]), prior.embed(["b", "c", ""]), prior.embed([""])]
    together = predict_each(prior, z, t, conditions)
    assert (prior.calls, prior.rows) == (1, 9)
    for prediction, condition in zip(together, conditions, strict=True):
        torch.testing.assert_close(prediction, prior.predict_noise(z, t, condition.expand(3)))


def test_guidance_is_convention_a(mixture):
    prior = mixture()
    z, t = torch.randn(2, 1, 2, 2, dtype=torch.float64), torch.tensor([300, 700])
    target, null = prior.embed(["a"]).expand(2), prior.embed([""]).expand(2)
    noise_target, noise_null = prior.predict_noise(z, t, target), prior.predict_noise(z, t, null)
    torch.testing.assert_close(guided(prior, z, t, target, null, 0.0), noise_null)
    torch.testing.assert_close(guided(prior, z, t, target, null, 7.5), noise_null + 7.5 * (noise_target - noise_null))
    # Swapping the roles is g -> 1 - g.
    torch.testing.assert_close(guided(prior, z, t, target, null, 7.5), guided(prior, z, t, null, target, -6.5))
    counting = CountingPrior(prior)
    torch.testing.assert_close(guided(counting, z, t, target, None, 1.0), noise_target)
    assert counting.rows == 2


def test_counts_are_of_rows_calls_and_pictures(mixture):
    prior = CountingPrior(mixture())
    sample(prior, prior.embed(["a", "b"]), prior.embed([""]), guidance=3.0, steps=5, generator=torch.Generator().manual_seed(0))
    prior.decode(prior.encode(torch.rand(1, 1, 2, 2)))
    assert (prior.calls, prior.rows, prior.encode_calls, prior.decode_calls) == (5, 20, 1, 1)
    prior.reset()
    assert (prior.calls, prior.rows, prior.encode_calls, prior.decode_calls) == (0, 0, 0, 0)


def test_nodes():
    assert ddim_nodes(Sampling(), 4, 1000) == [751, 501, 251, 1, 0]
    assert ddim_nodes(Sampling(spacing="trailing", ends_clean=True), 4, 1000) == [999, 749, 499, 249, CLEAN]
    assert ddim_nodes(Sampling(spacing="linspace", offset=0), 4, 1000) == [999, 666, 333, 0, 0]
    assert ddim_nodes(Sampling(), 1000, 1000)[0] == 999
    assert even_nodes(700, 7) == [700, 600, 500, 400, 300, 200, 100, CLEAN]
    assert even_nodes(2, 12) == [2, 1, CLEAN]


def test_samples_of_a_mixture_find_their_component(mixture):
    # A sampler with the exact score draws from the density: the mean of many samples is the label's.
    prior = mixture()
    condition = prior.embed(["a"]).expand(4000)
    start = torch.randn(4000, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = sample(prior, condition, guidance=1.0, steps=50, latents=start, sampling=Sampling(spacing="trailing")).view(-1, 4)
    deviation = (prior.basis[0] @ prior.variances[0].diag() @ prior.basis[0].T).diagonal().sqrt()
    assert ((drawn.mean(0) - prior.means[0]) / deviation).abs().max() < 0.08
    torch.testing.assert_close(drawn.std(0), deviation, rtol=0.08, atol=0.03)
