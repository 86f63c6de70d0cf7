"""Every gradient in a whole run: it counts what it declares, goes on bit for bit after a stop, and stops where numbers fail."""

import copy
import dataclasses

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from backend.assets.mesh import PolygonMesh
from backend.distill.methods import METHODS
from backend.distill.parameters import PARAMETERS
from backend.distill.read_parameters import parse_parameters
from backend.errors import NumericalError, UserError
from backend.priors.card import PriorCard
from backend.priors.counting import CountingPrior
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.exemplar import ExemplarPrior
from backend.refine import steering
from backend.refine.checkpoint import read_checkpoint
from backend.refine.control import Control
from backend.refine.events import Note, Progress
from backend.refine.inputs import Inputs
from backend.refine.resolve import resolve
from backend.refine.run import refine
from protocol.job import Budget, RefineJob, Stage, Steer, Timesteps
from tests.priors.tiny import write_tiny_folder
from tests.refine.test_run import _run, _same, at_step

SHORT = {"pfd": {"steps": 3, "inversion_steps": 3}, "dual_bridge": {"steps": 3}, "sdi": {"stride": 400}, "jsd": {"stride": 400}}
"""Fewer denoiser steps where many would only cost time here."""
WITH_CRITIC = [("vsd", {}), ("esd", {}), ("jsd", {"form": "non_saturating"})]


@pytest.fixture
def job(small_job):
    """Three steps on shape and colour, then three on colour from cached views; checkpoints when it is paused."""
    stages = (msgspec.structs.replace(small_job.stages[0], steps=3), msgspec.structs.replace(small_job.stages[1], steps=3, method="sds"))
    return msgspec.structs.replace(small_job, stages=stages, budget=Budget(faces=200, texture_px=64))


@pytest.fixture
def ball(ball):
    """Without colours: fitting them to a field would take longer than the steps, and test_run has them."""
    return dataclasses.replace(ball, colours=None)


@pytest.fixture(scope="module")
def priors(tmp_path_factory):
    """The tiny model by the precision of its networks."""
    folder = write_tiny_folder(tmp_path_factory.mktemp("tiny"))
    return {dtype: DiffusersPrior.load(folder, dtype=dtype) for dtype in DTYPES}


