"""The judge's network: a small residual convolutional classifier with four heads on one embedding."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 160)
EMBEDDING = 96


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(x + self.body(x))


def _halved(before: int, after: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, 2, 1, bias=False), nn.BatchNorm2d(after), nn.SiLU()]


class JudgeNetwork(nn.Module):
    """Pictures [N,3,S,S] in display values 0..1 -> (embedding [N,E], logits of every head [N,K])."""

    def __init__(self, classes: Mapping[str, int], widths: tuple[int, ...] = WIDTHS, embedding: int = EMBEDDING) -> None:
        super().__init__()
        layers = _halved(3, widths[0], 4)
        for before, after in pairwise(widths):
            layers += [*_halved(before, after, 3), Residual(after)]
        self.body = nn.Sequential(*layers)
        self.embed = nn.Linear(2 * widths[-1], embedding)
        self.heads = nn.ModuleDict({name: nn.Linear(embedding, count) for name, count in classes.items()})

    def forward(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.body(pictures * 2 - 1)
        # What there is on average, and what there is anywhere: a nose or a door handle covers few cells.
        embedding = nn.functional.silu(self.embed(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)))
        return embedding, {name: head(embedding) for name, head in self.heads.items()}
