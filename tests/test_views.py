"""View words at and around their thresholds."""

import pytest

from backend.views import BACK, FRONT, OVERHEAD, SIDE, view_words


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "words"),
    [
        (0, 0, FRONT), (45, 0, FRONT), (-45, 0, FRONT), (45.01, 0, SIDE), (90, 0, SIDE), (-90, 0, SIDE), (270, 0, SIDE),
        (134.99, 0, SIDE), (135, 0, BACK), (180, 0, BACK), (-180, 0, BACK), (-135, 0, BACK), (360, 0, FRONT), (725, 0, FRONT),
        (180, 60, BACK), (180, 60.01, OVERHEAD), (0, 90, OVERHEAD), (0, -45, FRONT), (0, -90, FRONT),
    ],
)  # fmt: skip
def test_thresholds(azimuth_deg, elevation_deg, words):
    assert view_words(azimuth_deg, elevation_deg) == words


def test_thresholds_are_parameters():
    assert view_words(50, 40, front_within_deg=60) == FRONT
    assert view_words(0, 40, overhead_above_deg=30) == OVERHEAD


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(float("nan"), 0), (0, float("inf")), (0, 91), (0, -90.5)])
def test_bad_angles_are_refused(azimuth_deg, elevation_deg):
    with pytest.raises(ValueError, match=r"angles|elevation"):
        view_words(azimuth_deg, elevation_deg)
