"""A test bed's prior with one more text: the density of the particles as they are, from an oracle that is told of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from backend.distill.contract import Critic
from backend.priors.contract import Condition
from backend.priors.mixture import GaussianMixturePrior
from backend.study.entries import PRESENT


class BedPrior:
    """The mixture, and under the text `PRESENT` what `present` predicts. Everything else is the mixture's own."""

    def __init__(self, mixture: GaussianMixturePrior, present: Critic) -> None:
        self.mixture, self.present = mixture, present
        self.index = len(mixture.labels)

    def predict_noise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        index = condition.expand(z_t.shape[0]).text[:, 0]
        own = index == self.index
        if bool(own.all()) or not bool(own.any()):  # the usual case: one text a call
            return (self._present if bool(own[0]) else self.mixture.predict_noise)(z_t, t, Condition(index[:, None]))
        noise = torch.empty_like(z_t)
        for rows, of in ((own, self._present), (~own, self.mixture.predict_noise)):
            which = rows.nonzero()[:, 0]
            if len(which):
                noise[which] = of(z_t[which], t[which], Condition(index[which, None]))
        return noise

    def embed(self, prompts: Sequence[str]) -> Condition:
        texts = [torch.tensor([[self.index]]) if prompt == PRESENT else self.mixture.embed([prompt]).text for prompt in prompts]
        return Condition(torch.cat(texts))

    def _present(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.present.predict(z_t, t, condition, [None])[0]

    def __getattr__(self, name: str) -> Any:
        if name == "mixture":  # not set yet (copying): do not recurse
            raise AttributeError(name)
        return getattr(self.mixture, name)
