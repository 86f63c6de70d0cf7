"""Whole runs with a tiny random prior: what a run promises whatever the pictures look like."""

import math

import msgspec
import numpy as np
import pytest
import torch

from backend.errors import Cancelled, NumericalError
from backend.refine import steering
from backend.refine.control import Control
from backend.refine.events import Note, Preview
from backend.refine.export import export_asset
from backend.refine.inputs import Inputs
from backend.refine.prepare import prepare
from backend.refine.run import refine
from backend.refine.studio import Studio
from backend.refine.viewpoints import draw_viewpoints
from backend.render.rasterizer import choose_rasterizer
from protocol.job import JournalEntry, RefineJob, Shading, Stage, Steer
from tests.priors.spy import SpyPrior


def _run(job, ball, prior, **options):
    return refine(job, Inputs(sketch=ball), prior=prior, **options)


def _same(a, b):
    return all(np.array_equal(getattr(a.exported, name), getattr(b.exported, name)) for name in ("vertices", "faces", "uv", "base_colour"))


def test_the_same_job_gives_the_same_bytes(small_job, ball, tiny_prior, tmp_path):
    a = _run(small_job, ball, tiny_prior, out=tmp_path / "a")
    b = _run(small_job, ball, tiny_prior, out=tmp_path / "b")
    assert _same(a, b)
    assert (tmp_path / "a" / "asset.glb").read_bytes() == (tmp_path / "b" / "asset.glb").read_bytes()


def test_another_seed_gives_another_asset(small_job, ball, tiny_prior):
    assert not _same(_run(small_job, ball, tiny_prior), _run(msgspec.structs.replace(small_job, seed=1), ball, tiny_prior))


def test_pause_and_resume_equal_an_undisturbed_run_bit_for_bit(small_job, ball, tiny_prior, tmp_path):
    """Paused in the middle of the first stage; resumed from the checkpoint with a fresh run object."""
    whole = _run(small_job, ball, tiny_prior)
    control = Control()
    at_step(control, 7, control.pause)
    paused = _run(small_job, ball, tiny_prior, out=tmp_path, control=control)
    assert paused.outcome == "paused" and paused.steps_done == 7
    resumed = refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True)
    assert resumed.outcome == "done" and resumed.steps_done == 20
    assert _same(whole, resumed)
    assert not (tmp_path / "checkpoint.pt").exists()


def at_step(control, step, act):
    """Do something just before a step: commands are taken between steps, so the control is asked there."""
    take, done = control.commands, []

    def commands(at):
        if at == step and not done:
            done.append(at)
            act()
        return take(at)

    control.commands = commands


def test_cancel_discards_and_finish_exports(small_job, ball, tiny_prior, tmp_path):
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        _run(small_job, ball, tiny_prior, out=tmp_path / "cancelled", control=control)
    assert not (tmp_path / "cancelled" / "asset.glb").exists()
    control = Control()
    at_step(control, 5, control.finish_now)
    early = _run(small_job, ball, tiny_prior, out=tmp_path / "early", control=control)
    assert early.outcome == "finished early" and early.steps_done == 5
    assert (tmp_path / "early" / "asset.glb").exists() and (tmp_path / "early" / "checkpoint.pt").exists()


def test_steering_starts_the_stage_over_and_replays_bit_for_bit(small_job, ball, tiny_prior, monkeypatch):
    monkeypatch.setattr(steering, "STEERED_STEPS", 10)
    control, blue = Control(), Steer(prompt="a blue mug")
    at_step(control, 6, lambda: control.steer(blue))
    steered = _run(small_job, ball, tiny_prior, control=control)
    assert steered.journal == (JournalEntry(6, blue),)
    assert [(stage.name, stage.steps) for stage in steered.ran] == [("shape", 6), ("steered", 10), ("bridge", 8)]
    assert steered.ran[1].timesteps.high[0] >= 0.8
    assert steered.steps_done == 6 + 10 + 8
    assert _same(steered, _run(steered.job, ball, tiny_prior, control=Control(steered.journal)))
    assert not _same(steered, _run(small_job, ball, tiny_prior))


def test_rows_are_counted_and_asserted(small_job, ball, tiny_prior, monkeypatch):
    from backend.distill.sds import SDS

    monkeypatch.setattr(SDS, "rows", lambda self, parameters, t: 3)
    with pytest.raises(AssertionError, match="declared 12 denoiser rows and used 8"):
        _run(small_job, ball, tiny_prior)


