"""Limits on a gradient between the method and the step: a norm per view, or a bound per element."""

from collections.abc import Mapping

import torch
from torch import Tensor


class ClipByRunningMean:
    """Scales each view's gradient to at most `factor` times the running mean of the views' norms.

    The mean lives on the gradient's device and is never read back. The first batch is measured against its own mean. Non-finite
    views stay non-finite in what is returned, and leave the mean as it was.
    """

    def __init__(self, factor: float = 3.0, decay: float = 0.98) -> None:
        self.factor = factor
        self.decay = decay
        self._mean: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """gradient [B,C,H,W] -> the same, clipped."""
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        now = norms.mean()
        if self._mean is None:
            self._mean = torch.full_like(now, torch.nan)
        mean = self._mean.to(now)
        mean = torch.where(mean.isnan(), now, mean)
        limit = self.factor * mean
        # The floor keeps 0/0 out; a NaN or infinite norm makes NaN here, on purpose.
        share = (limit / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_max(1.0)
        clipped: Tensor = gradient * share.view(-1, *([1] * (gradient.dim() - 1)))
        # What is averaged is the clipped norms, so that one outlier cannot raise the limit for the next.
        update = torch.lerp(torch.minimum(norms, limit).mean(), mean, self.decay)
        self._mean = torch.where(now.isfinite(), update, self._mean.to(now))
        return clipped

    def reset(self) -> None:
        """Forget the mean: at a change of stage, method or prompt the size of a gradient changes."""
        self._mean = None

    def state(self) -> dict[str, Tensor]:
        """For the checkpoint; empty before the first batch."""
        return {} if self._mean is None else {"mean": self._mean.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._mean = state["mean"].clone() if "mean" in state else None


def clamp_elements(gradient: Tensor, bound: float) -> Tensor:
    """Every element within [-bound, bound]; NaN stays NaN. Score debiasing (arXiv 2303.15413) is this with a bound that grows.

    Its published bounds are `schedules.ramp_points([0, 2.0, 8.0, 10000])` for latent priors, [0, 0.5, 2.0, 10000] for pixel priors.
    """
    return gradient.clamp(-bound, bound)
