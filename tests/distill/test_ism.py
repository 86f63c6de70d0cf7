"""Interval score matching against Gaussians (arXiv 2311.11284)."""

import math

import pytest
import torch

from backend.distill.methods import METHODS
from backend.distill.parameters import ISMParameters
from backend.priors.counting import CountingPrior
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.nodes import uniform_nodes
from backend.priors.solvers import invert

from .conftest import scene
from .flows import coefficients, field_of, normal, smooth_levels, values
from .one_step import eps, gradient_of, some_latents

ISM = METHODS["ism"]
MU, S = 0.4, 0.7
Z = values(-2.0, -0.7, 0.1, 1.4)
SAME = {"target": "", "null": ""}
PLAIN = {"guidance": 1.0, "inversion_guidance": 1.0, "weighting": "uniform"}


def ism(prior, z, t, texts=None, state=None, **settings):
    extra = {} if texts is None else {"texts": texts}
    return gradient_of(ISMParameters(**settings), prior, z, torch.as_tensor(t), None, **extra, **(state or {}))


def ratio(prior, level):
    alpha, sigma = coefficients(prior, [level])
    return float(sigma / alpha)


def test_ism_closed_form_along_the_flow():
    # G / st_t = zeta (sigma_t / sqrt(D_t) - sigma_s / sqrt(D_s)). At noise this weak five strides and the interval's step are the flow.
    prior = normal(MU, S, smooth_levels(3e-4, 60))
    terms = {}
    for level in (50, 60):
        alpha, sigma = coefficients(prior, [level])
        terms[level] = sigma / (alpha**2 * S**2 + sigma**2).sqrt()
    exact = (Z - MU) / S * (terms[60] - terms[50])
    found = ism(prior, Z, [60] * 4, SAME, delta_t=10.0, stride=10, **PLAIN)
    torch.testing.assert_close(found, exact, atol=1e-10, rtol=0)
    assert exact.abs().max() > 1e-4


@pytest.mark.parametrize(("level", "interval"), [(500, 50), (980, 100), (150, 25)])
def test_ism_between_levels_is_the_product_of_its_steps(level, interval):
    # On a Gaussian eps = st (xb - mu) / (s^2 + st^2), so each step multiplies xb - mu by 1 + h st / (s^2 + st^2).
    prior = normal(MU, S)
    below = level - interval
    nodes = uniform_nodes(below, math.ceil(below / 200))
    offset = Z - MU
    for index, (here, there) in enumerate(zip(nodes, [*nodes[1:], level], strict=True)):
        size = ratio(prior, there) - (ratio(prior, here) if index else 0.0)
        asked = ratio(prior, max(here, 0))
        alpha = 1.0 / math.sqrt(1.0 + asked**2)
        if index:
            slope = asked * offset / (S**2 + asked**2)
        else:  # clean latents, read as latents of level 0
            slope = alpha * asked * (Z - alpha * MU) / (alpha**2 * (S**2 + asked**2))
        offset = offset + size * slope
    last = ratio(prior, level)
    exact = last * offset / (S**2 + last**2) - slope
    torch.testing.assert_close(ism(prior, Z, [level] * 4, SAME, delta_t=float(interval), **PLAIN), exact, atol=1e-10, rtol=1e-10)
    weighted = ism(prior, Z, [level] * 4, SAME, delta_t=float(interval), guidance=1.0, inversion_guidance=1.0)
    torch.testing.assert_close(weighted, last * exact, atol=1e-10, rtol=1e-10)


def test_ism_is_linear_in_a_short_interval():
    prior = normal(MU, S)
    sizes = [ism(prior, Z, [500] * 4, SAME, delta_t=interval, **PLAIN).abs().max() for interval in (10.0, 1.0)]
    assert float(sizes[0] / sizes[1]) == pytest.approx(10.0, rel=0.05)


def test_ism_without_interval_is_guidance_at_an_inverted_point():
    # delta_t = 0, inversion by the empty prompt: G / st_t = g (e_y - e_0)(x_t).
    prior = scene()
    z, t, _, _ = some_latents(prior, [150, 420, 900])
    ways = [uniform_nodes(level, math.ceil(level / 200)) for level in t.tolist()]
    x_t = torch.cat([invert(field_of(prior), prior, z[k : k + 1], [way]) for k, way in enumerate(ways)])
    by_hand = 7.5 * (eps(prior, x_t, t, "target") - eps(prior, x_t, t, ""))
    torch.testing.assert_close(ism(prior, z, t, delta_t=0.0, weighting="uniform"), by_hand, atol=1e-10, rtol=1e-10)


