"""Rotation overlays: two pictures that show another one at each quarter turn of the upper picture (arXiv 2406.09417, appendix B)."""

from typing import Any

import torch
from torch import Tensor

from backend.refine.image_jobs import TURNS
from backend.refine.seeds import generator


class Clip(torch.autograd.Function):
    """Clamping to 0..1 whose gradient also passes where it leads back inside; else what was once too bright would stay so."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        stuck = ((values > 1.0) & (gradient < 0.0)) | ((values < 0.0) & (gradient > 0.0))
        return gradient.masked_fill(stuck, 0.0)


def overlay(base: Tensor, rotator: Tensor, turn: int, gain: float) -> Tensor:
    """clip(gain * base * the rotator turned by `turn` quarters counter-clockwise), display values [3,S,S].

    Transparencies laid over one another before a lamp that is `gain` times brighter.
    """
    seen: Tensor = Clip.apply(gain * base * torch.rot90(rotator, turn, (-2, -1)))
    return seen


def draw_turns(count: int, seed: int, step: int) -> list[int]:
    """`count` of the four turns, each as likely as the others; none comes twice before all have come once."""
    source = generator(seed, "turns", step)
    rounds = [torch.randperm(TURNS, generator=source) for _ in range(-(-count // TURNS))]
    return [int(turn) for turn in torch.cat(rounds)[:count]]
