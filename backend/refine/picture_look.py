"""Pictures as a distillation asks about them: no camera, no view words."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from backend.distill.contract import Pose, Role
from backend.distill.prompts import OF_VIEWS
from backend.priors.contract import Condition
from backend.refine.seeds import generator
from backend.refine.texts import Texts


class PictureNoise:
    """One noise for the run, fixed to each of `count` pictures; `values` [count,C,h,w]."""

    def __init__(self, count: int, shape: tuple[int, int, int], seed: int, name: str, device: torch.device) -> None:
        self.seed, self.name = seed, name
        self.values = torch.randn(count, *shape, generator=generator(seed, name)).to(device)

    def drift(self, share: float, step: int) -> None:
        if share > 0.0:
            fresh = torch.randn(self.values.shape, generator=generator(self.seed, f"{self.name} drift", step)).to(self.values.device)
            self.values = (1.0 - share) ** 0.5 * self.values + share**0.5 * fresh


@dataclass(frozen=True)
class PictureLook:
    """See `Look`. `which`: for each of the B views, the picture that it shows, of those that have a prompt and a noise of their own."""

    latents: Tensor
    picture: Tensor | None
    which: list[int]
    given: Tensor | None  # [1,C,h,w] latents of what the run began with
    pose: Pose = field(default_factory=Pose)  # no camera

    def conditions(self, texts: Texts, away: bool) -> tuple[dict[Role, Condition], Tensor | None]:
        if away:
            raise AssertionError("Perp-Neg was refused before the run")
        if len(texts) == 1:
            return texts[0].conditions([""] * len(self.which)), None
        one_of_each = [bank.conditions([""]) for bank in texts]
        which = torch.tensor(self.which).to(self.latents.device, non_blocking=True)
        together = {
            role: Condition.cat([each[role] for each in one_of_each]).rows(which) if role in OF_VIEWS else condition
            for role, condition in one_of_each[0].items()
        }
        return together, None

    def seen(self, noise: PictureNoise, step: int) -> Tensor:
        return noise.values[self.which]

    def reference(self) -> Tensor:
        assert self.given is not None
        return self.given.expand_as(self.latents)
