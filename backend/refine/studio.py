"""Cameras, lights and cached views around a subject: from viewpoints to pictures in display values."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.colour import linear_to_srgb, srgb_to_linear
from backend.geometry.contract import Mesh
from backend.priors.card import PriorCard
from backend.refine.seeds import generator
from backend.refine.subject import Subject
from backend.refine.viewpoints import ALBEDO, CLAY, Viewpoints, draw_viewpoints
from backend.render.cameras import Cameras, clip, orbit
from backend.render.contract import Fragments
from backend.render.pipeline import Raster, shade_and_blend
from backend.render.rasterizer import TensorPipeline
from protocol.job import Stage

CLAY_ALBEDO = 0.6  # linear; about .8 as displayed
BACKGROUND_GAP = 0.15  # display; closer than this a silhouette has no gradient


class Studio:
    """Renders a subject for a prior: the prior's picture size, camera card and light card."""

    def __init__(self, rasterizer: TensorPipeline, card: PriorCard, size_px: int, device: torch.device) -> None:
        self.rasterizer, self.card, self.size_px, self.device = rasterizer, card, size_px, device
        self._bank: list[tuple[Viewpoints, Cameras, Raster]] = []

    def cameras(self, subject: Subject, views: Viewpoints) -> Cameras:
        """Rigs around the subject's bounding sphere; azimuths count from its front."""
        return orbit(
            views.azimuth_deg + subject.front_deg,
            views.elevation_deg,
            views.fov_deg,
            views.fill,
            radius=subject.radius,
            target=views.target,
            zoom=views.zoom,
            device=self.device,
        )

    def raster(self, mesh: Mesh, cameras: Cameras, supersample: int) -> Raster:
        """What each pixel of the views sees; carries gradients where the mesh's vertices do."""
        side = self.size_px * supersample
        return self.rasterizer.prepare(mesh, clip(cameras, mesh.vertices), (side, side))

    def fill_bank(self, subject: Subject, stage: Stage, seed: int) -> None:
        """Cache the views of a stage whose geometry stands still: stage.bank of them, in batches of stage.views."""
        mesh = subject.still()
        self._bank = []
        for batch in range(max(1, stage.bank // stage.views)):
            # Negative steps: the bank's cameras must not repeat those of any real step.
            views = draw_viewpoints(
                self.card.camera, self.card.light, self.card.background, stage, seed, -1 - batch, subject.surface_points
            )
            cameras = self.cameras(subject, views)
            self._bank.append((views, cameras, self.raster(mesh, cameras, stage.supersample)))

    def from_bank(self, views: Viewpoints, seed: int, step: int) -> tuple[Viewpoints, Cameras, Raster]:
        """A cached batch chosen for this step, seen in the light and before the backgrounds that were drawn for it."""
        which = int(torch.randint(len(self._bank), (1,), generator=generator(seed, "bank", step)))
        cached, cameras, raster = self._bank[which]
        mixed = replace(
            cached,
            shading=views.shading,
            ambient=views.ambient,
            key=views.key,
            light=views.light,
            backgrounds=views.backgrounds,
        )
        return mixed, cameras, raster

    def picture(
        self, subject: Subject, views: Viewpoints, cameras: Cameras, raster: Raster, supersample: int, *, learn_colour: bool
    ) -> Tensor:
        """[B,3,S,S] display values: shaded and blended in linear light, averaged, then through the sRGB curve."""
        device = self.device
        shading, ambient, key = (value.to(device, non_blocking=True) for value in (views.shading, views.ambient, views.key))
        toward_light = (cameras.camera_to_world[:, :3, :3] @ views.light.to(device, non_blocking=True)[..., None])[..., 0]
        pixels_per_view = (self.size_px * supersample) ** 2

        def shade(points: Tensor, normals: Tensor, fragments: Fragments) -> Tensor:
            view = fragments.pixel // pixels_per_view
            # Detached points: otherwise texture drags the shape along.
            colour = subject.colour(points.detach())
            if not learn_colour:
                colour = colour.detach()
            subject.observe(colour)
            kind = shading[view][:, None]
            base = torch.where(kind == CLAY, torch.full_like(colour, CLAY_ALBEDO), colour)
            facing = (normals * toward_light[view]).sum(-1, keepdim=True).clamp_min(0.0)
            light = ambient[view][:, None] + key[view][:, None] * facing
            return base * torch.where(kind == ALBEDO, torch.ones_like(light), light)

        rgb = shade_and_blend(raster, shade, self.backgrounds(subject, views))[..., :3].permute(0, 3, 1, 2)
        if supersample > 1:
            rgb = F.avg_pool2d(rgb, supersample)
        return linear_to_srgb(rgb)

    def backgrounds(self, subject: Subject, views: Viewpoints) -> Tensor:
        """[B,3] linear: the drawn ones, or their stand-ins where the object has the same colour."""
        pair = views.backgrounds.to(self.device, non_blocking=True)
        close = (pair[:, 0] - subject.mean_colour).abs().amax(-1, keepdim=True) < BACKGROUND_GAP
        return srgb_to_linear(torch.where(close, pair[:, 1], pair[:, 0]))
