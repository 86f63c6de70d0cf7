"""What is moved on a test bed: particles each on their own, or the mean and root of one Gaussian."""

import math
from typing import Protocol

import torch
from torch import Tensor

from backend.distill.contract import Critic
from backend.distill.oracle_critics import DiracCritic, GaussianCritic, KDECritic, MixedCritic
from backend.refine.seeds import generator
from backend.study.beds import Bed
from backend.study.entries import Entry

WARM_UP = 100
COSINE_OVER = 1.5  # of the steps, as in ESD's published script
FLOW_LENGTH = 4.5  # ln of sigma/alpha at the highest level of the beds over that at the lowest


class Cloud(Protocol):
    """The thing that a method moves. `critic` and `present` know its density: with and without knowing which particle they see."""

    @property
    def critic(self) -> Critic: ...
    @property
    def present(self) -> Critic: ...

    def seen(self, step: int) -> tuple[Tensor, Tensor]:
        """Latents [N,2,1,1] for this step, and the start's of the same particles; the oracles are told of the present."""
        ...

    def move(self, gradient: Tensor, step: int, steps: int) -> None:
        """One step down `gradient` [N,2,1,1] at the latents last seen."""
        ...

    def points(self, count: int) -> Tensor:
        """About `count` points [n, 2] of what there is now."""
        ...


class Particles:
    """N points, moved by plain descent. For entries that know the present density a point is the small Gaussian N(z_i, h^2)."""

    def __init__(self, bed: Bed, entry: Entry, count: int, seed: int) -> None:
        self.bed, self.seed = bed, seed
        self.kernel = bed.kernel if entry.knows_present else 0.0
        self.falling = entry.falling
        self.rate = bed.noise_rate if entry.residual == "noise" else bed.clean_rate
        self.first = bed.start(count, seed).view(count, 2, 1, 1)
        self.centres = self.first.clone()
        self.present = KDECritic(bed.prior, bed.kernel)
        alone = KDECritic(bed.prior, bed.kernel)
        self.critic: Critic = MixedCritic(DiracCritic(bed.prior, bed.kernel), alone) if entry.camera else alone

    def seen(self, step: int) -> tuple[Tensor, Tensor]:
        lesson = generator(self.seed, "unused")
        nothing = self.bed.prior.embed([""])
        for oracle in (self.critic, self.present):
            oracle.train_step(self.centres, nothing, None, lesson)
        unit = torch.randn(self.centres.shape, dtype=torch.float64, generator=generator(self.seed, "kernel", step))
        return self.centres + self.kernel * unit, self.first

    def move(self, gradient: Tensor, step: int, steps: int) -> None:
        # Where levels fall, the steps together are as long as the flow that is to be followed.
        self.centres = self.centres - (FLOW_LENGTH / steps if self.falling else self.rate) * gradient

    def points(self, count: int) -> Tensor:
        centres = self.centres.flatten(1)
        if self.kernel == 0.0:
            return centres
        centres = centres.repeat(math.ceil(count / len(centres)), 1)
        return centres + self.kernel * torch.randn(centres.shape, dtype=torch.float64, generator=generator(self.seed, "kernel points"))


class Family:
    """x = m + A c with c ~ N(0, I), which plays the camera; m and A are moved by AdamW with warm-up and cosine, as for ESD's Fig. 3."""

    def __init__(self, bed: Bed, entry: Entry, count: int, seed: int) -> None:
        self.bed, self.seed, self.count = bed, seed, count
        self.rate = bed.noise_rate if entry.residual == "noise" else bed.clean_rate
        self.mean = bed.start_mean.clone().requires_grad_()
        self.root = bed.start_root.clone().requires_grad_()
        self.optimiser = torch.optim.AdamW([self.mean, self.root], lr=self.rate, weight_decay=0.0)
        self.present = GaussianCritic(bed.prior)
        self.one, self.all = DiracCritic(bed.prior), GaussianCritic(bed.prior)
        self.critic: Critic = MixedCritic(self.one, self.all)
        self.cameras = torch.zeros(count, 2, dtype=torch.float64)

    def seen(self, step: int) -> tuple[Tensor, Tensor]:
        self.cameras = torch.randn(self.count, 2, dtype=torch.float64, generator=generator(self.seed, "cameras", step))
        x = (self.mean + self.cameras @ self.root.mT).detach()
        for oracle in (self.present, self.all):
            oracle.fit_moments(*self.moments)
        self.one.train_step(x, self.bed.prior.embed([""]), None, generator(self.seed, "unused"))
        start = self.bed.start_mean + self.cameras @ self.bed.start_root.mT
        return x.view(-1, 2, 1, 1), start.view(-1, 2, 1, 1)

    def move(self, gradient: Tensor, step: int, steps: int) -> None:
        pull = gradient.flatten(1)
        self.mean.grad = pull.mean(0)
        self.root.grad = pull.mT @ self.cameras / len(pull)
        decay = 0.5 * (1.0 + math.cos(math.pi * min(step / (COSINE_OVER * steps), 1.0)))
        self.optimiser.param_groups[0]["lr"] = self.rate * min(1.0, (step + 1) / WARM_UP) * decay
        self.optimiser.step()

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """m [2] and A A^T [2, 2]."""
        mean, root = self.mean.detach(), self.root.detach()
        return mean, root @ root.mT

    def points(self, count: int) -> Tensor:
        cameras = torch.randn(count, 2, dtype=torch.float64, generator=generator(self.seed, "camera points"))
        return (self.mean + cameras @ self.root.mT).detach()
