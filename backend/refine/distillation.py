"""What the prior says about a step's pictures: the method with all it asks for (draws, texts, critic, reference, the object's noise)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from backend.distill import methods
from backend.distill.clipping import ClipByRunningMean, clamp_elements
from backend.distill.contract import Distilled, Method, MethodState, Pose, Role, latent_loss
from backend.distill.image_loss import image_loss
from backend.distill.perp_neg import as_weights
from backend.distill.prompts import PromptBank, perp_neg_views, view_words_for
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule, draw_timesteps
from backend.priors.contract import Condition
from backend.priors.counting import CountingPrior
from backend.refine.object_noise import ObjectNoise
from backend.refine.optimiser import ramp
from backend.refine.seeds import generator
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.viewpoints import CLAY, Viewpoints
from backend.render.cameras import Cameras
from protocol.job import Stage

if TYPE_CHECKING:
    from backend.distill.lora_critic import LoRACritic


def check_critics(stages: Sequence[Stage], prior: CountingPrior) -> None:
    """UserError where a stage, perhaps a late one, trains a critic and the prior has no network for it."""
    for stage in stages:
        if methods.method(stage.method).uses_critic(parse_parameters(stage.method, stage.parameters, prior.card)):
            from backend.distill import lora_critic  # seconds of imports, wanted only here

            lora_critic.network_of(prior)


class Judgement(NamedTuple):
    """`loss` leads back to the pictures' parameters; losses are device scalars; `t` [B] lies on the host."""

    loss: Tensor
    losses: dict[str, Tensor]
    t: Tensor
    bad: Tensor  # device flag: something was not finite


