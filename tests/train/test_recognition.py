"""The diffusion classifier: same noises for every candidate, and the right caption wins where the denoiser knows the answer."""

from types import SimpleNamespace

import pytest
import torch

from backend.train.denoiser import signal_levels
from backend.train.latents import Latents, tokenize
from backend.train.recognition import LEVELS, caption_errors, recognition
from backend.train.words import save_tokenizer
from backend.zoo.pictures import make_pictures


class Oracle(torch.nn.Module):
    """A denoiser that returns the exact noise for one caption's text and something else for all others."""

    def __init__(self, latent, knows):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.latent, self.knows = latent, knows

    def forward(self, noisy, t, encoder_hidden_states):
        alpha, sigma = (v[t, None, None, None] for v in signal_levels())
        noise = (noisy - alpha * self.latent) / sigma
        right = (encoder_hidden_states == self.knows).all(-1).all(-1)
        return SimpleNamespace(sample=torch.where(right[:, None, None, None], noise, noise + 0.3))


class Echo(torch.nn.Module):
    """A text encoder whose hidden states are the token ids."""

    def forward(self, input_ids):
        return SimpleNamespace(last_hidden_state=input_ids[..., None].float())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), 64)


def test_the_right_caption_explains_the_picture(tokenizer):
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    captions = ["a red apple", "a blue apple", "a blue apple"]
    oracle = Oracle(latent, tokenize(tokenizer, captions[:1]).float()[..., None][0])
    errors = caption_errors(oracle, Echo(), tokenizer, latent, captions, torch.Generator().manual_seed(1))
    assert errors.shape == (3,)
    assert errors[0] < 1e-6
    torch.testing.assert_close(errors[1:], torch.full((2,), 0.09), atol=1e-4, rtol=0)


def test_spoilt_and_clay_pictures_are_not_asked_about(tokenizer):
    captions = [p.caption for p in make_pictures(list(range(12)), 32)]
    asked = sum("clay" not in c and c.count(",") < 2 for c in captions)
    assert asked >= 2
    held_out = Latents(torch.zeros(12, 4, 8, 8), torch.zeros(12, 64, dtype=torch.int16))
    oracle = Oracle(torch.zeros(4, 8, 8), torch.zeros(64, 1))
    shares = recognition(oracle, Echo(), tokenizer, held_out, captions, 0, count=2)
    assert set(shares) == {"noun", "colour", "pattern"}
    assert all(0 <= v <= 1 for v in shares.values())
    assert len(LEVELS) == 5
