"""Figures that few or equal values could break."""

import warnings

import numpy as np
import pytest
from PIL import Image

from backend.experiments.charts import Mark, scatter
from backend.experiments.contract import Spread


@pytest.mark.parametrize("seconds", [1e-4, 4e-4, 0.1, 0.0312, 1.0, 17.0])
def test_one_method_alone_on_logarithmic_axes(tmp_path, seconds):
    """matplotlib gives a single value an axis of no length, at powers of ten or over decades of labels."""
    mark = Mark("SDS", Spread(seconds, 0.0, 1), Spread(20.0, 0.5, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = scatter(tmp_path / "one.png", [mark], x="seconds", y="distance", levels=[("renders", 18.0)], log_x=True, log_y=True)
    picture = np.asarray(Image.open(path).convert("L"))
    rows, columns = np.where(picture < 250)
    assert np.ptp(columns) > 0.8 * picture.shape[1] and np.ptp(rows) > 0.8 * picture.shape[0]
