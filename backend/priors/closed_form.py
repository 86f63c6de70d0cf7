"""What priors with a known density have in common: coefficients in float64, and an oracle that stands behind the door of a network.

A closed-form prior computes the output of one parametrisation (`network`), and `predict_noise` converts it as a network's would be, so
that a method cannot tell the two apart and the conversions are tested through the same door.
"""

import torch
from torch import Tensor

from backend.priors.card import PriorCard
from backend.priors.contract import Condition
from backend.priors.conversions import PARAMETRISATIONS, noise_from
from backend.priors.schedule import stable_diffusion_abar


class ClosedFormPrior:
    """The noise levels, the door and the density of an exact prior. The rest of `Prior`, `network` and `_joint` are its own.

    Args:
        parametrisation: what the oracle "network" puts out.
        abar: [T] cumulative products; Stable Diffusion's by default.
    """

    def __init__(
        self,
        latent_shape: tuple[int, int, int],
        image_size_px: int,
        card: PriorCard,
        *,
        parametrisation: str = "epsilon",
        abar: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if parametrisation not in PARAMETRISATIONS:
            raise ValueError(f"parametrisation must be one of {PARAMETRISATIONS}, got {parametrisation!r}")
        abar = stable_diffusion_abar() if abar is None else abar.double()
        self.device = torch.device(device)
        self.latent_shape = latent_shape
        self.image_size_px = image_size_px
        self.card = card
        self.timesteps = len(abar)
        self.parametrisation = parametrisation
        self.abar_host = abar.cpu()
        self.abar = abar.to(self.device)

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        abar = self.abar.index_select(0, t.to(self.device, non_blocking=True))
        return abar.sqrt(), (1.0 - abar).sqrt()

    def predict_noise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        with torch.no_grad():
            alpha, sigma = (value.view(-1, 1, 1, 1) for value in self.coefficients(t))
            output = self.network(z_t, t, condition).to(z_t.dtype)
            # In the dtype of z_t: a float32 run sees the rounding that a network's run would see.
            return noise_from(output, self.parametrisation, z_t, alpha.to(z_t.dtype), sigma.to(z_t.dtype))

    def dropped_words(self, prompt: str) -> list[str]:
        """None: prompts of any length are read."""
        return []

    def network(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The output of this parametrisation, [B,C,H,W] float64."""
        raise NotImplementedError

    def log_prob(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """log p_t(z_t | condition), [B] float64, differentiable in z_t."""
        return torch.logsumexp(self._joint(z_t, t, condition)[0], dim=1)

    def _joint(self, z_t: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """log of every component's weight times its density at z_t, [B, K], and what its prediction is made from."""
        raise NotImplementedError
