"""Rows that are shown twice, with their own view word and with another: what makes a small denoiser begin to read view words.

From where an object is seen explains one or two thousandths of a picture's latents; colours, size and background drown it, and after
450 000 samples the words for front, side and back changed nothing. Beside the loss of all rows there is therefore the cross-entropy of
the diffusion classifier (Li et al. 2023, arXiv 2303.16203) between the two captions. Picture, noise and level are the same in both rows,
so that everything but the word cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPTokenizer

from backend import views

TURNED = ("fish", "chair", "snowman", "duck", "cat", "car", "boat", "mug", "cottage")
"""Nouns of the zoo that look different from another side."""
FROM_LEVEL = 300  # of 1000; below it a picture shows by itself from where it was taken
TEMPERATURE = 0.03  # of the right caption's error
LEAST_ERROR = 0.01  # the highest levels have less, and would outweigh all others


class Twins(NamedTuple):
    """Of one batch: `rows` [K] are shown again with `tokens` [K, L]; `counts` [K] is 0 where a row has no view to be mistaken."""

    rows: Tensor
    tokens: Tensor
    counts: Tensor


class ViewTwins:
    """Draws the twins of a batch; on one device, without waiting for it."""

    def __init__(self, tokenizer: CLIPTokenizer, count: int, device: torch.device | str = "cpu") -> None:
        def ids(words: Sequence[str]) -> Tensor:
            found = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
            return torch.tensor([pieces[0] for pieces in found if len(pieces) == 1], dtype=torch.int64, device=device)

        self.views = ids([words.split()[0] for words in views.VIEW_WORDS])
        self.nouns = ids(TURNED)
        self.count = count if len(self.nouns) else 0  # a folder's vocabulary may have none of them

    def draw(self, tokens: Tensor, t: Tensor, generator: torch.Generator) -> Twins:
        """Of captions [B, L] int64 at levels [B]: as many at random as there are twins, those with a view to be mistaken first."""
        is_view = tokens[..., None] == self.views  # [B, L, 4]
        has_view = is_view.any(-1).sum(-1) == 1
        counts = has_view & torch.isin(tokens, self.nouns).any(-1) & (t >= FROM_LEVEL)
        order = torch.rand(len(tokens), generator=generator, device=tokens.device) + counts
        rows = order.topk(min(self.count, len(tokens))).indices
        said = is_view[rows].any(1).float().argmax(-1)
        further = torch.randint(1, len(self.views), said.shape, generator=generator, device=tokens.device)
        other = self.views[(said + further) % len(self.views)]
        return Twins(rows, torch.where(is_view[rows].any(-1), other[:, None], tokens[rows]), counts[rows].float())


def twin_loss(right: Tensor, wrong: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy of telling the right caption by its smaller error, of errors [K] each; a scalar, log 2 where both are equal.

    Example:
        >>> twin_loss(torch.tensor([0.1]), torch.tensor([0.1]), torch.ones(1))
        tensor(0.6931)
    """
    margin = (wrong - right) / (TEMPERATURE * right.detach().clamp_min(LEAST_ERROR))
    return (F.softplus(-margin) * counts).sum() / counts.sum().clamp_min(1.0)
