import numpy as np
import pytest

from backend.errors import UserError
from backend.geometry.normalise import LONGEST_SIDE, fit_domain, move


def test_a_sketch_is_centred_scaled_and_brought_back():
    points = np.random.default_rng(0).uniform([100, -3, 7], [101, 2, 9], (50, 3)).astype(np.float32)
    placement = fit_domain(points)
    inside = move(points, placement.to_domain)
    size = np.ptp(inside, axis=0)
    assert size.max() == pytest.approx(LONGEST_SIDE, rel=1e-5)
    np.testing.assert_allclose(inside.max(0) + inside.min(0), 0, atol=1e-5)
    np.testing.assert_allclose(size / size.max(), np.ptp(points, axis=0) / np.ptp(points, axis=0).max(), rtol=1e-4)
    np.testing.assert_allclose(move(inside, placement.to_sketch), points, atol=1e-4)
    np.testing.assert_allclose(placement.to_domain @ placement.to_sketch, np.eye(4), atol=1e-12)


def test_a_point_has_no_size():
    with pytest.raises(UserError, match="no size"):
        fit_domain(np.ones((3, 3)))
