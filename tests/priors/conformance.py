"""What every `Prior` must do. `check_prior(prior, prompts)` runs all of it; a new implementation adds one line to test_conformance.py."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend.priors.contract import Condition, Prior


def check_prior(prior: Prior, prompts: tuple[str, str]) -> None:
    """`prompts` are two that the prior tells apart; it must know "" as well."""
    for check in (_coefficients, _predictions, _rows_are_independent, _no_synchronisation, _embeddings, _pictures, _fingerprint):
        check(prior, prompts)


def _latents(prior: Prior, batch: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, *prior.latent_shape, generator=torch.Generator().manual_seed(seed)).to(prior.device)


def _coefficients(prior, prompts):
    t = torch.tensor([0, prior.timesteps // 2, prior.timesteps - 1])
    alpha, sigma = prior.coefficients(t)
    assert alpha.shape == sigma.shape == (3,)
    assert alpha.dtype in (torch.float32, torch.float64)
    assert alpha.device.type == prior.device.type
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), atol=1e-6, rtol=0)
    assert (alpha.diff() < 0).all()
    assert (sigma > 0).all()
    on_device, _ = prior.coefficients(t.to(prior.device))
    assert torch.equal(alpha, on_device)


def _predictions(prior, prompts):
    z = _latents(prior, 2).requires_grad_()
    t = torch.tensor([10, prior.timesteps - 10])
    before = z.detach().clone()
    noise = prior.predict_noise(z, t, prior.embed(prompts))
    assert noise.shape == z.shape
    assert noise.dtype == torch.float32
    assert not noise.requires_grad
    assert torch.equal(z.detach(), before)
    assert torch.equal(noise, prior.predict_noise(z, t, prior.embed(prompts)))
    assert prior.predict_noise(z.double(), t, prior.embed(prompts)).dtype == torch.float64
    swapped = prior.predict_noise(z, t, prior.embed(prompts[::-1]))
    assert not torch.allclose(noise, swapped, atol=1e-4), "the condition has no effect"


def _rows_are_independent(prior, prompts):
    z = _latents(prior, 3)
    t = torch.tensor([10, 900 * prior.timesteps // 1000, 300 * prior.timesteps // 1000])
    condition = prior.embed([prompts[0], prompts[1], ""])
    together = prior.predict_noise(z, t, condition)
    for row in range(3):
        one = prior.predict_noise(z[row : row + 1], t[row : row + 1], condition.rows(torch.tensor([row], device=prior.device)))
        torch.testing.assert_close(together[row : row + 1], one, atol=2e-5, rtol=1e-4)


class _NoReadBack(TorchDispatchMode):
    """Fails on operations that wait for a device: reading a value, or a result whose size depends on values."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        waits = name in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal") or name.startswith("unique")
        assert not waits, f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


def _no_synchronisation(prior, prompts):
    z, t, condition = _latents(prior, 2), torch.tensor([10, 500]), prior.embed(prompts)
    channels = 3 if prior.latent_shape[1] != prior.image_size_px else prior.latent_shape[0]
    rgb = torch.rand(1, channels, prior.image_size_px, prior.image_size_px, device=prior.device)
    with _NoReadBack():
        prior.coefficients(t)
        prior.predict_noise(z, t, condition)
        prior.encode(rgb)


def _embeddings(prior, prompts):
    first = prior.embed([prompts[0]])
    assert isinstance(first, Condition)
    assert len(first) == 1
    both = prior.embed([prompts[1], prompts[0], ""])
    assert len(both) == 3
    assert torch.equal(both.text[1:2], first.text), "an embedding depends on its company"
    assert prior.unknown_words(prompts[0]) == []


def _pictures(prior, prompts):
    size = prior.image_size_px
    channels = 3 if prior.latent_shape[1] != size else prior.latent_shape[0]
    rgb = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(1)).to(prior.device).requires_grad_()
    latents = prior.encode(rgb)
    assert latents.shape == (2, *prior.latent_shape)
    assert latents.dtype == torch.float32
    (slope,) = torch.autograd.grad(latents.square().sum(), rgb)
    assert slope.abs().sum() > 0
    assert slope.isfinite().all()
    picture = prior.decode(3 * latents)
    assert picture.shape == rgb.shape
    assert not picture.requires_grad
    assert picture.min() >= 0
    assert picture.max() <= 1


def _fingerprint(prior, prompts):
    assert len(prior.fingerprint()) == 64
    int(prior.fingerprint(), 16)
    assert prior.fingerprint() == prior.fingerprint()


def check_condition_errors() -> None:
    two = Condition(torch.zeros(2, 1, 1))
    with pytest.raises(ValueError, match="2 rows cannot stand for 3"):
        two.expand(3)
