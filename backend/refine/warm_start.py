"""A plausible first preview: the prior repaints a few views of the bare shape, and the colour field is fitted to them."""

from collections.abc import Callable

import torch

from backend.distill.prompts import PromptBank, view_words_for
from backend.priors.contract import Prior
from backend.priors.sampling import sdedit
from backend.refine.presets import WARM_START
from backend.refine.seeds import generator
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.viewpoints import ALBEDO, LAMBERT, draw_viewpoints

STRENGTH = 0.7
SOLVER_STEPS = 12
FIT_STEPS = 60


def warm_start(
    subject: Subject, studio: Studio, prior: Prior, texts: PromptBank, seed: int, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """SDEdit of eight lit views (arXiv 2108.01073: noise to t = .7, solve back), then the colour field fitted to the pictures.

    Returns half-way once `should_stop` says yes.
    """
    card = prior.card
    views = draw_viewpoints(card.camera, card.light, card.background, WARM_START, seed, -1000)
    views.shading.fill_(LAMBERT)
    cameras = studio.cameras(subject, views)
    raster = studio.raster(subject.still(), cameras, 1)
    with torch.no_grad():
        before = studio.picture(subject, views, cameras, raster, 1, learn_colour=False)
        words = view_words_for(card, views.azimuth_deg.tolist(), views.elevation_deg.tolist())
        roles = texts.conditions([""] * len(views) if subject.symmetric else words)
        after = sdedit(
            prior,
            before,
            roles["target"],
            roles["null"],
            strength=STRENGTH,
            steps=SOLVER_STEPS,
            guidance=0.5 * card.texture_guidance,
            generator=generator(seed, "warm start"),
        )
    optimiser = torch.optim.Adam(subject.field.parameter_groups(), betas=(0.9, 0.99), eps=1e-15)
    views.shading.fill_(ALBEDO)
    for _ in range(FIT_STEPS):
        if should_stop():
            return
        optimiser.zero_grad(set_to_none=True)
        (studio.picture(subject, views, cameras, raster, 1, learn_colour=True) - after).square().mean().backward()
        optimiser.step()
