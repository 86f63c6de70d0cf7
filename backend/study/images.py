"""One method on a prior of pictures: latents from noise, optimised for a prompt (arXiv 2406.09417, section 3.1)."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from backend.distill import methods
from backend.distill.contract import Critic, Method, MethodState, Pose, Role
from backend.distill.prompts import OF_VIEWS, PromptBank
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule, bounds, draw_timesteps
from backend.errors import UserError
from backend.priors.contract import Condition, Prior
from backend.priors.counting import CountingPrior
from backend.priors.sampling import sample
from backend.refine.seeds import generator
from backend.render.cameras import orbit
from backend.study.entries import differing

LARGEST_RATE = 0.3
FULL_STEPS = 500
SAMPLER_STEPS = 20
ELEVATION_DEG = 15.0
LEVELS_ASKED = 16  # noise levels over which the mean number of rows is taken
SCHEDULES = {
    "sdi": Schedule.of("linear", (0.25, 0.25), (0.98, 0.25)),
    "jsd": Schedule.of("linear", (0.25, 0.25), (0.98, 0.25)),
    "cfd": Schedule.of("linear"),
    "pfd": Schedule.of("pfd", (0.02, 0.02), (0.98, 0.70)),
}
"""Where a method's source has a schedule of its own; the others draw from all levels."""


