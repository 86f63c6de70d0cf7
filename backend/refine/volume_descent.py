"""A stage that works on a haze instead of a surface: holes and handles open in it, before it becomes the shape of the run."""

from typing import Any

import torch
from torch import Tensor

from backend.colour import linear_to_srgb
from backend.geometry.density import DensityVolume, look_up
from backend.priors.counting import CountingPrior
from backend.refine.distillation import Distillation
from backend.refine.object_look import ObjectLook
from backend.refine.object_noise import ObjectNoise
from backend.refine.optimiser import ramp, warm_up
from backend.refine.seeds import generator
from backend.refine.studio import CLAY_ALBEDO, Studio
from backend.refine.subject import Subject
from backend.refine.texts import Texts
from backend.refine.viewpoints import ALBEDO, CLAY, Viewpoints, draw_viewpoints
from backend.refine.weights import RelativeWeights
from backend.refine.workpiece import StepReport
from backend.render.cameras import Cameras
from backend.render.volume import Composite, render_volume
from protocol.job import Stage

SAMPLES = 48
RATE = 0.05


class VolumeDescent:
    """See `Stepper`. The stage's `colour_rate` scales the rate of densities and colours alike; both live on the same lattices."""

    def __init__(self, subject: Subject, studio: Studio, prior: CountingPrior, stage: Stage, *, seed: int, first_step: int) -> None:
        assert subject.volume is not None
        self.subject, self.studio, self.prior, self.stage = subject, studio, prior, stage
        self.volume: DensityVolume = subject.volume
        self.seed, self.first_step = seed, first_step
        self.weights = RelativeWeights()
        self.optimiser = torch.optim.Adam(self.volume.parameters().values(), betas=(0.9, 0.99), eps=1e-15)

        def noise(name: str) -> ObjectNoise:
            return ObjectNoise(subject.start, prior.latent_shape[0], seed, name, prior.device)

        self.distillation = Distillation(prior, stage, noise, seed=seed, first_step=first_step)

    def step(self, index: int, texts: Texts, *, averages: bool) -> StepReport:
        everywhere = self.first_step + index
        fraction = index / max(1, self.stage.steps - 1)
        self.optimiser.zero_grad(set_to_none=True)
        raw = self.volume.raw()
        leaf = raw.detach().requires_grad_()
        look = self._look(leaf, everywhere)
        loss, losses, t, bad = self.distillation(look, texts, index, everywhere)
        loss.backward()
        raw.backward(self._gradient(leaf, fraction, losses))
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * warm_up(index, self.stage.steps) * ramp(self.stage.colour_rate, fraction)
        self.optimiser.step()
        return StepReport(losses, t, bad)

    def settle(self) -> list[str]:
        self.subject.settle_volume(self.seed)
        return []

    def rehearse(self) -> None:
        colour = self.subject.mean_colour.clone()
        self._look(self.volume.raw(), self.first_step).latents.sum().backward()
        self.optimiser.zero_grad(set_to_none=True)
        self.subject.mean_colour = colour

    def state(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict(), "weights": self.weights.state(), "distillation": self.distillation.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.weights.load_state(state["weights"])
        self.distillation.load_state(state["distillation"])

    def close(self) -> None:
        self.distillation.close()

    def _gradient(self, leaf: Tensor, fraction: float, losses: dict[str, Tensor]) -> Tensor:
        """At the field: the distillation's, and the regularisers' as large relative to it, on densities, as the stage says."""
        total = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        self.weights.measure("distillation", total[3])
        for name, term in self.volume.regularisers(leaf).items():
            losses[name] = term.detach()
            (pull,) = torch.autograd.grad(term, leaf)
            self.weights.measure(name, pull[3])
            rho = ramp(self.stage.regularisers.get(name, (0.0, 0.0)), fraction)
            total = total + self.weights.factor(name, rho, "distillation") * pull
        return total

    def _look(self, raw: Tensor, everywhere: int) -> ObjectLook:
        card, stage = self.prior.card, self.stage
        views = draw_viewpoints(card.camera, card.light, card.background, stage, self.seed, everywhere)
        cameras = self.studio.cameras(self.subject, views)
        seen = self._render(raw, views, cameras, everywhere)
        picture = linear_to_srgb(seen.picture.permute(0, 3, 1, 2))
        return ObjectLook(self.subject, self.studio, self.prior, stage, views, cameras, picture)

    def _render(self, raw: Tensor, views: Viewpoints, cameras: Cameras, everywhere: int) -> Composite:
        """Lit and blended in linear light, as `Studio.picture` does it for surfaces."""
        device, side = self.studio.device, self.studio.size_px
        channels = self.volume.channels(raw)
        shading, ambient, key = (value.to(device)[:, None, None] for value in (views.shading, views.ambient, views.key))
        toward_light = (cameras.camera_to_world[:, :3, :3] @ views.light.to(device)[..., None])[..., 0]

        def emission(points: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
            colours, density, normals = look_up(channels, points).split((3, 1, 3), -1)
            kind = shading[view]
            base = torch.where(kind == CLAY, CLAY_ALBEDO, colours)
            facing = (normals @ toward_light[view][..., None]).clamp_min(0.0)
            light = torch.where(kind == ALBEDO, 1.0, ambient[view] + key[view] * facing)
            return density[..., 0], base * light

        shift = torch.rand(len(views) * side * side, generator=generator(self.seed, "ray shift", everywhere)).to(device)
        background = self.studio.backgrounds(self.subject, views)
        seen = render_volume(emission, cameras, (side, side), background, samples=SAMPLES, shift=shift)
        self.subject.observe(raw[:3].detach().sigmoid().flatten(1).t()[(raw[3] > 0).flatten()])
        return seen
