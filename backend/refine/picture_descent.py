"""One stage of pictures under way: look, judge, step."""

from collections.abc import Callable
from typing import Any

import torch

from backend.priors.counting import CountingPrior
from backend.refine.canvas import PictureCanvas
from backend.refine.distillation import Distillation
from backend.refine.optimiser import ramp, warm_up
from backend.refine.picture_look import PictureLook, PictureNoise
from backend.refine.texts import Texts
from backend.refine.workpiece import StepReport
from protocol.job import Stage


class PictureDescent:
    """See `Stepper`. look: (views, step of the run) -> what that step sees. sights: how many pictures have a noise of their own."""

    def __init__(
        self,
        canvas: PictureCanvas,
        prior: CountingPrior,
        stage: Stage,
        look: Callable[[int, int], PictureLook],
        *,
        sights: int,
        seed: int,
        first_step: int,
    ) -> None:
        self.canvas, self.stage, self.look, self.first_step = canvas, stage, look, first_step
        self.optimiser = torch.optim.Adam(canvas.parameters(), lr=canvas.rate, betas=(0.9, 0.99), eps=1e-15, weight_decay=0.0)

        def noise(name: str) -> PictureNoise:
            return PictureNoise(sights, prior.latent_shape, seed, name, prior.device)

        self.distillation = Distillation(prior, stage, noise, seed=seed, first_step=first_step)

    def step(self, index: int, texts: Texts, *, averages: bool) -> StepReport:
        everywhere = self.first_step + index
        self.optimiser.zero_grad(set_to_none=True)
        look = self.look(self.stage.views, everywhere)
        loss, losses, t, bad = self.distillation(look, texts, index, everywhere)
        loss.backward()
        fraction = index / max(1, self.stage.steps - 1)
        rate = self.canvas.rate * warm_up(index, self.stage.steps) * ramp(self.stage.colour_rate, fraction)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.canvas.constrain()
        return StepReport(losses, t, bad)

    def settle(self) -> list[str]:
        return []

    def rehearse(self) -> None:
        self.look(self.stage.views, self.first_step).latents.sum().backward()
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict(), "distillation": self.distillation.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.distillation.load_state(state["distillation"])

    def close(self) -> None:
        self.distillation.close()
