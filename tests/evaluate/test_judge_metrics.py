"""The measures against closed forms."""

import math

import pytest
import torch

from backend.evaluate.metrics import (
    Inception,
    calibration_error,
    entropy,
    frechet_distance,
    frechet_gaussians,
    inception,
    kernel_distance,
    mean_gain,
)


def gaussians(seed: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, generator=source, dtype=torch.float64)
    return torch.randn(d, generator=source, dtype=torch.float64), root @ root.T / d + 0.1 * torch.eye(d, dtype=torch.float64)


def test_commuting_gaussians_have_the_closed_form():
    a, b = torch.tensor([4.0, 1.0, 0.25]), torch.tensor([1.0, 9.0, 0.25])
    shift = torch.tensor([3.0, 0.0, -4.0])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    found = frechet_gaussians(torch.zeros(3), turn @ torch.diag(a.double()) @ turn.T, shift, turn @ torch.diag(b.double()) @ turn.T)
    # |shift|^2 + sum (sqrt(a) - sqrt(b))^2
    assert found == pytest.approx(25.0 + 1.0 + 4.0 + 0.0, abs=1e-9)


def test_gaussians_that_do_not_commute_agree_with_the_nonsymmetric_square_root():
    (mean_a, a), (mean_b, b) = gaussians(1, 6), gaussians(2, 6)
    # tr (A B)^1/2 is the sum of the roots of the eigenvalues of A B, which are real and not negative.
    roots = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    expected = (mean_a - mean_b).square().sum() + a.trace() + b.trace() - 2 * roots
    assert frechet_gaussians(mean_a, a, mean_b, b) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_gaussians(mean_b, b, mean_a, a) == pytest.approx(float(expected), rel=1e-9)


def test_the_distance_of_samples_is_zero_to_themselves_and_the_shift_squared_to_a_shifted_copy():
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(3))
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(x, x + 2.0) == pytest.approx(8 * 4.0, rel=1e-5)


def test_fewer_samples_than_dimensions_stay_finite_and_real():
    source = torch.Generator().manual_seed(4)
    a, b = torch.randn(5, 40, generator=source), torch.randn(7, 40, generator=source) + 1
    found = frechet_distance(a, b)
    assert math.isfinite(found)
    # Between point clouds the distance is at most the mean squared distance of independent draws.
    assert 0 < found <= float((a.double()[:, None] - b.double()[None]).square().sum(-1).mean()) * 2


@pytest.mark.parametrize(
    ("a", "b"),
    [(torch.zeros(1, 3), torch.zeros(4, 3)), (torch.zeros(4, 3), torch.zeros(4, 2)), (torch.full((4, 3), math.nan), torch.zeros(4, 3))],
)
def test_sets_that_cannot_be_compared_are_refused(a, b):
    with pytest.raises(ValueError, match="embeddings"):
        frechet_distance(a, b)


def test_inception_of_certain_and_of_undecided_views():
    certain = torch.eye(4)
    found = inception(certain)
    assert (found.iq, found.ig) == (0.0, math.inf)
    assert found.iv == pytest.approx(math.log(4))
    alike = inception(torch.eye(4)[[0, 0, 0]])
    assert (alike.iq, alike.iv, alike.ig) == (0.0, 0.0, 0.0)
    flat = inception(torch.full((5, 4), 0.25))
    assert flat.iq == pytest.approx(math.log(4))
    assert flat.ig == pytest.approx(0.0, abs=1e-12)


def test_inception_of_two_half_certain_views_by_hand():
    found = inception(torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64))
    iq = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert found.iq == pytest.approx(iq)
    assert found.iv == pytest.approx(math.log(2))
    assert found.ig == pytest.approx((math.log(2) - iq) / iq)


def test_views_never_lose_information_when_averaged():
    p = torch.rand(30, 7, generator=torch.Generator().manual_seed(5)).softmax(-1)
    found = inception(p)
    assert found.iv >= found.iq > 0
    assert found.ig >= 0