class PictureRun:
    """Steps of one method on `count` pictures. `rows` are denoiser rows per picture so far, the critic's predictions included."""

    def __init__(
        self,
        prior: Prior,
        name: str,
        given: Mapping[str, Any],
        prompt: str | Sequence[str],
        *,
        count: int,
        seed: int,
        source_prompt: str = "",
        around: bool = False,
    ) -> None:
        """`prompt`: one for all pictures, or one for each.

        `around`: they stand for views of one thing from as many sides, which a critic is told; as views of a ball do, they begin alike.
        """
        self.name, self.seed, self.count = name, seed, count
        self.prior = CountingPrior(prior)
        self.method = methods.method(name)
        self.parameters: Any = parse_parameters(name, given, prior.card)
        if getattr(self.parameters, "perp_neg", False):
            raise UserError("Perp-Neg needs views of an object, which a single picture has not.", "Leave 'perp_neg' out.")
        self.first: Method | None = methods.method(self.method.first_stage) if self.method.first_stage else None
        self.first_parameters = parse_parameters(self.first.name, {}, prior.card) if self.first else None
        self.schedule = SCHEDULES.get(name, Schedule())
        roles: dict[Role, None] = dict.fromkeys(self.method.roles(self.parameters))
        if self.first is not None:
            roles |= dict.fromkeys(self.first.roles(self.first_parameters))
        source = source_prompt if self.method.uses_reference else ""
        self.conditions: dict[str, Condition] = _conditions(prior, [prompt] * count if isinstance(prompt, str) else prompt, roles, source)
        self.reference: Tensor | None = None
        self.latents = start_noise(prior, 1, seed).repeat(count, 1, 1, 1) if around else start_noise(prior, count, seed)
        if self.method.uses_reference:
            if not source_prompt.strip():
                raise UserError(f"{self.method.title} edits a given picture.", "Say with --source-prompt what it is to begin with.")
            self.reference = sampled_latents(prior, source_prompt, count, seed)
            self.latents = self.reference.clone()
        self.latents.requires_grad_()
        self.optimiser = self._fresh_optimiser()
        self.critic: Critic | None = None
        if self.method.uses_critic(self.parameters):
            from backend.distill.lora_critic import LoRACritic  # peft is wanted only here

            self.critic = LoRACritic.of(prior, self.parameters, generator(seed, "critic"))
        self.pose = _pose_around(count, prior.device) if around else None
        self.objects: dict[str, Tensor] = {}
        self.steps_done = 0
        self.seconds = 0.0
        self.full_steps = FULL_STEPS

    @property
    def settings(self) -> dict[str, Any]:
        return differing(self.name, self.parameters, self.prior.card)

    @property
    def rows(self) -> float:
        return (self.prior.rows + (0 if self.critic is None else self.critic.rows)) / self.count

    def mean_rows(self) -> float:
        """Rows of one step per picture, in the mean over the run."""
        levels = [sum(bounds(self.schedule, k, LEVELS_ASKED, self.prior.timesteps)) // 2 for k in range(LEVELS_ASKED)]
        own = sum(self.method.rows(self.parameters, level) for level in levels) / len(levels)
        if self.first is None:
            return own
        before = sum(self.first.rows(self.first_parameters, level) for level in levels) / len(levels)
        share = self.prior.card.bridge_share
        return (1.0 - share) * before + share * own

    def step(self, steps: int) -> None:
        """One step of a run of `steps`; after the last, at the last one's noise levels."""
        began = time.perf_counter()
        index = min(self.steps_done, steps - 1)
        switch = round((1.0 - self.prior.card.bridge_share) * steps) if self.first is not None else 0
        early = self.first is not None and index < switch
        if self.first is not None and index == switch and self.steps_done == switch:
            self.optimiser = self._fresh_optimiser()  # a new stage begins with new moments
        method, parameters = (self.first, self.first_parameters) if early and self.first is not None else (self.method, self.parameters)
        schedule = Schedule() if early else self.schedule
        source = generator(self.seed, "timesteps", self.steps_done)
        t = draw_timesteps(schedule, index, steps, self.count, self.prior.timesteps, source)
        local, stage = (index, switch) if early else (index - switch, steps - switch)
        state = MethodState(step=local, steps=max(stage, 1), critic=self.critic, reference=self.reference)
        latents = self.latents.detach()
        draws = self._draw(method, parameters)
        distilled = method.gradient(self.prior, latents, t, draws, self.conditions, self.pose, parameters, state)
        self.latents.grad = distilled.gradient.to(self.latents.dtype)
        # The card's rate is for hundreds of steps. Fewer ones are longer, up to a bound: tens of steps reach the picture, but not as well.
        card = self.prior.card
        rate = min(max(card.picture_rate, card.picture_rate * FULL_STEPS / steps), max(card.picture_rate, LARGEST_RATE))
        self.optimiser.param_groups[0]["lr"] = rate * (1.0 if early or self.first is None else card.bridge_rate_scale)
        self.optimiser.step()
        if self.critic is not None:
            self.critic.train_step(latents, self.conditions["critic"], self.pose, generator(self.seed, "critic", self.steps_done))
        if self.prior.device.type == "cuda":
            torch.cuda.synchronize()  # for the seconds alone
        self.steps_done += 1
        self.seconds += time.perf_counter() - began

    def is_finite(self) -> bool:
        return bool(torch.isfinite(self.latents).all())

    def pictures(self) -> Tensor:
        """[count, 3, H, W] display values on the host."""
        return self.prior.prior.decode(self.latents.detach()).cpu()

    def close(self) -> None:
        """Take the critic off the prior."""
        close = getattr(self.critic, "close", None)
        if close is not None:
            close()

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW([self.latents], lr=self.prior.card.picture_rate, betas=(0.9, 0.99), eps=1e-15, weight_decay=0.0)

    def _draw(self, method: Method, parameters: Any) -> dict[str, Tensor]:
        made = {}
        for draw in method.draws(parameters):
            shape = self.latents.shape if draw.shape == "latent" else self.latents.shape[:1]
            make = torch.randn if draw.kind == "normal" else torch.rand
            fresh = make(shape, generator=generator(self.seed, draw.name, self.steps_done)).to(self.latents.device)
            if draw.of == "object":  # a picture is an object, seen from one side
                before = self.objects.get(draw.name)
                fresh = fresh if before is None else (1.0 - draw.drift) ** 0.5 * before + draw.drift**0.5 * fresh
                self.objects[draw.name] = fresh
            made[draw.name] = fresh
        return made


def _pose_around(count: int, device: torch.device) -> Pose:
    """Cameras at even distances around an object, a little above it."""
    azimuth = [360.0 * k / count for k in range(count)]
    camera = orbit(azimuth, [ELEVATION_DEG] * count, 35.0, 0.8, radius=1.0)
    both = torch.tensor(azimuth), torch.full((count,), ELEVATION_DEG)
    return Pose(both[0].to(device), both[1].to(device), camera.camera_to_world.to(device))


def start_noise(prior: Prior, count: int, seed: int) -> Tensor:
    """[count,C,H,W] N(0, I), the same for every method of a comparison."""
    return torch.randn(count, *prior.latent_shape, generator=generator(seed, "start")).to(prior.device)


def _conditions(prior: Prior, prompts: Sequence[str], roles: Iterable[Role], source_prompt: str) -> dict[str, Condition]:
    """By role: a row per picture, or one row where all pictures share it."""
    banks = {text: PromptBank(prior, text, roles, words=[], source_prompt=source_prompt) for text in dict.fromkeys(prompts)}
    found = [banks[text].conditions([""]) for text in prompts]
    return {str(role): Condition.cat([own[role] for own in found]) if role in OF_VIEWS else found[0][role] for role in found[0]}


def sampled_latents(prior: Prior, prompt: str | Sequence[str], count: int, seed: int) -> Tensor:
    """[count,C,H,W] by the prior's own sampler from the same start: what distillation is measured against."""
    condition = prior.embed([prompt] * count if isinstance(prompt, str) else prompt)
    null = prior.embed([""] * count)
    noise = start_noise(prior, count, seed)
    return sample(prior, condition, null, guidance=prior.card.guidance, steps=SAMPLER_STEPS, latents=noise).float()
