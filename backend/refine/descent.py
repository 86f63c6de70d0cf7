"""One stage of an object under way: render, judge, step. The only place where geometry, rendering and gradients meet in a loop.

Nothing here reads from the device: flags and losses stay there until the run asks for them.
"""

from typing import Any

import torch
from torch import Tensor

from backend.priors.counting import CountingPrior
from backend.refine import health
from backend.refine.distillation import Distillation
from backend.refine.guard import settle_shape
from backend.refine.object_look import ObjectLook
from backend.refine.object_noise import ObjectNoise
from backend.refine.optimiser import UniformAdam, ramp, warm_up
from backend.refine.seeds import generator
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.texts import Texts
from backend.refine.viewpoints import draw_viewpoints
from backend.refine.weights import RelativeWeights
from backend.refine.workpiece import StepReport
from protocol.job import Stage

VERTEX_REGULARISERS = ("laplacian", "normal")
START_COLOUR_RHO = 0.3
ANCHOR_SIGMA_CELLS = 1.5
TIDY_EVERY = 200


class Descent:
    """A stage of a run: fresh optimiser moments, fresh relative weights, its own bank of cached views."""

    def __init__(
        self,
        subject: Subject,
        studio: Studio,
        prior: CountingPrior,
        stage: Stage,
        *,
        seed: int,
        first_step: int,
    ) -> None:
        self.subject, self.studio, self.prior = subject, studio, prior
        self.stage = stage
        self.seed, self.first_step = seed, first_step
        self.moves_shape = stage.optimise in ("geometry", "both") and bool(subject.surface.parameters())
        self.moves_colour = stage.optimise in ("colour", "both")
        self.colour = torch.optim.Adam(subject.field.parameter_groups(), betas=(0.9, 0.99), eps=1e-15, weight_decay=0.0)
        self.colour_rates = [group["lr"] for group in self.colour.param_groups]
        leaves = subject.surface.parameters() if self.moves_shape else {}
        self.shape = {name: UniformAdam(leaf) for name, leaf in leaves.items()}
        self.weights = RelativeWeights()
        if stage.bank and not self.moves_shape:
            studio.fill_bank(subject, stage, seed)

        def noise(name: str) -> ObjectNoise:
            return ObjectNoise(subject.start, prior.latent_shape[0], seed, name, prior.device)

        self.distillation = Distillation(prior, stage, noise, seed=seed, first_step=first_step)

    def step(self, index: int, texts: Texts, *, averages: bool) -> StepReport:
        everywhere = self.first_step + index
        fraction = index / max(1, self.stage.steps - 1)
        self._clear_gradients()

        look, leaf, mesh = self._look(everywhere)
        loss, losses, t, bad = self.distillation(look, texts, index, everywhere)
        loss.backward()
        if self.moves_shape:
            assert leaf is not None and mesh is not None
            losses |= self._shape_gradients(leaf, mesh, fraction)
        if self.moves_colour:
            self._anchor_colours(everywhere)
        self._move(index, fraction)
        if self.moves_colour and averages:
            self.subject.average_colours()
        if self.moves_shape and (index + 1) % TIDY_EVERY == 0 and index + 1 < self.stage.steps:
            health.tidy(self.subject)
        return StepReport(losses, t, bad)

    def settle(self) -> list[str]:
        """The shape without floaters, and with everything that was drawn."""
        if not self.moves_shape:
            return []
        health.tidy(self.subject)
        return settle_shape(self.subject)

    def rehearse(self) -> None:
        """Render, encode and lead a gradient back as a step does, without a method; nothing is changed."""
        colour = self.subject.mean_colour.clone()
        look, _, _ = self._look(self.first_step)
        look.latents.sum().backward()
        self._clear_gradients()
        self.subject.mean_colour = colour

    def _clear_gradients(self) -> None:
        self.colour.zero_grad(set_to_none=True)
        for leaf in self.subject.surface.parameters().values():
            leaf.grad = None

    def _look(self, everywhere: int) -> tuple[ObjectLook, Tensor | None, Any]:
        """The views of this step, as the prior wants them."""
        stage, subject, studio = self.stage, self.subject, self.studio
        card = self.prior.card
        views = draw_viewpoints(card.camera, card.light, card.background, stage, self.seed, everywhere, subject.surface_points)
        if not self.moves_shape and stage.bank:
            views, cameras, raster = studio.from_bank(views, self.seed, everywhere)
            picture = studio.picture(subject, views, cameras, raster, stage.supersample, learn_colour=self.moves_colour)
            return ObjectLook(subject, studio, self.prior, stage, views, cameras, picture), None, None
        mesh = subject.surface.extract()
        leaf = mesh.vertices.detach().requires_grad_(self.moves_shape)
        cameras = studio.cameras(subject, views)
        raster = studio.raster(mesh._replace(vertices=leaf), cameras, stage.supersample)
        picture = studio.picture(subject, views, cameras, raster, stage.supersample, learn_colour=self.moves_colour)
        return ObjectLook(subject, studio, self.prior, stage, views, cameras, picture), leaf, mesh

    def _shape_gradients(self, leaf: Tensor, mesh: Any, fraction: float) -> dict[str, Tensor]:
        """Send the distillation's vertex gradient, and the regularisers relative to it, into the surface's parameters."""
        subject, weights = self.subject, self.weights
        leaves = subject.surface.parameters()
        total = torch.zeros_like(mesh.vertices) if leaf.grad is None else leaf.grad
        weights.measure("distillation", total)
        terms = subject.surface.regularisers(mesh)
        on_field = {}
        losses = {}
        for name, ends in self.stage.regularisers.items():
            if name not in terms or not mesh.vertices.numel():
                continue
            losses[name] = terms[name].detach()
            if name in VERTEX_REGULARISERS:
                (pull,) = torch.autograd.grad(terms[name], mesh.vertices, retain_graph=True)
                weights.measure(name, pull)
                total = total + weights.factor(name, ramp(ends, fraction), "distillation") * pull
            else:
                (on_field[name],) = torch.autograd.grad(terms[name], leaves["sdf"], retain_graph=True)
        if mesh.vertices.numel():
            mesh.vertices.backward(total)
        sdf = leaves["sdf"]
        if sdf.grad is None:
            sdf.grad = torch.zeros_like(sdf)
        weights.measure("field", sdf.grad)
        for name, pull in on_field.items():
            weights.measure(name, pull)
            sdf.grad = sdf.grad + weights.factor(name, ramp(self.stage.regularisers[name], fraction), "field") * pull
        # The anchor's gradient is zero at the start, so its size is defined where the field has moved by sigma.
        rho = ramp(self.stage.anchor, fraction)
        sdf.grad = sdf.grad + rho * weights.sizes["field"] * sdf.detach() / (ANCHOR_SIGMA_CELLS * subject.h)
        return losses

    def _anchor_colours(self, everywhere: int) -> None:
        """Hold the colour field to the sketch's own colours while the run is young."""
        anchor = self.subject.start_colours
        if anchor is None or everywhere >= self.subject.anchored_steps:
            return
        points, colours = anchor
        pick = torch.randint(len(points), (512,), generator=generator(self.seed, "start colours", everywhere)).to(points.device)
        leaves = [leaf for group in self.colour.param_groups for leaf in group["params"]]
        loss = (self.subject.field(points[pick]) - colours[pick]).square().mean()
        pulls = torch.autograd.grad(loss, leaves)
        present = [leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves]
        self.weights.measure("colour", torch.cat([g.flatten() for g in present]))
        self.weights.measure("start colours", torch.cat([g.flatten() for g in pulls]))
        factor = self.weights.factor("start colours", START_COLOUR_RHO, "colour")
        for leaf, present_gradient, pull in zip(leaves, present, pulls, strict=True):
            leaf.grad = present_gradient + factor * pull

    def _move(self, index: int, fraction: float) -> None:
        warm = warm_up(index, self.stage.steps)
        if self.moves_colour:
            scale = warm * ramp(self.stage.colour_rate, fraction)
            for group, rate in zip(self.colour.param_groups, self.colour_rates, strict=True):
                group["lr"] = rate * scale
            self.colour.step()
        if self.moves_shape:
            rate = warm * ramp(self.stage.geometry_rate_h, fraction)
            for name, optimiser in self.shape.items():
                # Offsets are stored in units of their bound; half the SDF's rate.
                optimiser.step(rate * self.subject.h if name == "sdf" else 0.5 * rate)
            self.subject.surface.constrain()

    def state(self) -> dict[str, Any]:
        return {
            "colour": self.colour.state_dict(),
            "shape": {name: optimiser.state() for name, optimiser in self.shape.items()},
            "weights": self.weights.state(),
            "distillation": self.distillation.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.colour.load_state_dict(state["colour"])
        for name, optimiser in self.shape.items():
            optimiser.load_state(state["shape"][name])
        self.weights.load_state(state["weights"])
        self.distillation.load_state(state["distillation"])

    def close(self) -> None:
        """The stage is over: the prior is as it was before."""
        self.distillation.close()
