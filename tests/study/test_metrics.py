"""Numbers of a comparison against closed forms."""

import math

import pytest
import torch

from backend.study.beds import bed
from backend.study.metrics import energy_distance, fit, gaussian_fit

F64 = torch.float64


def test_energy_distance_of_point_masses_is_twice_their_distance():
    x, y = torch.zeros(3, 2, dtype=F64), torch.tensor([[3.0, 4.0]] * 5, dtype=F64)
    assert energy_distance(x, y) == pytest.approx(10.0, abs=1e-12)


def test_energy_distance_of_equal_sets_is_zero_whatever_their_order():
    x = torch.randn(1500, 2, dtype=F64, generator=torch.Generator().manual_seed(0))  # more than one block of pairs
    assert energy_distance(x, x.flip(0)) == pytest.approx(0.0, abs=1e-12)


def test_energy_distance_of_two_gaussians():
    """1D, N(0,1) and N(m,1): 2 E|N(m,2)| - 2 E|N(0,2)|, with E|N(m,v)| = sqrt(2v/pi) exp(-m^2/2v) + m erf(m/sqrt(2v))."""
    place = (torch.arange(2000, dtype=F64) + 0.5) / 2000
    unit = torch.erfinv(2 * place - 1)[:, None] * math.sqrt(2)  # the quantiles: no chance in it
    m, v = 1.5, 2.0
    apart = math.sqrt(2 * v / math.pi) * math.exp(-(m**2) / (2 * v)) + m * math.erf(m / math.sqrt(2 * v))
    assert energy_distance(unit, unit + m) == pytest.approx(2 * apart - 2 * math.sqrt(2 * v / math.pi), rel=2e-3)


def test_fit_of_points_on_the_modes_themselves():
    modes = bed("modes")
    centres = torch.tensor([[2.0, 2], [-2, 2], [2, -2], [-2, -2]], dtype=F64).repeat_interleave(torch.tensor([4, 3, 2, 1]), 0)
    off = torch.tensor([0.1, -0.1], dtype=F64)
    found = fit(torch.cat([centres + off, centres - off]), modes.target(400, 0), modes)
    assert found.fractions == pytest.approx((0.4, 0.3, 0.2, 0.1))
    assert found.within == pytest.approx(0.1)


def test_radial_error_on_the_circles():
    circles = bed("circles")
    found = fit(torch.tensor([[1.2, 0.0], [0.0, -2.2]], dtype=F64), circles.target(200, 0), circles)
    assert found.fractions == (0.5, 0.5)
    assert found.within == pytest.approx(0.25)


def test_gaussian_fit_of_the_target_itself_and_of_half_its_spread():
    gaussian = bed("gaussian", seed=3)
    prior = gaussian.prior
    target = prior.basis[0] @ torch.diag(prior.variances[0]) @ prior.basis[0].mT
    assert gaussian_fit(prior.means[0], target, gaussian) == pytest.approx((0.0, 0.0, 1.0), abs=1e-12)
    assert gaussian_fit(prior.means[0] + torch.tensor([3.0, 4.0]), target / 4, gaussian) == pytest.approx((5.0, 0.75, 0.25))


@pytest.mark.parametrize(("name", "shares", "within"), [("modes", (0.4, 0.3, 0.2, 0.1), 0.4), ("circles", (0.4, 0.6), 0.163)])
def test_a_fresh_sample_has_the_stated_statistics(name, shares, within):
    """Fractions as the weights, standard deviation .4 in a mode, radial error .163, a small energy distance."""
    on = bed(name)
    found = fit(on.sample(4000, 1), on.target(3000, 0), on)
    assert found.fractions == pytest.approx(shares, abs=0.03)
    assert found.within == pytest.approx(within, rel=0.03)
    assert found.distance < 0.006
    assert fit(on.start(3000, 0), on.target(3000, 0), on).distance == pytest.approx({"modes": 0.55, "circles": 0.58}[name], rel=0.15)


def test_what_points_are_compared_with_has_every_component_by_its_share():
    for name in ("modes", "circles"):
        on = bed(name)
        assert fit(on.target(2000, 5), on.target(2000, 6), on).fractions == pytest.approx(on.shares, abs=2e-3)
