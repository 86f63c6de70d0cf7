"""What the prior says about a step's views: the method with all it asks for (draws, texts, critic, reference, the object's noise)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from backend.distill import methods
from backend.distill.clipping import ClipByRunningMean, clamp_elements
from backend.distill.contract import Distilled, MethodState, Pose, Role, latent_loss
from backend.distill.image_loss import image_loss
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule, draw_timesteps
from backend.priors.contract import Condition
from backend.priors.counting import CountingPrior
from backend.refine.optimiser import ramp
from backend.refine.seeds import generator
from backend.refine.texts import Texts
from protocol.job import Stage

if TYPE_CHECKING:
    from backend.distill.lora_critic import LoRACritic


def check_critics(stages: Sequence[Stage], prior: CountingPrior) -> None:
    """UserError where a stage, perhaps a late one, trains a critic and the prior has no network for it."""
    for stage in stages:
        if methods.method(stage.method).uses_critic(parse_parameters(stage.method, stage.parameters, prior.card)):
            from backend.distill import lora_critic  # seconds of imports, wanted only here

            lora_critic.network_of(prior)


class RunNoise(Protocol):
    """One noise for a whole run (`Draw.of` "object"); `values` is all that it remembers."""

    values: Tensor

    def drift(self, share: float, step: int) -> None:
        """eb <- sqrt(1 - share) eb + sqrt(share) N(0, I)."""
        ...


class Look(Protocol):
    """B views of what is made, as one step sees them."""

    @property
    def latents(self) -> Tensor:
        """[B,C,h,w] with a graph."""
        ...

    @property
    def picture(self) -> Tensor | None:
        """[B,3,S,S] display values with a graph, as they were encoded; None where latents are what is optimised."""
        ...

    @property
    def pose(self) -> Pose: ...

    def conditions(self, texts: Texts, away: bool) -> tuple[dict[Role, Condition], Tensor | None]:
        """By role, one row a view (or one for all), and for Perp-Neg (`away`) its weights [B,2]."""
        ...

    def seen(self, noise: Any, step: int) -> Tensor:
        """[B,C,h,w]: a noise made by the workpiece's own maker, from these views."""
        ...

    def reference(self) -> Tensor:
        """[B,C,h,w] latents of what was given, seen as these views see what is made."""
        ...


class Judgement(NamedTuple):
    """`loss` leads back to the parameters; losses are device scalars; `t` [B] lies on the host."""

    loss: Tensor
    losses: dict[str, Tensor]
    t: Tensor
    bad: Tensor  # device flag: something was not finite


class Distillation:
    """The method of one stage at work. `close` gives the prior back as it was."""

    def __init__(
        self,
        prior: CountingPrior,
        stage: Stage,
        make_noise: Callable[[str], RunNoise],
        *,
        seed: int,
        first_step: int,
    ) -> None:
        """make_noise: by the name of a draw that is one for the whole run."""
        self.prior, self.stage, self.seed = prior, stage, seed
        self.method = methods.method(stage.method)
        self.parameters: Any = parse_parameters(stage.method, stage.parameters, prior.card)
        self.schedule = Schedule.of(stage.timesteps.kind, stage.timesteps.low, stage.timesteps.high)
        self.clip = ClipByRunningMean()
        self.draws = self.method.draws(self.parameters)
        self.noises = {draw.name: make_noise(draw.name) for draw in self.draws if draw.of == "object"}
        self.critic: LoRACritic | None = None
        if self.method.uses_critic(self.parameters):
            from backend.distill import lora_critic  # seconds of imports, wanted only here

            self.critic = lora_critic.LoRACritic.of(prior, self.parameters, generator(seed, "critic", first_step))

    def __call__(self, look: Look, texts: Texts, index: int, everywhere: int) -> Judgement:
        """`index` of the stage, `everywhere` over all stages."""
        prior, stage, latents, pose = self.prior, self.stage, look.latents, look.pose
        source = generator(self.seed, "timesteps", everywhere)
        t = draw_timesteps(self.schedule, index, stage.steps, len(latents), prior.timesteps, source)
        conditions, away_weights = look.conditions(texts, "away" in self.method.roles(self.parameters))
        state = MethodState(
            step=index,
            steps=stage.steps,
            critic=self.critic,
            reference=look.reference() if self.method.uses_reference else None,
            away_weights=away_weights,
        )
        distilled = self._counted(latents, t, self._draw(look, everywhere), conditions, pose, state)
        gradient = distilled.gradient
        if stage.clamp is not None:
            gradient = clamp_elements(gradient, ramp(stage.clamp, index / max(1, stage.steps - 1)))
        gradient = self.clip(gradient)
        loss = latent_loss(latents, gradient, self.method.reduction)
        losses = {"distillation": distilled.gradient.square().mean().sqrt(), **distilled.diagnostics}
        if stage.image_loss > 0.0 and distilled.clean is not None and look.picture is not None:
            losses["image"] = image_loss(look.picture, distilled.clean, prior, t, stage.image_loss)
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

    def _draw(self, look: Look, everywhere: int) -> dict[str, Tensor]:
        latents, made = look.latents, {}
        for draw in self.draws:
            if draw.of == "object":
                noise = self.noises[draw.name]
                noise.drift(draw.drift, everywhere)
                made[draw.name] = look.seen(noise, everywhere).to(latents.dtype)
                continue
            source = generator(self.seed, draw.name, everywhere, latents.device)
            shape = latents.shape if draw.shape == "latent" else latents.shape[:1]
            make = torch.randn if draw.kind == "normal" else torch.rand
            made[draw.name] = make(shape, generator=source, device=latents.device, dtype=latents.dtype)
        return made
