"""Rendered views of an object, as a distillation asks about them."""

from dataclasses import replace

import torch
from torch import Tensor

from backend.distill.contract import Pose, Role
from backend.distill.perp_neg import as_weights
from backend.distill.prompts import perp_neg_views, view_words_for
from backend.priors.contract import Condition, Prior
from backend.refine.object_noise import ObjectNoise
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.texts import Texts
from backend.refine.viewpoints import CLAY, Viewpoints
from backend.render.cameras import Cameras
from protocol.job import Stage


class ObjectLook:
    """See `Look`. picture [B,3,S,S]: the rendered views, display values with a graph; they are encoded here."""

    def __init__(
        self, subject: Subject, studio: Studio, prior: Prior, stage: Stage, views: Viewpoints, cameras: Cameras, picture: Tensor
    ) -> None:
        self.subject, self.studio, self.prior, self.stage, self.views, self.cameras = subject, studio, prior, stage, views, cameras
        self.picture: Tensor | None = picture
        self.latents = prior.encode(picture)
        self.pose = Pose(views.azimuth_deg, views.elevation_deg, cameras.camera_to_world)

    def conditions(self, texts: Texts, away: bool) -> tuple[dict[Role, Condition], Tensor | None]:
        """Close-ups and symmetric objects carry no view word, clay renders say so."""
        card, views = self.prior.card, self.views
        azimuth, elevation = views.azimuth_deg.tolist(), views.elevation_deg.tolist()
        words = view_words_for(card, azimuth, elevation)
        plain = self.subject.symmetric
        words = ["" if plain or near else word for word, near in zip(words, views.close_up, strict=True)]
        clay = [int(kind) == CLAY for kind in views.shading]
        if not away:
            return texts[0].conditions(words, clay), None
        sides = perp_neg_views(card, words, azimuth, elevation)
        return texts[0].conditions(words, clay, sides), as_weights(sides)

    def seen(self, noise: ObjectNoise, step: int) -> Tensor:
        return noise.seen(self.cameras, self.latents.shape[2], self.latents.shape[3], step)

    @torch.no_grad()
    def reference(self) -> Tensor:
        """In the same light, before the same backgrounds."""
        assert self.subject.given is not None
        given = replace(self.subject, field=self.subject.given, shown=None)
        given.mean_colour = self.subject.mean_colour
        raster = self.studio.raster(given.start, self.cameras, self.stage.supersample)
        picture = self.studio.picture(given, self.views, self.cameras, raster, self.stage.supersample, learn_colour=False)
        return self.prior.encode(picture)
