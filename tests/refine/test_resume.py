"""Runs that end in the middle, whatever the reason, and go on: nothing is lost, nothing counts twice."""

import msgspec
import numpy as np
import pytest

from backend.assets.mesh import PolygonMesh
from backend.errors import Cancelled, UserError
from backend.refine import steering
from backend.refine.control import Control
from backend.refine.events import Checkpointed, Note, Preview, Progress, Steered
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from protocol.job import Budget, JournalEntry, Steer
from tests.refine.test_run import _run, _same, at_step

WIDER = JournalEntry(2, Steer(slack=0.9))
BLUE = JournalEntry(5, Steer(prompt="a blue mug"))


class Killed(BaseException):
    """Ends a run as a power cut does: nobody cleans up."""


@pytest.fixture(autouse=True)
def short_steering(monkeypatch):
    monkeypatch.setattr(steering, "STEERED_STEPS", 4)


@pytest.fixture
def job(small_job):
    """10 steps, 6 on the shape and 4 of Bridge; checkpoints after 4, 8 and so on; a small asset, which is quick to unwrap."""
    return msgspec.structs.replace(small_job, steps=10, budget=Budget(faces=200, texture_px=64), checkpoint_every=4)


def _killed(job, ball, prior, out, control, step):
    def kill():
        raise Killed

    at_step(control, step, kill)
    with pytest.raises(Killed):
        _run(job, ball, prior, out=out, control=control)


