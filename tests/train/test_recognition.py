"""The diffusion classifier: same noises for every candidate, and the right caption wins where the denoiser knows the answer."""

import math
from types import SimpleNamespace

import pytest
import torch

from backend.train.denoiser import signal_levels
from backend.train.latents import Latents, tokenize
from backend.train.recognition import LEVELS, caption_errors, recognition
from backend.train.view_twins import TURNED
from backend.train.words import save_tokenizer
from backend.views import view_words
from backend.zoo.pictures import make_pictures
from backend.zoo.primitives import Pattern


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
    assert set(shares) == {"noun", "colour", "pattern", "view"}
    assert all(0 <= shares[what] <= 1 for what in ("noun", "colour", "pattern"))
    assert len(LEVELS) == 5


def test_the_view_is_asked_of_things_with_sides(tokenizer):
    """By an oracle that knows the picture's own caption."""
    pictures = make_pictures(list(range(120)), 32)
    for wanted, is_asked in ((TURNED, True), (("apple", "pear", "vase"), False)):
        seed, told = next(
            (k, p) for k, p in enumerate(pictures)
            if p.thing.noun in wanted and p.shot.clay is None and not p.marks and p.thing.pattern is Pattern.PLAIN
        )
        view = view_words(told.shot.azimuth_deg, told.shot.elevation_deg)
        latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed))
        knows = tokenize(tokenizer, [f"a {told.thing.colour_word} {told.thing.noun}, {view}"]).float()[0, :, None]
        held_out = Latents(latent[None], torch.zeros(1, 64, dtype=torch.int16))
        shares = recognition(Oracle(latent, knows), Echo(), tokenizer, held_out, [told.caption], seed, count=1)
        assert shares["noun"] == 1.0
        assert shares["view"] == 1.0 if is_asked else math.isnan(shares["view"])
