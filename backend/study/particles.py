"""One method on one test bed: draws, gradient, step, as a run does them, on latents of two numbers."""

import time
from typing import Any

import torch
from torch import Tensor

from backend.distill import methods
from backend.distill.contract import Method, MethodState, Pose
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import bounds, draw_timesteps
from backend.errors import UserError
from backend.priors.contract import Condition
from backend.priors.counting import CountingPrior
from backend.refine.seeds import generator
from backend.study.bed_prior import BedPrior
from backend.study.beds import Bed
from backend.study.clouds import Cloud, Family, Particles
from backend.study.entries import Entry, differing
from backend.study.exact_jsd import ExactJSD

LEVELS_ASKED = 48  # noise levels over which the mean number of rows is taken


class BedRun:
    """Steps of one entry. `rows` are denoiser rows per particle so far, the critic's predictions included."""

    def __init__(self, bed: Bed, entry: Entry, *, particles: int, seed: int) -> None:
        self.bed, self.entry, self.seed, self.count = bed, entry, seed, particles
        self.method: Method = ExactJSD() if entry.exact_ratio else methods.method(entry.method)
        self.parameters: Any = parse_parameters(entry.method, entry.settings)
        if getattr(self.parameters, "perp_neg", False):
            raise UserError("Perp-Neg needs views of an object, which a test bed has not.", "Leave 'perp_neg' out.")
        self.schedule = entry.schedule
        self.cloud: Cloud = Family(bed, entry, particles, seed) if bed.is_family else Particles(bed, entry, particles, seed)
        self.prior = CountingPrior(BedPrior(bed.prior, self.cloud.present))
        self.conditions: dict[str, Condition] = {
            role: self.prior.embed([entry.texts[role]]).expand(particles) for role in self.method.roles(self.parameters)
        }
        self.objects: dict[str, Tensor] = {}
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        return differing(self.entry.method, self.parameters)

    @property
    def full_steps(self) -> int:
        return self.bed.noise_steps if self.entry.residual == "noise" else self.bed.clean_steps

    @property
    def rows(self) -> float:
        return (self.prior.rows + self.cloud.critic.rows) / self.count

    def mean_rows(self) -> float:
        """Rows of one step per particle, in the mean over the noise levels of the schedule."""
        low, high = bounds(self.schedule, 0, 1, self.prior.timesteps)
        if self.entry.falling:
            low = bounds(self.schedule, 1, 1, self.prior.timesteps)[0]
        levels = torch.linspace(low, high, LEVELS_ASKED).round().to(torch.int64).tolist()
        return sum(self.method.rows(self.parameters, level) for level in levels) / len(levels)

    def step(self, steps: int) -> None:
        """One step of a run of `steps`; after the last, at the last one's noise levels."""
        began = time.perf_counter()
        index = min(self.steps_done, steps - 1)
        latents, start = self.cloud.seen(self.steps_done)
        source = generator(self.seed, "timesteps", self.steps_done)
        t = draw_timesteps(self.schedule, index, steps, self.count, self.prior.timesteps, source)
        state = MethodState(step=index, steps=steps, critic=self.cloud.critic, reference=start if self.method.uses_reference else None)
        # In the family a critic with a camera knows the one point it sees; among particles only ESD wants that.
        pose = Pose(camera_to_world=torch.eye(4).expand(self.count, 4, 4)) if self.entry.camera or self.bed.is_family else None
        draws = self._draw(latents)
        distilled = self.method.gradient(self.prior, latents, t, draws, self.conditions, pose, self.parameters, state)
        self.cloud.move(distilled.gradient, index, steps)
        self.steps_done += 1
        self.seconds += time.perf_counter() - began

    def is_finite(self) -> bool:
        return bool(torch.isfinite(self.cloud.points(self.count)).all())

    def _draw(self, latents: Tensor) -> dict[str, Tensor]:
        made = {}
        for draw in self.method.draws(self.parameters):
            shape = latents.shape if draw.shape == "latent" else latents.shape[:1]
            make = torch.randn if draw.kind == "normal" else torch.rand
            fresh = make(shape, dtype=latents.dtype, generator=generator(self.seed, draw.name, self.steps_done))
            if draw.of == "object":  # a particle is an object, seen from one side
                before = self.objects.get(draw.name)
                fresh = fresh if before is None else (1.0 - draw.drift) ** 0.5 * before + draw.drift**0.5 * fresh
                self.objects[draw.name] = fresh
            made[draw.name] = fresh
        return made
