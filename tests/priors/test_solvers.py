"""Node lists, and the solvers against the closed-form flow of a Gaussian."""

from itertools import pairwise

import pytest
import torch

from backend.errors import UserError
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.nodes import CLEAN, geometric_nodes, stride_nodes, uniform_nodes
from backend.priors.schedule import stable_diffusion_abar
from backend.priors.solvers import invert, rows_of, solve

ABAR = stable_diffusion_abar()
LEVEL = 600


def gaussian(variance=0.49, mean=1.0):
    return GaussianMixturePrior(torch.tensor([[mean]], dtype=torch.float64), torch.tensor([[[variance]]], dtype=torch.float64))


def field_of(prior, label=""):
    """Each sample's own condition is the same label; the calls it gets are counted in `rows`."""

    def field(x, t, which):
        field.rows += len(x)
        return prior.predict_noise(x, t, prior.embed([label] * len(x)))

    field.rows = 0
    return field


def column(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def largest(difference):
    return float(difference.abs().max())


@pytest.mark.parametrize("t", [0, 1, 5, 9, 60, 300, 999])
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 64])
def test_nodes_ascend_to_t_in_as_many_steps_as_there_are_levels(t, steps):
    for nodes in (uniform_nodes(t, steps), geometric_nodes(ABAR, t, steps)):
        assert nodes[0] == CLEAN and nodes[-1] == t
        assert all(type(node) is int for node in nodes)
        assert len(nodes) == min(steps, t + 1) + 1
        assert all(after > before for before, after in pairwise(nodes))


@pytest.mark.parametrize("t", [0, 1, 2, 100, 101, 102, 980, 999])
def test_stride_nodes_are_the_levels_below_t_and_t(t):
    nodes = stride_nodes(t, 100, 1)
    assert nodes == [CLEAN, *(level for level in (1, 101, 201, 301, 401, 501, 601, 701, 801, 901) if level < t), t]
    assert all(after > before for before, after in pairwise(nodes))


def test_uniform_nodes_are_even_and_geometric_nodes_are_even_in_log_st():
    assert uniform_nodes(600, 6) == [CLEAN, 100, 200, 300, 400, 500, 600]
    ratio = (1 / ABAR - 1).sqrt()
    wanted = torch.logspace(torch.log10(torch.tensor(0.03)), float(ratio[600].log10()), 10, dtype=torch.float64)
    for node, st in zip(geometric_nodes(ABAR, 600, 10)[1:], wanted, strict=True):
        gap = max(float(ratio[node + 1] - ratio[node]), float(ratio[node] - ratio[max(node - 1, 0)]))
        assert abs(float(ratio[node] - st)) <= 0.51 * gap + 1e-3


def test_flow_of_a_gaussian_is_its_own_inverse_and_composes():
    prior = gaussian()
    x = column(-1.0, 0.4, 3.0)
    for start, end in ((CLEAN, 600), (600, CLEAN), (20, 900), (900, 20), (CLEAN, CLEAN)):
        torch.testing.assert_close(prior.flow(prior.flow(x, start, end), end, start), x, atol=1e-12, rtol=0)
        torch.testing.assert_close(prior.flow(prior.flow(x, start, 300), 300, end), prior.flow(x, start, end), atol=1e-12, rtol=0)


def test_flow_scales_the_isotropic_gaussian_by_the_ratio_of_its_spreads():
    # x_t = alpha mu + sqrt(D_t) (x_0 - mu) / s, D_t = alpha^2 s^2 + sigma^2
    prior, x = gaussian(0.49, 1.0), column(-1.0, 0.4, 3.0)
    alpha, sigma = (float(value) for value in prior.coefficients(torch.tensor([LEVEL])))
    expected = alpha * 1.0 + (alpha**2 * 0.49 + sigma**2) ** 0.5 * (x - 1.0) / 0.7
    torch.testing.assert_close(prior.flow(x, CLEAN, LEVEL), expected, atol=1e-12, rtol=0)