def test_ism_is_deterministic_given_latents_and_level():
    assert ISM.draws(ISMParameters()) == ()
    z, t, _, _ = some_latents(scene(), [150, 420, 900])
    assert torch.equal(ism(scene(), z, t), ism(scene(), z, t))


def test_ism_interval_follows_its_schedule():
    z, t, _, _ = some_latents(scene(), [560, 590])  # where all these intervals leave as many strides
    literal = (0, 100.0, 25.0, 1500)
    for step, interval in ((0, 100.0), (300, 85.0), (1500, 25.0), (4000, 25.0)):
        now = ism(scene(), z, t, state={"step": step, "steps": 5000}, delta_t=literal)
        torch.testing.assert_close(now, ism(scene(), z, t, delta_t=interval), atol=1e-12, rtol=0)


@pytest.mark.parametrize("settings", [{}, {"delta_t": (10, 0.0, 400.0, 1000)}, {"stride": 30, "delta_t": (5000.0, 0.0, 1000)}])
def test_ism_rows_do_not_depend_on_the_step(settings):
    parameters = ISMParameters(**settings)
    for level in (0, 2, 40, 230, 610, 999):
        z, t, _, _ = some_latents(scene(), [level])
        for step in (0, 700, 3000):
            prior = CountingPrior(scene())
            ism(prior, z, t, state={"step": step, "steps": 5000}, **settings)
            assert prior.rows == ISM.rows(parameters, level)
            assert prior.calls == prior.rows - 1  # null and target of the last prediction go together


def test_ism_rows_are_those_of_the_published_code():
    # ceil(s / 200) strides, at most five, one step more, and two for the guided prediction.
    for level in range(100, 1000, 7):
        assert ISM.rows(ISMParameters(delta_t=80.0), level) == max(math.ceil((level - 80) / 200), 1) + 1 + 2
    assert {ISM.rows(ISMParameters(), level) for level in range(20, 981)} == {4, 5, 6, 7, 8}
    assert ISM.rows(ISMParameters(stride=10), 980) == 8
    # An interval that shrinks to 25 leaves four strides of at most 200 below 630; the 100 of the beginning would leave three.
    assert ISM.rows(ISMParameters(delta_t=(0, 100.0, 25.0, 1500)), 630) == 4 + 1 + 2


@pytest.mark.parametrize("level", [0, 1, 4, 100, 101])
def test_ism_below_its_interval_starts_at_the_least_noise(level):
    found = ism(scene(), *some_latents(scene(), [level])[:2], delta_t=100.0, stride=20)
    assert found.isfinite().all()
    prior = normal(MU, S)
    start, end = ratio(prior, 0), ratio(prior, level)
    if level <= 100:  # one stride to level 0, whose prediction is compared with that at t
        alpha = 1.0 / math.sqrt(1.0 + start**2)
        offset = Z - MU + start * (alpha * start * (Z - alpha * MU) / (alpha**2 * (S**2 + start**2)))
        slope = start * offset / (S**2 + start**2)
        moved = offset + (end - start) * slope
        exact = end * moved / (S**2 + end**2) - slope
        torch.testing.assert_close(ism(prior, Z, [level] * 4, SAME, delta_t=100.0, **PLAIN), exact, atol=1e-12, rtol=1e-10)


def test_ism_reads_the_null_text_alone_on_the_way_to_the_noise():
    # A prior whose null text is far away pulls the inversion there; the target's text does not.
    means = torch.tensor([[5.0], [-1.0]], dtype=torch.float64)
    prior = GaussianMixturePrior(means, torch.full((2, 1, 1), 0.3, dtype=torch.float64), {"": [0], "target": [1], "other": [0, 1]})
    alike = ism(prior, Z, [500] * 4, {"null": "", "target": ""}, guidance=1.0, inversion_guidance=0.0, delta_t=0.0)
    torch.testing.assert_close(alike, torch.zeros_like(Z), atol=1e-12, rtol=0)
    assert (ism(prior, Z, [500] * 4, guidance=1.0, delta_t=0.0) > 0).all()  # toward the target, which lies below: descent goes down
