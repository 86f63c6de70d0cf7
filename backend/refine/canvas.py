"""What pictures consist of while they are optimised: a prior's latents, pixels, or small networks from places to colours."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.priors.contract import Prior
from backend.refine.seeds import generator

PIXEL_RATE, NETWORK_RATE = 0.01, 2e-3
GREY, GRAIN = 0.5, 0.05
"""Pixels begin as grey with a little noise; display values."""
FREQUENCIES, WIDTH = 128, 128
FIT_STEPS, FIT_RATE = 300, 5e-3


class PictureCanvas(nn.Module, ABC):
    """n square pictures as parameters."""

    rate: float
    """Adam's, at the factor 1."""

    @abstractmethod
    def pictures(self) -> Tensor:
        """[n,3,S,S] display values 0..1; with a graph, except where the parameters are latents."""

    @abstractmethod
    def latents(self) -> Tensor:
        """[n,C,h,w] with a graph."""

    def constrain(self) -> None:
        """Put the parameters back inside their bounds after an optimiser step."""
        return


class LatentCanvas(PictureCanvas):
    """A picture as the prior's own latents: nothing is encoded, and what comes out has passed the decoder.

    `picture` [1,3,S,S]: where it starts; else from N(0, I) (arXiv 2406.09417, appendix A).
    """

    def __init__(self, prior: Prior, seed: int, picture: Tensor | None = None) -> None:
        super().__init__()
        self._prior, self.rate = prior, prior.card.picture_rate
        if picture is None:
            start = torch.randn(1, *prior.latent_shape, generator=generator(seed, "start")).to(prior.device)
        else:
            with torch.no_grad():
                start = prior.encode(picture).float()
        self.values = nn.Parameter(start.clone())

    @torch.no_grad()
    def pictures(self) -> Tensor:
        return self._prior.decode(self.values).float()

    def latents(self) -> Tensor:
        return self.values


class PixelCanvas(PictureCanvas):
    """`count` pictures as display values 0..1.

    Their gradient is smoothed by a binomial of five pixels a side before Adam sees it: an encoder answers hardly to a grid in step with
    its own strides, so that nothing else would hold such a grid back.
    """

    def __init__(self, prior: Prior, seed: int, count: int, picture: Tensor | None = None) -> None:
        super().__init__()
        self._prior, self.rate = prior, PIXEL_RATE
        side = prior.image_size_px
        grain = torch.randn(count, 3, side, side, generator=generator(seed, "start")).to(prior.device)
        start = (GREY + GRAIN * grain).clamp(0.0, 1.0) if picture is None else picture.expand(count, -1, -1, -1)
        self.values = nn.Parameter(start.clone())
        self.values.register_hook(_smooth)

    def pictures(self) -> Tensor:
        return self.values

    def latents(self) -> Tensor:
        return self._prior.encode(self.values)

    @torch.no_grad()
    def constrain(self) -> None:
        self.values.clamp_(0.0, 1.0)


class FourierCanvas(PictureCanvas):
    """`count` pictures as networks of two hidden layers on Fourier features of the place (M. Tancik et al., arXiv 2006.10739).

    Frequencies are drawn from N(0, bandwidth^2), in periods per picture: below that details are learnt soon, above it hardly.
    """

    features: Tensor  # [places, 2 * FREQUENCIES]

    def __init__(self, prior: Prior, seed: int, count: int, bandwidth: float) -> None:
        super().__init__()
        self._prior, self.rate = prior, NETWORK_RATE
        source = generator(seed, "start")

        def weights(outputs: int, inputs: int, gain: float = 2.0) -> nn.Parameter:
            return nn.Parameter((torch.randn(count, inputs, outputs, generator=source) * (gain / inputs) ** 0.5).to(prior.device))

        def biases(outputs: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(count, 1, outputs, device=prior.device))

        frequencies = bandwidth * torch.randn(2, FREQUENCIES, generator=source)
        self.first, self.second, self.last = weights(WIDTH, 2 * FREQUENCIES), weights(WIDTH, WIDTH), weights(3, WIDTH, 0.1)
        self.first_bias, self.second_bias, self.last_bias = biases(WIDTH), biases(WIDTH), biases(3)
        side = prior.image_size_px
        centres = (torch.arange(side) + 0.5) / side
        places = torch.stack(torch.meshgrid(centres, centres, indexing="ij"), -1).view(-1, 2)
        waves = 2.0 * math.pi * places @ frequencies
        self.register_buffer("features", torch.cat([waves.cos(), waves.sin()], -1).to(prior.device), persistent=False)

    def pictures(self) -> Tensor:
        hidden = torch.relu(self.features @ self.first + self.first_bias)  # [n, places, WIDTH]
        hidden = torch.relu(hidden @ self.second + self.second_bias)
        colours = (hidden @ self.last + self.last_bias).sigmoid()
        side = self._prior.image_size_px
        return colours.transpose(1, 2).reshape(-1, 3, side, side)

    def latents(self) -> Tensor:
        return self._prior.encode(self.pictures())

    def fit(self, picture: Tensor, should_stop: Callable[[], bool]) -> None:
        """Become a given picture [1,3,S,S], as far as the network can; returns half-way once `should_stop` says yes."""
        optimiser = torch.optim.Adam(self.parameters(), lr=FIT_RATE, betas=(0.9, 0.99), eps=1e-15)
        for _ in range(FIT_STEPS):
            if should_stop():
                return
            optimiser.zero_grad(set_to_none=True)
            (self.pictures() - picture).square().mean().backward()
            optimiser.step()


def _smooth(gradient: Tensor) -> Tensor:
    """A gradient [n,3,S,S] under the binomial 1 4 6 4 1 along both axes, mirrored at the border."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=gradient.device, dtype=gradient.dtype) / 16
    kernel = (taps[:, None] * taps)[None, None]
    padded = functional.pad(gradient, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded.flatten(0, 1)[:, None], kernel).view_as(gradient)


def square(picture: Tensor, side_px: int) -> Tensor:
    """The middle of a picture [H,W,3] uint8 as display values [1,3,S,S] float32."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = picture[top : top + side, left : left + side].permute(2, 0, 1)[None].float() / 255
    if side == side_px:
        return middle
    resized: Tensor = functional.interpolate(middle, (side_px, side_px), mode="bicubic", align_corners=False, antialias=side > side_px)
    return resized.clamp(0.0, 1.0)
