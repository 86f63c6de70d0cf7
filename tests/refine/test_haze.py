"""Prompt mode's first stage: a haze that becomes the surface."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from backend.assets.read import read_mesh
from backend.priors.counting import CountingPrior
from backend.priors.resolve import STARTER, resolve_prior
from backend.refine import steering
from backend.refine.control import Control
from backend.refine.distillation import Judgement
from backend.refine.events import Preview
from backend.refine.inputs import Inputs
from backend.refine.prepare import prepare
from backend.refine.run import refine
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.volume_descent import VolumeDescent
from backend.render.rasterizer import choose_rasterizer
from backend.render.silhouette import largest_hole
from protocol.job import Budget, RefineJob, Shading, Stage, Steer, Timesteps
from tests.refine.test_run import _same, at_step

MUG = Path(__file__).parents[2] / "examples" / "sketches" / "mug.glb"


@pytest.fixture
def job():
    """Four steps of haze, two on the surface; a small asset."""
    window = Timesteps(high=(0.9, 0.5))
    return RefineJob(
        prompt="a red mug",
        mode="prompt",
        stages=(
            Stage(name="haze", optimise="volume", steps=4, views=2, timesteps=window, regularisers={"smooth": (0.1, 0.1)}),
            Stage(name="form", optimise="both", steps=2, timesteps=window),
        ),
        grid=32,
        preview_every=0,
        checkpoint_every=0,
        budget=Budget(faces=400, texture_px=64),
    )


def _run(job, prior, **options):
    return refine(job, Inputs(), prior=prior, **options)


def test_paused_in_the_haze_and_after_it_and_resumed_equals_an_undisturbed_run(job, tiny_prior, tmp_path):
    whole = _run(job, tiny_prior)
    for step in (2, 5):
        control = Control()
        at_step(control, step, control.pause)
        paused = _run(job, tiny_prior, out=tmp_path, control=control, resume=step > 2)
        assert (paused.outcome, paused.steps_done) == ("paused", step)
    resumed = refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True)
    assert resumed.outcome == "done" and _same(whole, resumed)


def test_a_run_that_ends_in_the_haze_has_its_surface_and_colours(job, tiny_prior, tmp_path):
    control, shown = Control(), []
    at_step(control, 3, control.finish_now)
    job = msgspec.structs.replace(job, preview_every=1)
    early = _run(job, tiny_prior, out=tmp_path, control=control, listen=shown.append)
    last = [event for event in shown if isinstance(event, Preview)][-1]
    assert early.outcome == "finished early" and early.facts["watertight"]
    vertices, colours = last.vertices, last.colours / 255
    mean = early.exported.base_colour.reshape(-1, 3).mean(0) / 255
    assert len(vertices) > 100 and np.abs(colours.mean(0) - mean).max() < 0.1


def test_a_new_prompt_in_the_haze_goes_on_with_the_haze(job, tiny_prior, monkeypatch):
    monkeypatch.setattr(steering, "STEERED_STEPS", 4)
    control = Control()
    at_step(control, 3, lambda: control.steer(Steer(prompt="a blue mug")))
    steered = _run(job, tiny_prior, control=control)
    assert [(stage.name, stage.optimise, stage.steps) for stage in steered.ran] == [
        ("haze", "volume", 3),
        ("steered", "volume", 4),
        ("form", "both", 2),
    ]


def test_the_haze_settles_to_its_own_surface_and_colours():
    job = RefineJob(prompt="a mug", mode="prompt", stages=(Stage(name="haze", optimise="volume"),), grid=32)
    subject = prepare(job, Inputs(), torch.device("cpu"))
    assert isinstance(subject, Subject) and subject.volume is not None
    with torch.no_grad():
        finest = subject.volume.parameters()["level 1"]
        positions = subject.volume.grid.positions
        ring = torch.stack([positions[:, :2].norm(dim=1) - 0.55, positions[:, 2]], 1).norm(dim=1) - 0.2
        finest[0, 3] = (-20 * ring).view(subject.volume.grid.shape) - subject.volume.raw()[3] + finest[0, 3]
        finest[0, 0] += 3 * positions[:, 0].view(subject.volume.grid.shape)
    before = subject.colour(subject.still().vertices)
    subject.settle_volume(0)
    mesh = subject.still()
    assert subject.volume is None and len(mesh.vertices) - len(mesh.faces) // 2 == 0  # a torus: the hole is open
    red = subject.colour(mesh.vertices)[:, 0]
    assert red[mesh.vertices[:, 0] > 0.4].mean() - red[mesh.vertices[:, 0] < -0.4].mean() > 0.5
    assert abs(before.mean() - subject.colour(mesh.vertices).mean()) < 0.05


@pytest.mark.long
def test_pictures_of_a_mug_from_all_sides_open_its_handle_in_the_haze():
    """With the plain difference from renders of the example mug as the gradient: one piece with one tunnel, seen through."""
    prior = CountingPrior(resolve_prior(str(STARTER), torch.device("cpu")))
    stage = Stage(name="haze", optimise="volume", steps=120, views=2, shading=Shading(albedo=0.0), colour_rate=(1.0, 0.3))
    subject = prepare(RefineJob(prompt="a mug", mode="prompt", stages=(stage,)), Inputs(), torch.device("cpu"))
    mug = prepare(RefineJob(prompt="a mug"), Inputs(sketch=read_mesh(MUG)), torch.device("cpu"))
    drawn = mug.still()
    drawn = drawn._replace(vertices=drawn.vertices * (subject.radius / drawn.vertices.norm(dim=1).max()))
    rasterizer = choose_rasterizer("auto", "cpu")
    studio = Studio(rasterizer, prior.card, prior.image_size_px, torch.device("cpu"))
    descent = VolumeDescent(subject, studio, prior, stage, seed=0, first_step=0)

    def difference(look, texts, index, everywhere):
        mug.mean_colour = subject.mean_colour
        raster = studio.raster(drawn, look.cameras, 1)
        with torch.no_grad():
            wanted = studio.picture(mug, look.views, look.cameras, raster, 1, learn_colour=False)
        loss = (look.picture - wanted).square().sum()
        return Judgement(loss, {}, torch.zeros(2), ~torch.isfinite(loss))

    descent.distillation = difference
    for index in range(stage.steps):
        descent.step(index, (), averages=False)
    assert descent.settle() == []
    found = subject.still()
    assert len(found.vertices) - len(found.faces) // 2 == 0
    assert largest_hole(found, rasterizer) > 0.5 * largest_hole(drawn, rasterizer)