def test_one_encode_and_one_denoiser_call_a_step_and_no_decode(small_job, ball, tiny_prior):
    spy = SpyPrior(tiny_prior)
    _run(small_job, ball, spy)
    assert (spy.encodes, spy.calls, spy.decodes) == (20 + 1, 20 + 2, 0)  # the estimate looks once and asks twice


def test_colours_meet_the_encoder_the_preview_and_the_texture_with_the_same_bytes(small_job, ball, tiny_prior):
    """A field of one linear colour: the same display value everywhere."""
    subject = prepare(small_job, Inputs(sketch=ball), torch.device("cpu"))
    with torch.no_grad():
        subject.field.output.zero_()
        subject.field.output_bias.fill_(math.log(0.2 / 0.8))
    studio = Studio(choose_rasterizer("auto", "cpu"), tiny_prior.card, tiny_prior.image_size_px, torch.device("cpu"))
    stage = Stage(name="look", shading=Shading(albedo=1.0))
    views = draw_viewpoints(tiny_prior.card.camera, tiny_prior.card.light, tiny_prior.card.background, stage, 0, 0)
    cameras = studio.cameras(subject, views)
    picture = studio.picture(subject, views, cameras, studio.raster(subject.still(), cameras, 1), 1, learn_colour=False)
    expected = round(255 * (1.055 * 0.2 ** (1 / 2.4) - 0.055))
    assert (picture[:, :, 8, 8] * 255).round().unique().tolist() == [expected]
    assert np.unique(subject.scene_mesh()[2]).tolist() == [expected]
    assert np.unique(export_asset(subject, studio, small_job, None, lambda: False).base_colour).tolist() == [expected]


def test_keep_mask_pins_shape_and_colour(small_job, ball, tiny_prior):
    """The lower half is kept: its first and last extraction agree bit for bit, and so do its colours; the upper half moves."""
    keep = (ball.vertices[:, 2] < ball.vertices[:, 2].mean()).astype(np.float32)
    subject = prepare(small_job, Inputs(sketch=ball, keep=keep), torch.device("cpu"))
    before = subject.still()
    seen = {}

    def listen(event):
        if isinstance(event, Preview):
            seen[event.step] = event

    job = msgspec.structs.replace(small_job, preview_every=20)
    refine(job, Inputs(sketch=ball, keep=keep), prior=tiny_prior, listen=listen)
    first, last = seen[0], seen[20]
    middle = float(ball.vertices[:, 2].mean())
    low = {tuple(v) for v in first.vertices if v[2] < middle - 0.05}
    held = {tuple(v): tuple(c) for v, c in zip(last.vertices, last.colours, strict=True)}
    assert len(low) > 100
    assert all(v in held for v in low)
    start = {tuple(v): tuple(c) for v, c in zip(first.vertices, first.colours, strict=True)}
    assert all(held[v] == start[v] for v in low)
    high = {tuple(v) for v in first.vertices if v[2] > middle + 0.15}
    assert sum(v not in held for v in high) > 0.9 * len(high)
    assert len(before.faces)


def test_non_finite_numbers_stop_the_run_and_the_last_good_state_is_exported(small_job, ball, tiny_prior, tmp_path):
    spy = SpyPrior(tiny_prior, poison_from=14 + 2)
    with pytest.raises(NumericalError, match=r"'bridge' .* step 2 of stage 'bridge' \(t = "):
        _run(small_job, ball, spy, out=tmp_path)
    assert (tmp_path / "last_good" / "asset.glb").exists()


def test_unknown_words_are_named(small_job, ball, tiny_prior):
    notes = []
    job = msgspec.structs.replace(small_job, prompt="a red zebra", stages=())
    job = msgspec.structs.replace(job, steps=0)
    _run(job, ball, tiny_prior, listen=lambda event: notes.append(event) if isinstance(event, Note) else None)
    assert any(note.level == "warning" and "zebra" in note.text for note in notes)


def test_result_lies_where_the_sketch_lay(small_job, ball, tiny_prior):
    result = _run(small_job, ball, tiny_prior)
    centre = (result.exported.vertices.min(0) + result.exported.vertices.max(0)) / 2
    assert np.allclose(centre, [2.0, -1.0, 5.0], atol=0.06)
    assert np.allclose(np.ptp(result.exported.vertices, axis=0), 0.6, atol=0.12)
