"""Adam with one second moment for the whole tensor, for signed distances."""

import torch
from torch import Tensor


class UniformAdam:
    """Adam whose second moment is shared by all elements, so that rarely seen grid vertices do not jump.

    The step of an element is its momentum over the root mean square gradient of the *touched* elements: elements without
    gradient move only by what momentum they have. `step(rate)` takes the learning rate in the parameter's own units.
    """

    def __init__(self, parameter: Tensor, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.parameter = parameter
        self.betas = betas
        self.first = torch.zeros_like(parameter)
        self.second = torch.zeros((), dtype=parameter.dtype, device=parameter.device)
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        gradient = self.parameter.grad
        if gradient is None:
            return
        self.steps += 1
        b1, b2 = self.betas
        touched = (gradient != 0).sum().clamp_min(1)
        self.first.mul_(b1).add_(gradient, alpha=1 - b1)
        self.second.mul_(b2).add_(gradient.square().sum() / touched, alpha=1 - b2)
        scale = (self.second / (1 - b2**self.steps)).sqrt() + 1e-15
        self.parameter.sub_(self.first / scale * (rate / (1 - b1**self.steps)))

    def state(self) -> dict[str, Tensor]:
        return {"first": self.first, "second": self.second, "steps": torch.tensor(self.steps)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.steps = int(state["steps"])


def warm_up(step: int, steps: int) -> float:
    """Factor on learning rates after moments were cleared: linear to 1 over 20 steps, a quarter of a short stage."""
    return min(1.0, (step + 1) / max(1, min(20, steps // 4)))


def ramp(ends: tuple[float, float], fraction: float) -> float:
    """Value at `fraction` of a stage of a (first, last) pair, linear between."""
    return ends[0] + (ends[1] - ends[0]) * min(1.0, max(0.0, fraction))
