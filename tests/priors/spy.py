"""A prior that records what is asked of it, and can be made to fail."""

import torch


class SpyPrior:
    """Passes everything through; keeps encoder inputs; from denoiser call `poison_from` (0-based) on answers NaN."""

    def __init__(self, prior, poison_from: int | None = None) -> None:
        self._prior = prior
        self._poison_from = poison_from
        self.seen: list[torch.Tensor] = []
        self.calls = self.encodes = self.decodes = 0

    def predict_noise(self, z_t, t, condition):
        self.calls += 1
        noise = self._prior.predict_noise(z_t, t, condition)
        poisoned = self._poison_from is not None and self.calls > self._poison_from
        return torch.full_like(noise, torch.nan) if poisoned else noise

    def encode(self, rgb):
        self.encodes += 1
        self.seen.append(rgb.detach().clone())
        return self._prior.encode(rgb)

    def decode(self, latents):
        self.decodes += 1
        return self._prior.decode(latents)

    def __getattr__(self, name):
        return getattr(self._prior, name)
