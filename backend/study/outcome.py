"""What came of one entry: the row of the table, and what its picture shows."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from backend.study.metrics import Fit, GaussianFit


@dataclass
class Outcome:
    """Numbers are per particle or picture. `reason` says why something was not run, or not to its end; "" for a whole run.

    `points` [n, 2] on a test bed, `pictures` [n, 3, H, W] display values on a prior.
    """

    bed: str
    method: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    rows: float = 0.0
    seconds: float = 0.0
    fit: Fit | None = None
    gaussian: GaussianFit | None = None
    points: Tensor | None = None
    pictures: Tensor | None = None
    reason: str = ""

    @property
    def rows_per_step(self) -> float:
        return self.rows / self.steps if self.steps else 0.0

    @property
    def seconds_per_step(self) -> float:
        return self.seconds / self.steps if self.steps else 0.0