def test_the_entropy_of_two_independent_heads_adds_up():
    a, b = (torch.rand(k, generator=torch.Generator().manual_seed(k)).softmax(-1) for k in (3, 5))
    assert float(entropy((a[:, None] * b[None]).flatten())) == pytest.approx(float(entropy(a) + entropy(b)), rel=1e-5)


def test_rows_that_are_no_distribution_are_refused():
    with pytest.raises(ValueError, match="distribution"):
        inception(torch.tensor([[0.5, 0.2]]))
    with pytest.raises(ValueError, match="distribution"):
        inception(torch.tensor([[1.5, -0.5]]))
    with pytest.raises(ValueError, match="one view"):
        inception(torch.zeros(0, 3))


def test_both_averages_of_the_gain():
    objects = [Inception(1.0, 2.0, 1.0), Inception(3.0, 3.6, 0.2)]
    ratio_of_means, mean_of_ratios = mean_gain(objects)
    assert ratio_of_means == pytest.approx((5.6 - 4.0) / 4.0)
    assert mean_of_ratios == pytest.approx(0.6)
    # ESD's own columns: the ratio of the means is not what its table prints.
    assert mean_gain([Inception(3.135, 4.0314, 0.327)])[0] == pytest.approx(0.2859, abs=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        mean_gain([])


def test_calibration_error_by_hand():
    p = torch.tensor([[0.8, 0.2]] * 10)
    right = torch.tensor([0] * 8 + [1] * 2)
    assert calibration_error(p, right) == pytest.approx(0.0, abs=1e-6)
    assert calibration_error(p, torch.zeros(10, dtype=torch.long)) == pytest.approx(0.2, abs=1e-6)


def test_the_kernel_distance_of_two_pairs_by_hand():
    """Width 1: k(x, y) = (x y + 1)^3; within a 1, within b 8, across 1, 1, 1 and 1 for zeros against ones."""
    zeros, ones = torch.zeros(2, 1), torch.ones(2, 1)
    assert kernel_distance(zeros, ones) == pytest.approx(1.0 + 8.0 - 2.0)
    assert kernel_distance(torch.tensor([[0.0], [1.0]]), ones) == pytest.approx(1.0 + 8.0 - 2.0 * (1.0 + 8.0) / 2)
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance(zeros[:1], ones)


def test_the_kernel_distance_is_not_fooled_by_a_set_that_lacks_spread():
    """Where the biased Frechet distance prefers it to a fair sample."""
    draws = torch.Generator().manual_seed(0)
    real, frechet, kernel = torch.randn(128, 64, generator=draws), [], []
    for spread in (1.0, 0.85):
        sets = [spread * torch.randn(32, 64, generator=draws) for _ in range(20)]
        frechet.append(sum(frechet_distance(each, real) for each in sets))
        kernel.append(sum(kernel_distance(each, real) for each in sets) / 20)
    assert frechet[1] < frechet[0]
    assert abs(kernel[0]) < 0.05 and kernel[0] < kernel[1]


def test_the_kernel_distance_of_sets_with_the_same_captions_is_below_0():
    """One picture a caption and four of it, from one distribution: pairs of one caption lie across the sets more than within them."""
    random = torch.Generator().manual_seed(0)
    captions, width = 24, 8

    def drawn(centres, each):
        return centres.repeat_interleave(each, 0) + 0.3 * torch.randn(len(centres) * each, width, generator=random)

    shared, apart = [], []
    for _ in range(40):
        mine, others = (torch.randn(captions, width, generator=random) for _ in range(2))
        real = drawn(mine, 4)
        shared.append(kernel_distance(drawn(mine, 1), real))
        apart.append(kernel_distance(drawn(others, 1), real))
    mean, error = torch.tensor(shared).mean(), torch.tensor(shared).std() / 40**0.5
    assert mean < -5 * error
    assert torch.tensor(apart).mean() > mean + 5 * error