def test_a_journal_longer_than_the_checkpoint_is_replayed_once(job, ball, tiny_prior, tmp_path):
    """Steered before step 2 and before step 5, killed before step 7: the checkpoint of step 4 knows of the first only."""
    whole = _run(job, ball, tiny_prior, control=Control((WIDER, BLUE)))
    told, control = [], Control()
    steer, take = {2: WIDER.command, 5: BLUE.command}, control.commands

    def commands(step):
        if step in steer:
            control.steer(steer.pop(step), tag=10 + step)
        return take(step)

    control.commands = commands
    at_step(control, 7, lambda: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        _run(job, ball, tiny_prior, out=tmp_path, control=control, listen=told.append)
    assert [event for event in told if isinstance(event, Steered | Checkpointed)] == [
        Steered(2, WIDER.command, "a red mug", tag=12),
        Checkpointed(4),
        Steered(5, BLUE.command, "a blue mug", tag=15),
    ]
    events = []
    resumed = refine(job, Inputs(), prior=tiny_prior, out=tmp_path, control=Control((WIDER, BLUE)), listen=events.append, resume=True)
    assert [event for event in events if isinstance(event, Steered)] == [Steered(5, BLUE.command, "a blue mug", replayed=True)]
    assert resumed.journal == whole.journal == (WIDER, BLUE)
    assert (resumed.ran, resumed.steps_done, resumed.rows) == (whole.ran, whole.steps_done, whole.rows)
    assert _same(whole, resumed)
    assert np.array_equal(whole.exported.welded_vertices, resumed.exported.welded_vertices)


def test_what_is_given_again_counts_once():
    """Of what is given, what the checkpoint has taken is left out and what it was still to replay is added, one for one."""
    again = JournalEntry(5, Steer(slack=0.1))
    control = Control((BLUE, WIDER, again, again))
    control.go_on(taken=(WIDER, again), pending=(BLUE, JournalEntry(3, WIDER.command)))
    assert control.pending == (JournalEntry(3, WIDER.command), BLUE, again)
    assert [command.replayed for command in control.commands(5)] == [True, True, True]
    assert control.pending == ()


def test_a_command_that_took_effect_unheard_is_told_and_not_repeated(job, ball, tiny_prior, tmp_path):
    """Its sender never heard that it holds, and sends it again with the resumed run."""
    control = Control()
    at_step(control, 2, lambda: control.steer(WIDER.command, tag=7))
    _killed(job, ball, tiny_prior, tmp_path, control, 6)
    again, events = Control(), []
    again.steer(WIDER.command, tag=7)
    at_step(again, 6, again.pause)
    resumed = refine(job, Inputs(), prior=tiny_prior, out=tmp_path, control=again, listen=events.append, resume=True)
    assert [event for event in events if isinstance(event, Steered)] == [Steered(2, WIDER.command, "a red mug", tag=7)]
    assert resumed.outcome == "paused" and resumed.journal == (WIDER,)


def test_other_weights_are_refused(job, ball, tiny_prior, tmp_path, monkeypatch):
    _killed(job, ball, tiny_prior, tmp_path, Control(), 6)
    monkeypatch.setattr(tiny_prior, "fingerprint", lambda: "other")
    with pytest.raises(UserError, match="other weights of the prior 'tiny'"):
        refine(job, Inputs(), prior=tiny_prior, out=tmp_path, resume=True)


@pytest.mark.parametrize("how", ["leave", "cancel"])
def test_an_export_can_be_given_up(job, ball, tiny_prior, tmp_path, how):
    """Left: no step is lost, since the last checkpoint was written after the last step. Cancelled: no asset."""
    control, events = Control(), []

    def listen(event):
        events.append(event)
        if isinstance(event, Progress) and event.phase == "export":
            getattr(control, how)()

    if how == "cancel":
        with pytest.raises(Cancelled):
            _run(job, ball, tiny_prior, out=tmp_path, control=control, listen=listen)
        assert not (tmp_path / "asset.glb").exists()
        return
    left = _run(job, ball, tiny_prior, out=tmp_path, control=control, listen=listen)
    assert left.outcome == "paused" and not (tmp_path / "asset.glb").exists()
    assert [event.step for event in events if isinstance(event, Checkpointed)] == [4, 8, 10]
    resumed = refine(job, Inputs(), prior=tiny_prior, out=tmp_path, resume=True)
    assert resumed.outcome == "done" and resumed.rows == left.rows
    assert _same(resumed, _run(job, ball, tiny_prior))


def test_stopping_before_the_first_stage_waits_for_nothing(job, ball, tiny_prior, tmp_path):
    """In the warm start: cancelled at once; paused with nothing to go on from, so that the run begins anew."""
    for stop, outcome in ((Control.cancel, "cancelled"), (Control.pause, "paused")):
        control, phases = Control(), []

        def listen(event, control=control, phases=phases, stop=stop):
            if isinstance(event, Progress):
                phases.append(event.phase)
                if event.phase == "warm start":
                    stop(control)

        try:
            result = _run(msgspec.structs.replace(job, warm_start=True), ball, tiny_prior, out=tmp_path, control=control, listen=listen)
            assert result.outcome == outcome and result.steps_done == 0
        except Cancelled:
            assert outcome == "cancelled"
        assert phases == ["start", "warm start"]
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_command_after_the_last_step_is_not_swallowed(job, ball, tiny_prior):
    control, notes = Control(), []

    def listen(event):
        if isinstance(event, Progress) and event.phase == "export":
            control.steer(BLUE.command)
        if isinstance(event, Note):
            notes.append(event)

    result = _run(msgspec.structs.replace(job, steps=2), ball, tiny_prior, control=control, listen=listen)
    assert notes[-1] == Note("The new prompt 'a blue mug' came too late: the last step had been taken.", "warning")
    assert notes[-1].text in result.notes and result.journal == ()


def test_previews_that_nobody_looks_at_are_not_made_and_change_nothing(job, ball, tiny_prior, tmp_path):
    control, seen = Control(), []
    control.previews = False
    shown = msgspec.structs.replace(job, preview_every=1, steps=3)
    blind = _run(shown, ball, tiny_prior, out=tmp_path, control=control, listen=seen.append)
    assert not any(isinstance(event, Preview) for event in seen)
    assert _same(blind, _run(shown, ball, tiny_prior))


def test_a_made_map_is_handed_out_and_a_given_one_is_not(job, ball, tiny_prior):
    job = msgspec.structs.replace(job, mode="texture", steps=0)
    loops = ball.faces.reshape(-1)
    starts = 3 * np.arange(len(ball.faces), dtype=np.int64)
    made = refine(job, Inputs(polygons=PolygonMesh(ball.vertices, loops, starts)), prior=tiny_prior).exported
    assert made.loop_uv.shape == (len(loops), 2) and np.isfinite(made.loop_uv).all()
    given = PolygonMesh(ball.vertices, loops, starts, {"UVMap": made.loop_uv}, "UVMap")
    assert refine(job, Inputs(polygons=given), prior=tiny_prior).exported.loop_uv is None


def test_steps_that_take_long_are_saved_by_the_clock(job, ball, tiny_prior, tmp_path, monkeypatch):
    """However seldom checkpoints come by the steps; and they change nothing."""
    job = msgspec.structs.replace(job, checkpoint_every=1000)
    whole = _run(job, ball, tiny_prior)
    monkeypatch.setattr("backend.refine.run.CHECKPOINT_S", 0.0)
    told, control = [], Control()
    at_step(control, 5, lambda: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        _run(job, ball, tiny_prior, out=tmp_path, control=control, listen=told.append)
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [1, 2, 3, 4, 5]
    resumed = refine(job, Inputs(), prior=tiny_prior, out=tmp_path, resume=True)
    assert (resumed.ran, resumed.steps_done, resumed.rows) == (whole.ran, whole.steps_done, whole.rows)
    assert _same(whole, resumed)