class Distillation:
    """A method at work in one stage of a run. `close` gives the prior back as it was."""

    def __init__(
        self,
        subject: Subject,
        studio: Studio,
        prior: CountingPrior,
        method: Method,
        parameters: Any,
        stage: Stage,
        seed: int,
        first_step: int,
    ) -> None:
        self.subject, self.studio, self.prior = subject, studio, prior
        self.method, self.parameters, self.stage, self.seed = method, parameters, stage, seed
        self.schedule = Schedule.of(stage.timesteps.kind, stage.timesteps.low, stage.timesteps.high)
        self.clip = ClipByRunningMean()
        self.draws = method.draws(parameters)
        self.noises = {
            draw.name: ObjectNoise(subject.start, prior.latent_shape[0], seed, draw.name, prior.device)
            for draw in self.draws
            if draw.of == "object"
        }
        self.critic: LoRACritic | None = None
        if method.uses_critic(parameters):
            from backend.distill import lora_critic  # seconds of imports, wanted only here

            self.critic = lora_critic.LoRACritic(
                prior,
                rank=parameters.critic_rank,
                rate=parameters.critic_rate,
                camera_dropout=parameters.camera_dropout,
                generator=generator(seed, "critic", first_step),
            )

    def __call__(self, picture: Tensor, views: Viewpoints, cameras: Cameras, texts: PromptBank, index: int, everywhere: int) -> Judgement:
        """picture [B,3,S,S] display values with a graph; `index` of the stage, `everywhere` over all stages."""
        prior, stage = self.prior, self.stage
        latents = prior.encode(picture)
        source = generator(self.seed, "timesteps", everywhere)
        t = draw_timesteps(self.schedule, index, stage.steps, len(views), prior.timesteps, source)
        conditions, away_weights = self._conditions(texts, views)
        pose = Pose(views.azimuth_deg, views.elevation_deg, cameras.camera_to_world)
        state = MethodState(
            step=index,
            steps=stage.steps,
            critic=self.critic,
            reference=self._reference(views, cameras) if self.method.uses_reference else None,
            away_weights=away_weights,
        )
        distilled = self._counted(latents, t, self._draw(latents, cameras, everywhere), conditions, pose, state)
        gradient = distilled.gradient
        if stage.clamp is not None:
            gradient = clamp_elements(gradient, ramp(stage.clamp, index / max(1, stage.steps - 1)))
        gradient = self.clip(gradient)
        loss = latent_loss(latents, gradient, self.method.reduction)
        losses = {"distillation": distilled.gradient.square().mean().sqrt(), **distilled.diagnostics}
        if stage.image_loss > 0.0 and distilled.clean is not None:
            losses["image"] = image_loss(picture, distilled.clean, prior, t, stage.image_loss)
            loss = loss + losses["image"]
            losses["image"] = losses["image"].detach()
        if self.critic is not None:
            lesson = generator(self.seed, "critic", everywhere)
            losses |= self.critic.train_step(latents.detach(), conditions["critic"], pose, lesson)
        return Judgement(loss, losses, t, ~(torch.isfinite(loss) & torch.isfinite(gradient).all()))

    def close(self) -> None:
        """Take the critic off the prior."""
        if self.critic is not None:
            self.critic.close()
            self.critic = None

    def state(self) -> dict[str, Any]:
        return {
            "clip": self.clip.state(),
            "noises": {name: noise.values.clone() for name, noise in self.noises.items()},
            "critic": {} if self.critic is None else self.critic.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.clip.load_state(state["clip"])
        for name, noise in self.noises.items():
            noise.values = state["noises"][name].clone()
        if self.critic is not None:
            self.critic.load_state(state["critic"])

    def _counted(
        self,
        latents: Tensor,
        t: Tensor,
        draws: dict[str, Tensor],
        conditions: dict[Role, Condition],
        pose: Pose,
        state: MethodState,
    ) -> Distilled:
        before, by_critic = self.prior.rows, 0 if self.critic is None else self.critic.rows
        distilled = self.method.gradient(self.prior, latents.detach(), t, draws, conditions, pose, self.parameters, state)
        if self.critic is not None:
            self.prior.rows += self.critic.rows - by_critic  # the same network answered
        declared, used = sum(self.method.rows(self.parameters, level) for level in t.tolist()), self.prior.rows - before
        if used != declared:
            raise AssertionError(f"{self.method.name} declared {declared} denoiser rows and used {used}")
        return distilled

    def _conditions(self, texts: PromptBank, views: Viewpoints) -> tuple[dict[Role, Condition], Tensor | None]:
        """By role; close-ups and symmetric objects carry no view word, clay renders say so."""
        card = self.prior.card
        azimuth, elevation = views.azimuth_deg.tolist(), views.elevation_deg.tolist()
        words = view_words_for(card, azimuth, elevation)
        plain = self.subject.symmetric
        words = ["" if plain or near else word for word, near in zip(words, views.close_up, strict=True)]
        clay = [int(kind) == CLAY for kind in views.shading]
        if "away" not in self.method.roles(self.parameters):
            return texts.conditions(words, clay), None
        sides = perp_neg_views(card, words, azimuth, elevation)
        return texts.conditions(words, clay, sides), as_weights(sides)

    def _draw(self, latents: Tensor, cameras: Cameras, everywhere: int) -> dict[str, Tensor]:
        made = {}
        for draw in self.draws:
            if draw.of == "object":
                noise = self.noises[draw.name]
                noise.drift(draw.drift, everywhere)
                made[draw.name] = noise.seen(cameras, latents.shape[2], latents.shape[3], everywhere).to(latents.dtype)
                continue
            source = generator(self.seed, draw.name, everywhere, latents.device)
            shape = latents.shape if draw.shape == "latent" else latents.shape[:1]
            make = torch.randn if draw.kind == "normal" else torch.rand
            made[draw.name] = make(shape, generator=source, device=latents.device, dtype=latents.dtype)
        return made

    @torch.no_grad()
    def _reference(self, views: Viewpoints, cameras: Cameras) -> Tensor:
        """Latents of what was given, as these views see it in the same light before the same backgrounds."""
        assert self.subject.given is not None
        given = replace(self.subject, field=self.subject.given, shown=None)
        given.mean_colour = self.subject.mean_colour
        raster = self.studio.raster(given.start, cameras, self.stage.supersample)
        picture = self.studio.picture(given, views, cameras, raster, self.stage.supersample, learn_colour=False)
        return self.prior.encode(picture)