@pytest.fixture
def exemplars(tmp_path):
    """A prior without a network."""
    folder = tmp_path / "mugs"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8), (200, 50 * number, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red mug, front view")
    return ExemplarPrior.load(folder)


def judged_by(job, method, **settings):
    settings = {**SHORT.get(method, {}), **settings}
    return msgspec.structs.replace(job, stages=tuple(_with(stage, method, settings) for stage in job.stages))


def _with(stage, method, settings):
    return msgspec.structs.replace(stage, method=method, parameters=settings)


STOPPED = [*((name, {}, 4) for name in METHODS), *((name, settings, 2) for name, settings in WITH_CRITIC), ("cfd", {"drift": 0.1}, 2)]


@pytest.mark.parametrize(("method", "settings", "at"), STOPPED)
def test_a_run_that_was_stopped_goes_on_bit_for_bit(method, settings, at, job, ball, tiny_prior, tmp_path):
    """Stopped in the first stage (2) or in the second (4), critic, optimisers and the object's noise included."""
    _goes_on(judged_by(job, method, **settings), at, ball, tiny_prior, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(("method", "settings"), [*((name, {}) for name in METHODS), *WITH_CRITIC[2:]])
def test_ten_and_ten_steps_are_twenty(method, settings, job, ball, tiny_prior, tmp_path):
    """One stage of shape and colour, stopped in its middle."""
    stage = msgspec.structs.replace(job.stages[0], steps=20)
    _goes_on(judged_by(msgspec.structs.replace(job, stages=(stage,)), method, **settings), 10, ball, tiny_prior, tmp_path)


def _goes_on(asked, at, ball, prior, out):
    """The states just before the last step are equal: shape, colours, optimisers, critic, noise."""
    last = sum(stage.steps for stage in asked.stages) - 1

    def until(step, folder, **options):
        control = Control()
        at_step(control, step, control.pause)
        result = refine(asked, Inputs(sketch=ball), prior=prior, out=folder, control=control, **options)
        assert (result.outcome, result.steps_done) == ("paused", step)
        return result.rows, read_checkpoint(folder / "checkpoint.pt", torch.device("cpu"))

    whole_rows, whole = until(last, out / "whole")
    until(at, out / "parts")
    rows, parts = until(last, out / "parts", resume=True)
    assert rows == whole_rows
    for part in ("subject", "descent"):
        _assert_same(whole[part], parts[part], part)


def _assert_same(a, b, where):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            _assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for k, pair in enumerate(zip(a, b, strict=True)):
            _assert_same(*pair, f"{where}[{k}]")
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, where


OF_EVERY_KIND = ("sds", "vsd", "cfd", "pfd")
"""Without anything of its own, with a critic, with a noise of the object, with solvers."""


@pytest.mark.parametrize("method", [name if name in OF_EVERY_KIND else pytest.param(name, marks=pytest.mark.long) for name in METHODS])
def test_texture_mode_leaves_the_shape_alone(method, job, ball, tiny_prior):
    polygons = PolygonMesh(ball.vertices, ball.faces.reshape(-1).astype("int64"), 3 * torch.arange(len(ball.faces) + 1).numpy())
    asked = msgspec.structs.replace(judged_by(job, method), mode="texture", stages=judged_by(job, method).stages[1:])
    result = refine(asked, Inputs(polygons=polygons), prior=tiny_prior)
    assert result.outcome == "done" and result.steps_done == 3
    assert result.rows > 0
    assert np.allclose(result.exported.vertices, polygons.vertices, atol=1e-6)


def test_a_run_that_goes_on_estimates_what_is_left(job, ball, tiny_prior, tmp_path):
    control, told = Control(), []
    at_step(control, 4, control.pause)
    _run(job, ball, tiny_prior, out=tmp_path, control=control)
    refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True, listen=told.append)
    assert any(isinstance(event, Note) and event.text.startswith("What is left of the run, 2 steps, will take about") for event in told)


@pytest.mark.parametrize(("method", "settings"), [("vsd", {}), ("pfd", {}), ("sds", {"perp_neg": True})])
def test_a_new_prompt_under_one_method_goes_on_bit_for_bit(method, settings, job, ball, tiny_prior, tmp_path, monkeypatch):
    """Steered in the first stage, stopped in the stage that this puts in: the method, its texts and its critic are the new prompt's."""
    monkeypatch.setattr(steering, "STEERED_STEPS", 4)
    asked = judged_by(job, method, **settings)

    def steered():
        control = Control()
        at_step(control, 2, lambda: control.steer(Steer(prompt="a blue mug")))
        return control

    whole = _run(asked, ball, tiny_prior, control=steered())
    stopped = steered()
    at_step(stopped, 4, stopped.pause)
    assert _run(asked, ball, tiny_prior, out=tmp_path, control=stopped).outcome == "paused"
    resumed = refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path, resume=True)
    assert _same(whole, resumed) and whole.rows == resumed.rows
    assert {stage.method for stage in whole.ran} == {method} and "steered" in {stage.name for stage in whole.ran}


def test_a_late_stage_with_a_critic_is_refused_before_the_first_step(job, ball, exemplars):
    late = msgspec.structs.replace(job, stages=(job.stages[0], _with(job.stages[1], "vsd", {})))
    told = []
    with pytest.raises(UserError, match="prior 'mugs' has none"):
        _run(late, ball, exemplars, listen=told.append)
    assert not any(isinstance(event, Progress) for event in told)


def test_perp_neg_on_a_symmetric_object_is_told(job, ball, tiny_prior):
    def notes(**changes):
        asked = msgspec.structs.replace(judged_by(job, "sds", **changes), symmetric=True, steps=1)
        return _run(asked, ball, tiny_prior).notes

    assert any("only costs time" in note for note in notes(perp_neg=True))
    assert not any("only costs time" in note for note in notes())


@pytest.mark.parametrize(("method", "settings"), WITH_CRITIC)
def test_a_critic_leaves_the_prior_as_it_was_and_its_rows_count(method, settings, job, ball, tiny_prior):
    before = copy.deepcopy(tiny_prior.unet.state_dict())
    result = _run(judged_by(job, method, **settings), ball, tiny_prior)
    assert result.rows == 6 * 4 * {"vsd": 3, "esd": 4, "jsd": 3}[method]
    after = tiny_prior.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(weight.requires_grad and weight.grad is not None for weight in tiny_prior.unet.parameters())


DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SPOILT = [*((name, DTYPES[k % 3]) for k, name in enumerate(METHODS)), *(("pfd", dtype) for dtype in DTYPES), ("vsd", torch.float16)]


@pytest.mark.parametrize(("method", "dtype"), list(dict.fromkeys(SPOILT)))
def test_one_sample_that_is_not_a_number_stops_the_run(method, dtype, job, ball, priors):
    """From the first step on the network gives NaN for one row; what a later one leaves is asked in test_run."""
    prior = priors[dtype]
    armed = []

    def spoil(module, inputs, output):
        if armed:
            sample = output.sample.clone()
            sample[-1] = torch.nan
            return type(output)(sample=sample)
        return output

    handle = prior.unet.register_forward_hook(spoil)
    control = Control()
    at_step(control, 0, lambda: armed.append(True))
    try:
        with pytest.raises(NumericalError, match=rf"'{method}' .* step 0 of stage 'shape' \(t = \d+"):
            _run(judged_by(job, method), ball, prior, control=control)
    finally:
        handle.remove()


