"""Steering together with stopping, going on and repeating: whatever the order, job and journal are the run."""

import msgspec
import numpy as np
import pytest
import torch

from backend.assets.mesh import PolygonMesh, TriangleMesh
from backend.errors import NumericalError, UserError
from backend.refine import steering
from backend.refine.checkpoint import read_checkpoint
from backend.refine.control import Control
from backend.refine.events import Progress
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from protocol.job import Budget, JournalEntry, RefineJob, Steer
from tests.priors.spy import SpyPrior
from tests.refine.test_run import _run, _same, at_step

BLUE = Steer(prompt="a blue mug")


@pytest.fixture(autouse=True)
def short_steering(monkeypatch):
    monkeypatch.setattr(steering, "STEERED_STEPS", 4)


@pytest.fixture
def short_job(small_job):
    """As `small_job`, 10 steps: 6 on the shape, 4 of Bridge; a small asset, which is quick to unwrap."""
    return msgspec.structs.replace(small_job, steps=10, budget=Budget(faces=200, texture_px=64))


def _stopped_and_resumed(job, ball, prior, out, control):
    paused = _run(job, ball, prior, out=out, control=control)
    assert paused.outcome == "paused"
    return refine(RefineJob(prompt="ignored"), Inputs(), prior=prior, out=out, resume=True)


def test_a_steered_run_goes_on_from_its_checkpoint(short_job, ball, tiny_prior, tmp_path):
    whole = _run(short_job, ball, tiny_prior, control=Control((JournalEntry(3, BLUE),)))
    control = Control((JournalEntry(3, BLUE),))
    at_step(control, 5, control.pause)
    resumed = _stopped_and_resumed(short_job, ball, tiny_prior, tmp_path, control)
    assert _same(whole, resumed)
    assert (resumed.journal, resumed.ran, resumed.steps_done) == (whole.journal, whole.ran, whole.steps_done)
    assert resumed.rows == whole.rows


def test_commands_not_yet_replayed_survive_a_pause(short_job, ball, tiny_prior, tmp_path):
    whole = _run(short_job, ball, tiny_prior, control=Control((JournalEntry(4, BLUE),)))
    control = Control((JournalEntry(4, BLUE),))
    at_step(control, 2, control.pause)
    resumed = _stopped_and_resumed(short_job, ball, tiny_prior, tmp_path, control)
    assert resumed.journal == (JournalEntry(4, BLUE),)
    assert _same(whole, resumed)


def test_stopping_twice_changes_nothing(short_job, ball, tiny_prior, tmp_path):
    """Paused after the last step of a stage, then finished early (and exported) in the next, then run to the end."""
    whole = _run(short_job, ball, tiny_prior)
    first, second = Control(), Control()
    at_step(first, 6, first.pause)
    at_step(second, 8, second.finish_now)
    assert _run(short_job, ball, tiny_prior, out=tmp_path, control=first).outcome == "paused"

    def go_on(control=None):
        return refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True, control=control)

    assert go_on(second).outcome == "finished early"
    assert (tmp_path / "asset.glb").is_file()
    assert _same(whole, go_on())


def test_commands_that_come_together_all_count(short_job, ball, tiny_prior):
    """Two prompts and a slack between two steps: the last prompt is painted, the slack holds, and all three are in the journal."""
    control, commands = Control(), (Steer(prompt="a red mug, side"), Steer(slack=0.9), BLUE)
    at_step(control, 2, lambda: [control.steer(command) for command in commands])
    progress = []
    steered = _run(short_job, ball, tiny_prior, control=control, listen=lambda e: progress.append(e) if isinstance(e, Progress) else None)
    assert steered.journal == tuple(JournalEntry(2, command) for command in commands)
    assert [(stage.name, stage.steps) for stage in steered.ran] == [("shape", 2), ("steered", 4), ("bridge", 4)]
    assert progress[-1].step == progress[-1].steps == steered.steps_done == 10
    assert _same(steered, _run(steered.job, ball, tiny_prior, control=Control(steered.journal)))


def test_steering_does_not_bury_numbers_that_are_not_finite(short_job, ball, tiny_prior, tmp_path):
    control = Control()
    at_step(control, 5, lambda: control.steer(BLUE))
    with pytest.raises(NumericalError, match="step 3 of stage 'shape'"):
        _run(short_job, ball, SpyPrior(tiny_prior, poison_from=3 + 2), out=tmp_path, control=control)


def test_a_checkpoint_is_never_written_after_numbers_that_are_not_finite(short_job, ball, tiny_prior, tmp_path):
    job = msgspec.structs.replace(short_job, checkpoint_every=2, preview_every=0)
    (tmp_path / "asset.glb").write_bytes(b"the asset of yesterday")
    with pytest.raises(NumericalError, match="last_good"):
        _run(job, ball, SpyPrior(tiny_prior, poison_from=3 + 2), out=tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.pt", torch.device("cpu"))["done"] == 2
    assert (tmp_path / "asset.glb").read_bytes() == b"the asset of yesterday"
    assert (tmp_path / "last_good" / "asset.glb").is_file()


def test_a_device_named_when_going_on_replaces_the_old_one(short_job, ball, tiny_prior, tmp_path):
    control = Control()
    at_step(control, 2, control.pause)
    _run(short_job, ball, tiny_prior, out=tmp_path, control=control)
    with pytest.raises(UserError, match="toaster"):
        refine(RefineJob(prompt="x", device="toaster"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True)


def test_texture_mode_can_be_steered(short_job, ball, tiny_prior):
    polygons = PolygonMesh(ball.vertices, ball.faces.reshape(-1), 3 * np.arange(len(ball.faces), dtype=np.int64))
    control = Control()
    at_step(control, 3, lambda: control.steer(Steer(prompt="a blue mug", slack=0.5)))
    result = refine(msgspec.structs.replace(short_job, mode="texture"), Inputs(polygons=polygons), prior=tiny_prior, control=control)
    assert result.outcome == "done" and result.steps_done == sum(stage.steps for stage in result.ran)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_keep_masks_of_nothing_and_of_everything(short_job, ball, tiny_prior, value):
    keep = np.full(len(ball.vertices), value, np.float32)
    result = refine(short_job, Inputs(sketch=ball, keep=keep), prior=tiny_prior)
    assert result.outcome == "done" and np.isfinite(result.exported.vertices).all()


def test_a_keep_mask_of_another_length_is_refused(short_job, ball, tiny_prior):
    with pytest.raises(UserError, match="3 values for 642 vertices"):
        refine(short_job, Inputs(sketch=ball, keep=np.ones(3, np.float32)), prior=tiny_prior)


def test_one_step_and_the_smallest_budget(small_job, ball, tiny_prior):
    job = msgspec.structs.replace(small_job, stages=(), steps=1, budget=Budget(faces=100, texture_px=64))
    result = _run(job, ball, tiny_prior)
    assert result.steps_done == 1 and len(result.exported.faces) <= 100


def test_a_single_coloured_vertex_colours_no_face(short_job, ball, tiny_prior):
    colours = np.full_like(ball.vertices, np.nan)
    colours[0] = 1.0
    spotted = TriangleMesh(ball.vertices, ball.faces, colours=colours)
    assert refine(msgspec.structs.replace(short_job, steps=0), Inputs(sketch=spotted), prior=tiny_prior).outcome == "done"
