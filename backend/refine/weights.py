"""Regulariser weights relative to the distillation, measured at the start of a stage and then frozen.

A weight is stated as rho = RMS(gradient of the regulariser) / RMS(gradient of the distillation), both over the elements that have
any gradient. Everything stays on the device: nothing is read back.
"""

import torch
from torch import Tensor

MEASURED_STEPS = 20


def rms(gradient: Tensor) -> Tensor:
    """Root mean square over the non-zero elements; 0 for a gradient of zeros."""
    touched = (gradient != 0).sum().clamp_min(1)
    return (gradient.square().sum() / touched).sqrt()


class RelativeWeights:
    """Running means of gradient sizes by name over the first steps of a stage; `factor` is rho times their ratio."""

    def __init__(self) -> None:
        self.sizes: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def measure(self, name: str, gradient: Tensor) -> None:
        """Count one gradient in, while the stage is young."""
        seen = self.counts.get(name, 0)
        if seen >= MEASURED_STEPS:
            return
        size = rms(gradient.detach())
        self.sizes[name] = size if seen == 0 else self.sizes[name] + (size - self.sizes[name]) / (seen + 1)
        self.counts[name] = seen + 1

    def factor(self, name: str, rho: float, against: str) -> Tensor:
        """Weight that makes `name` rho times as large as `against`; both must have been measured."""
        return rho * self.sizes[against] / (self.sizes[name] + 1e-12)

    def state(self) -> dict[str, dict[str, Tensor]]:
        return {"sizes": dict(self.sizes), "counts": {name: torch.tensor(n) for name, n in self.counts.items()}}

    def load_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        self.sizes = dict(state["sizes"])
        self.counts = {name: int(n) for name, n in state["counts"].items()}
