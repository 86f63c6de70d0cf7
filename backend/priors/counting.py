"""A prior that counts what is asked of it. Counts are plain host integers, so counting costs no synchronisation."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from backend.priors.contract import Condition, Prior


class CountingPrior:
    """The wrapped prior, with `rows` and `calls` of the denoiser and the numbers of `encode` and `decode` calls.

    Everything else (`log_prob`, `sampling`, ...) is the wrapped prior's own.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.card = prior.card
        self.latent_shape = prior.latent_shape
        self.image_size_px = prior.image_size_px
        self.timesteps = prior.timesteps
        self.device = prior.device
        self.abar_host = prior.abar_host
        self.parametrisation = prior.parametrisation
        self.reset()

    def reset(self) -> None:
        """All counts to zero."""
        self.rows = self.calls = self.encode_calls = self.decode_calls = 0

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.prior.coefficients(t)

    def predict_noise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        self.calls += 1
        self.rows += z_t.shape[0]
        return self.prior.predict_noise(z_t, t, condition)

    def encode(self, rgb: Tensor) -> Tensor:
        self.encode_calls += 1
        return self.prior.encode(rgb)

    def decode(self, latents: Tensor) -> Tensor:
        self.decode_calls += 1
        return self.prior.decode(latents)

    def embed(self, prompts: Sequence[str]) -> Condition:
        return self.prior.embed(prompts)

    def unknown_words(self, prompt: str) -> list[str]:
        return self.prior.unknown_words(prompt)

    def dropped_words(self, prompt: str) -> list[str]:
        return self.prior.dropped_words(prompt)

    def fingerprint(self) -> str:
        return self.prior.fingerprint()

    def __getattr__(self, name: str) -> Any:
        if name == "prior":  # not set yet (copying, unpickling): do not recurse
            raise AttributeError(name)
        return getattr(self.prior, name)