def test_the_estimate_names_this_run_and_the_whole_preset(small_job, ball, tiny_prior):
    told = []
    _run(small_job, ball, tiny_prior, listen=told.append)
    assert any(isinstance(event, Note) and event.text.startswith("This run of 20 steps will take about") for event in told)
    told.clear()
    scaled = msgspec.structs.replace(small_job, steps=4)
    counting = CountingPrior(tiny_prior)
    result = _run(scaled, ball, counting, listen=told.append)
    assert any("These 4 steps will take about" in event.text and "all 20 of" in event.text for event in told if isinstance(event, Note))
    assert not any("will take about" in note for note in result.notes)  # another number each time: not in the report


def test_the_estimate_is_near_the_truth_for_rows(small_job, tiny_prior):
    from backend.refine.estimate import rows_of

    stage = Stage(name="s", method="sds", steps=10, views=4, timesteps=Timesteps())
    assert rows_of(stage, CountingPrior(tiny_prior)) == 10 * 4 * 2
    pfd = Stage(name="s", method="pfd", steps=10, views=2, timesteps=Timesteps(kind="pfd"), parameters={"steps": 5, "inversion_steps": 5})
    assert rows_of(pfd, CountingPrior(tiny_prior)) == 10 * 2 * 20


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.first_stage])
def test_editing_needs_no_stage_before(name):
    first = METHODS[name].first_stage
    plain = resolve(RefineJob(prompt="a mug", method=name), PriorCard())
    assert [stage.method for stage in plain.stages].count(first) >= 1
    editing = resolve(RefineJob(prompt="a mug", method=name, domain="painting"), PriorCard())
    assert {stage.method for stage in editing.stages} == {name}


def test_methods_bring_their_own_kind_of_noise_levels():
    for name, kind in (("sdi", "linear"), ("pfd", "pfd"), ("cfd", "linear"), ("vsd", "window")):
        assert {stage.timesteps.kind for stage in resolve(RefineJob(prompt="a mug", method=name), PriorCard()).stages} == {kind}


def test_a_loss_on_pictures_needs_a_clean_estimate(small_job, ball, tiny_prior):
    stage = msgspec.structs.replace(small_job.stages[1], image_loss=0.1, steps=2)
    with pytest.raises(UserError, match="loss on pictures, and the method 'bridge' has no clean estimate"):
        resolve(msgspec.structs.replace(small_job, stages=(stage,)), PriorCard())
    plain, pictures = (msgspec.structs.replace(stage, method="sds", image_loss=weight) for weight in (0.0, 10.0))
    runs = [_run(msgspec.structs.replace(small_job, stages=(each,)), ball, tiny_prior) for each in (plain, pictures)]
    assert not _same(*runs)


@pytest.mark.parametrize("clamp", [(-1.0, 0.1), (1.0, 0.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_a_clamp_that_is_no_bound_is_refused(clamp, small_job):
    stage = msgspec.structs.replace(small_job.stages[0], clamp=clamp)
    with pytest.raises(UserError, match="two numbers above 0"):
        resolve(msgspec.structs.replace(small_job, stages=(stage,)), PriorCard())


def test_a_loss_on_pictures_is_a_number(small_job):
    stage = msgspec.structs.replace(small_job.stages[0], image_loss=float("nan"))
    with pytest.raises(UserError, match="loss on pictures by nan"):
        resolve(msgspec.structs.replace(small_job, stages=(stage,)), PriorCard())


def test_a_clamp_bounds_the_gradient(small_job, ball, tiny_prior):
    stage = msgspec.structs.replace(small_job.stages[1], method="sds", steps=2)
    clamped = msgspec.structs.replace(stage, clamp=(1e-4, 1e-4))
    runs = [_run(msgspec.structs.replace(small_job, stages=(each,)), ball, tiny_prior) for each in (stage, clamped)]
    assert not _same(*runs)


@pytest.mark.parametrize("name", METHODS)
def test_settings_of_the_card_are_within_the_settings_limits(name):
    assert isinstance(parse_parameters(name, {}, PriorCard()), PARAMETERS[name])


def test_source_prompt_and_domain_exclude_each_other():
    with pytest.raises(UserError, match=r"source prompt .* and a domain"):
        resolve(RefineJob(prompt="a mug", source_prompt="a drawing", domain="painting"), PriorCard())