def test_flow_of_a_full_covariance_solves_the_ode_in_its_eigenbasis(mixture):
    # d xb / d st = eps(x), xb = x / alpha: the flow's slope between neighbouring levels is the oracle's prediction half-way.
    prior = mixture()
    x = torch.randn(5, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condition = prior.embed(["b"]).expand(5)
    for level in (20, 300, 700, 950):
        below, here, above = (prior.flow(x, CLEAN, level + step, "b") for step in (-1, 0, 1))
        alpha, sigma = (value.view(3, 1, 1, 1, 1) for value in prior.coefficients(torch.tensor([level - 1, level, level + 1])))
        st = sigma / alpha
        slope = (above / alpha[2] - below / alpha[0]) / (st[2] - st[0])
        eps = prior.predict_noise(here, torch.full((5,), level), condition)
        torch.testing.assert_close(slope, eps, atol=2e-4, rtol=2e-3)


def test_flow_and_numeric_solves_agree_for_a_full_covariance(mixture):
    prior = mixture()
    z = torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    exact = prior.flow(z, 20, LEVEL, "a")
    errors = []
    for steps in (29, 58, 116):
        nodes = list(range(LEVEL, 19, -580 // steps))
        errors.append(largest(solve(field_of(prior, "a"), prior, exact, [nodes] * 4, "heun") - z))
    assert errors[0] < 0.1
    assert [errors[k + 1] / errors[k] for k in (0, 1)] == pytest.approx([0.25, 0.25], rel=0.15)


def test_several_components_have_no_closed_form_flow(mixture):
    with pytest.raises(UserError, match="'c' has no closed form: it should be one Gaussian, but it is 2"):
        mixture().flow(torch.zeros(1, 1, 2, 2), CLEAN, 300, "c")


@pytest.mark.parametrize(("solver", "order"), [("ddim", 1), ("heun", 2), ("dpmpp2m", 2)])
def test_order_of_convergence_downward(solver, order):
    # DDIM's errors halve, those of Heun and of DPM-Solver++(2M) quarter: from level 600 to 24 in steps of one size.
    prior, z = gaussian(), column(-1.0, 2.5)
    x_t = prior.flow(z, 24, LEVEL)
    errors = []
    for steps in (36, 72, 144):
        nodes = list(range(LEVEL, 23, -576 // steps))
        errors.append(largest(solve(field_of(prior), prior, x_t, [nodes] * 2, solver) - z))
    ratios = [errors[k + 1] / errors[k] for k in (0, 1)]
    assert ratios == pytest.approx([0.5**order] * 2, rel=0.1)


@pytest.mark.parametrize(("solver", "order"), [("ddim", 1), ("ab2", 2)])
def test_order_of_convergence_upward(solver, order):
    # Inversion is Euler in st too, of an error O(1/n); Adams-Bashforth of two steps is of second order.
    prior, z = gaussian(), column(-1.0, 2.5)
    x_24 = prior.flow(z, CLEAN, 24)
    exact = prior.flow(z, CLEAN, LEVEL)
    errors = []
    for steps in (36, 72, 144, 288):
        nodes = list(range(24, LEVEL + 1, 576 // steps))
        errors.append(largest(invert(field_of(prior), prior, x_24, [nodes] * 2, solver) - exact))
    assert errors[3] / errors[2] == pytest.approx(0.5**order, rel=0.1)
    assert errors[2] / errors[1] == pytest.approx(0.5**order, rel=0.2)


def round_trip(prior, z, nodes, inversion, solver):
    x_t = invert(field_of(prior), prior, z, [nodes], inversion)
    return largest(solve(field_of(prior), prior, x_t, [nodes[::-1]], solver) - z)


def test_inversion_and_sampling_are_no_inverses_but_their_round_trip_error_is_of_order_1_over_n():
    prior, z = gaussian(), column(2.0)
    errors = [round_trip(prior, z, uniform_nodes(LEVEL, steps), "ddim", "ddim") for steps in (5, 10, 20, 40, 80)]
    assert errors[0] > 0.1
    assert all(0.45 < after / before < 0.6 for before, after in pairwise(errors)), errors


@pytest.mark.parametrize(
    ("inversion", "solver", "expected"),
    [("ddim", "ddim", (0.82, 0.42, 0.21)), ("ddim", "dpmpp2m", (0.41, 0.21, 0.109)), ("ab2", "dpmpp2m", (0.35, 0.066, 0.009))],
)
def test_round_trip_errors_of_geometric_nodes_are_those_of_the_specification(inversion, solver, expected):
    # s = .7, |z - mu| = 4.147, n = 10, 20, 40. The expected errors are of nodes rounded upward, which shows in the last figures.
    prior = gaussian(0.49, 0.0)
    errors = [round_trip(prior, column(4.147), geometric_nodes(ABAR, LEVEL, steps), inversion, solver) for steps in (10, 20, 40)]
    assert errors == pytest.approx(expected, rel=0.12, abs=0.008)


def test_two_step_inversion_pays_from_ten_nodes_on():
    prior = gaussian(0.49, 0.0)
    errors = {
        steps: [round_trip(prior, column(4.147), geometric_nodes(ABAR, LEVEL, steps), kind, "dpmpp2m") for kind in ("ddim", "ab2")]
        for steps in (5, 10, 20)
    }
    assert errors[5][1] > errors[5][0]  # unstable below ten
    assert errors[10][1] < errors[10][0]
    assert errors[20][1] < errors[20][0] / 2


def test_nodes_matter_more_than_the_solver():
    # n = 10: geometric .025 for DPM-Solver++(2M) and .435 for DDIM; uniform .227 and .442
    prior = gaussian(0.49, 0.0)
    x_t = prior.flow(column(4.147), CLEAN, LEVEL)
    measured = [
        largest(solve(field_of(prior), prior, x_t, [nodes[::-1]], solver) - column(4.147))
        for nodes in (geometric_nodes(ABAR, LEVEL, 10), uniform_nodes(LEVEL, 10))
        for solver in ("dpmpp2m", "ddim")
    ]
    assert measured == pytest.approx([0.025, 0.435, 0.227, 0.442], rel=0.02)


WAYS = {
    "uniform": [uniform_nodes(t, steps) for t, steps in ((600, 7), (2, 7), (0, 7), (950, 7))],
    "geometric": [geometric_nodes(ABAR, t, steps) for t, steps in ((600, 5), (980, 9), (3, 9), (40, 2))],
    "stride": [stride_nodes(t, 100, 1) for t in (0, 999, 1, 350)],
}


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
@pytest.mark.parametrize("kind", WAYS)
def test_nodes_of_its_own_for_every_sample_equal_single_solves(mixture, kind, solver):
    prior, ways = mixture(), [nodes[::-1] for nodes in WAYS[kind]]
    x_t = torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    field = field_of(prior)
    together = solve(field, prior, x_t, ways, solver)
    assert field.rows == sum(rows_of(nodes, solver) for nodes in ways)
    for b, nodes in enumerate(ways):
        torch.testing.assert_close(together[b : b + 1], solve(field, prior, x_t[b : b + 1], [nodes], solver), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
@pytest.mark.parametrize("kind", WAYS)
def test_a_sample_is_asked_with_its_own_text_on_ways_of_unlike_length(kind, solver):
    # A field that depends on the sample, as that of a batch with a text per view does.
    prior, ways = gaussian(), [nodes[::-1] for nodes in WAYS[kind]]
    x_t, own = column(-1.0, 0.3, 1.1, 2.0), column(-0.4, 0.1, 0.7, 1.3)

    def told_apart(rows):
        return lambda x, t, which: prior.predict_noise(x, t, prior.embed([""] * len(x))) + (rows if which is None else rows[which])

    together = solve(told_apart(own), prior, x_t, ways, solver)
    for b, nodes in enumerate(ways):
        alone = solve(told_apart(own[b : b + 1]), prior, x_t[b : b + 1], [nodes], solver)
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("solver", ["ddim", "ab2"])
@pytest.mark.parametrize("kind", WAYS)
def test_nodes_of_its_own_for_every_sample_equal_single_inversions(mixture, kind, solver):
    prior, ways = mixture(), WAYS[kind]
    z, noise = (torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))

    def disturbance(rows):
        def disturb(step, which, x, here, there):
            assert len(here.alpha) == len(x)
            return x + 0.1 * step * (rows if which is None else rows[which])

        return disturb

    field = field_of(prior)
    together = invert(field, prior, z, ways, solver, disturb=disturbance(noise))
    assert field.rows == sum(rows_of(nodes, solver) for nodes in ways)
    for b, nodes in enumerate(ways):
        alone = invert(field, prior, z[b : b + 1], [nodes], solver, disturb=disturbance(noise[b : b + 1]))
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-12, rtol=1e-12)


def test_which_names_the_samples_that_still_have_a_step(mixture):
    prior, asked = mixture(), []

    def field(x, t, which):
        asked.append((None if which is None else which.tolist(), t.tolist()))
        return prior.predict_noise(x, t, prior.embed([""] * len(x)))

    invert(field, prior, torch.zeros(3, 1, 2, 2, dtype=torch.float64), [[CLEAN, 5], [CLEAN, 1, 9], [CLEAN, 1, 9, 12]])
    assert asked == [(None, [0, 0, 0]), ([1, 2], [1, 1]), ([2], [9])]
