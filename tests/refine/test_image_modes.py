"""Pictures under distillation: one from words, one from a painting, and the two of an illusion."""

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from backend.distill import methods
from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.prompts import PromptBank
from backend.distill.schedules import Schedule, draw_timesteps
from backend.errors import NumericalError, UserError
from backend.priors.card import PriorCard
from backend.priors.counting import CountingPrior
from backend.refine import steering
from backend.refine.checkpoint import read_checkpoint
from backend.refine.control import Control
from backend.refine.events import Note, Preview
from backend.refine.inputs import Inputs
from backend.refine.picture_workpiece import PictureWorkpiece
from backend.refine.resolve import resolve
from backend.refine.run import refine
from backend.refine.seeds import generator
from backend.refine.texts import texts_of
from protocol.job import Canvas, RefineJob, Stage, Steer, Timesteps
from tests.priors.spy import SpyPrior
from tests.refine.test_methods import SHORT, WITH_CRITIC, _assert_same
from tests.refine.test_run import at_step

CARD = PriorCard(name="some")
KINDS = ("latent", "pixels", "fourier")
FOUR = ("a red mug", "a blue mug", "a mug", "a red view")
PAINTING = np.random.default_rng(5).integers(0, 256, (20, 20, 3), dtype=np.uint8)


def _job(kind="latent", steps=6, method="sds", **settings):
    stage = Stage(name="motif", method=method, steps=steps, views=2, timesteps=Timesteps(high=(0.9, 0.5)), parameters=SHORT.get(method, {}))
    plain = {"prompt": "a red mug", "mode": "image", "canvas": Canvas(kind=kind), "stages": (stage,)}
    return RefineJob(**{**plain, "preview_every": 0, "checkpoint_every": 0, **settings})


def _illusion(kind="fourier", **settings):
    return _job(kind, **{"prompt": "", "prompts": FOUR, "mode": "illusion", **settings})


def _run(job, prior, picture=None, **options):
    return refine(job, Inputs(picture=picture), prior=prior, **options)


def _workpiece(job, prior, picture=None):
    return PictureWorkpiece(resolve(job, prior.card), picture, CountingPrior(prior))


def test_a_step_on_latents_is_adam_on_the_gradient_of_sds(tiny_prior):
    """By hand: two noises, guidance of the card, the mean of both gradients; the first step of Adam is the rate times the sign."""
    job = resolve(_job(steps=100), tiny_prior.card)
    piece = _workpiece(job, tiny_prior)
    before = piece.canvas.values.detach().clone()
    stepper = piece.stepper(job.stages[0], 0)
    report = stepper.step(0, texts_of(job, job.prompt, job.stages, tiny_prior), averages=False)

    method = methods.method("sds")
    parameters = stepper.distillation.parameters
    t = draw_timesteps(Schedule.of("window", (0.02, 0.02), (0.9, 0.5)), 0, 100, 2, tiny_prior.timesteps, generator(0, "timesteps", 0))
    assert torch.equal(report.t, t)
    noise = torch.randn(2, *tiny_prior.latent_shape, generator=generator(0, "noise", 0))
    bank = PromptBank(tiny_prior, "a red mug", method.roles(parameters), words=[])
    both = before.expand(2, -1, -1, -1)
    expected = method.gradient(
        tiny_prior, both, t, {"noise": noise}, bank.conditions(["", ""]), None, parameters, MethodState(step=0, steps=100)
    ).gradient.mean(0, keepdim=True)
    torch.testing.assert_close(piece.canvas.values.grad, expected)
    rate = tiny_prior.card.picture_rate / 20  # the first of twenty steps of warming up
    torch.testing.assert_close(piece.canvas.values.detach(), before - rate * expected.sign(), atol=1e-6, rtol=0)


def test_latents_are_never_encoded_and_other_canvases_once_a_step(tiny_prior):
    for kind, encodes in (("latent", 0), ("pixels", 6 + 1), ("fourier", 6 + 1)):  # the estimate looks once
        spy = SpyPrior(tiny_prior)
        _run(_job(kind), spy)
        assert (spy.encodes, spy.calls) == (encodes, 6 + 2)
        assert all(len(picture) == 1 for picture in spy.seen)


@pytest.mark.parametrize("job", [*map(_job, KINDS), _illusion("pixels"), _illusion()], ids=[*KINDS, "illusion-pixels", "illusion-fourier"])
def test_a_stopped_run_goes_on_bit_for_bit(job, tiny_prior, tmp_path):
    whole = _run(job, tiny_prior, out=tmp_path / "whole")
    again = _run(job, tiny_prior)
    control = Control()
    at_step(control, 3, control.pause)
    paused = _run(job, tiny_prior, out=tmp_path / "parts", control=control)
    assert (paused.outcome, paused.steps_done) == ("paused", 3)
    resumed = refine(RefineJob(prompt="ignored"), Inputs(), prior=tiny_prior, out=tmp_path / "parts", resume=True)
    assert (resumed.outcome, resumed.rows) == ("done", whole.rows)
    for name, pictures in whole.exported.pictures.items():
        assert np.array_equal(pictures, resumed.exported.pictures[name]) and np.array_equal(pictures, again.exported.pictures[name])
    assert (tmp_path / "whole" / "asset.glb").read_bytes() == (tmp_path / "parts" / "asset.glb").read_bytes()


@pytest.mark.parametrize(("method", "settings"), [*((name, {}) for name in METHODS), *WITH_CRITIC[2:], ("cfd", {"drift": 0.1})])
def test_every_gradient_works_on_a_painting_and_goes_on(method, settings, tiny_prior, tmp_path):
    """Rows are asserted by the run; critic and the picture's own noise included."""
    job = _job(method=method, steps=3, domain="side")
    stage = msgspec.structs.replace(job.stages[0], parameters={**job.stages[0].parameters, **settings})
    job = msgspec.structs.replace(job, stages=(stage,))

    def until(step, folder, resume=False):
        control = Control()
        at_step(control, step, control.pause)
        result = _run(job, tiny_prior, PAINTING, out=folder, control=control, resume=resume)
        assert result.steps_done == step
        return read_checkpoint(folder / "checkpoint.pt", torch.device("cpu"))

    whole = until(2, tmp_path / "whole")
    until(1, tmp_path / "parts")
    parts = until(2, tmp_path / "parts", resume=True)
    for part in ("subject", "descent", "rows"):
        _assert_same(whole[part], parts[part], part)


@pytest.mark.long
@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if not each.uses_reference])
def test_every_gradient_without_a_reference_works_on_an_illusion(method, tiny_prior):
    job = _illusion("pixels", method=method, steps=1)
    assert _run(job, tiny_prior).exported.pictures["overlays"].shape == (4, 16, 16, 3)


def test_rows_are_asserted(tiny_prior, monkeypatch):
    monkeypatch.setattr(type(METHODS["sds"]), "rows", lambda self, parameters, t: 3)
    with pytest.raises(AssertionError, match="declared 6 denoiser rows and used 4"):
        _run(_job(), tiny_prior)


def test_a_painting_is_where_latents_begin_and_what_dds_compares_with(tiny_prior):
    piece = _workpiece(_job(), tiny_prior, PAINTING)
    given = tiny_prior.encode(piece.given)
    assert torch.equal(piece.canvas.values.detach(), given)
    piece.canvas.values.data += 1.0
    assert torch.equal(piece._look(2, 0).reference(), given.expand(2, -1, -1, -1))
    for kind in ("pixels", "fourier"):
        piece = _workpiece(_job(kind), tiny_prior, np.full((16, 16, 3), (200, 40, 90), np.uint8))
        if piece.wants_start(()):
            piece.start((), lambda: False)
        assert (piece.canvas.pictures() - piece.given).abs().max() < 0.02


def test_a_picture_begins_the_preset_for_pictures(tiny_prior):
    painted = resolve(RefineJob(prompt="a mug", mode="image", sketch="a.png", domain="painting"), CARD)
    assert [stage.method for stage in painted.stages] == ["bridge"]
    assert [stage.method for stage in resolve(RefineJob(prompt="a mug", mode="image"), CARD).stages] == ["sds", "bridge"]
    result = _run(RefineJob(prompt="a red mug", mode="image", steps=1, preview_every=0), tiny_prior, PAINTING)  # handed over, not named
    assert [stage.name for stage in result.ran] == ["edit"]
    assert result.exported.pictures["given"].shape == (1, 16, 16, 3) and result.facts["change"] >= 0
    assert resolve(painted, CARD) == painted


def test_files_and_previews_are_an_upright_plane(tiny_prior, tmp_path):
    told = []
    result = _run(_job(preview_every=3), tiny_prior, out=tmp_path, listen=told.append)
    assert {path.name for path in tmp_path.iterdir()} == {"asset.glb", "picture.png", "sheet.png"}
    picture = result.exported.pictures["picture"][0]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), picture)
    previews = [event for event in told if isinstance(event, Preview)]
    assert [preview.step for preview in previews] == [0, 3, 6]
    assert np.array_equal(previews[-1].colours.reshape(16, 16, 3), picture) and np.array_equal(previews[-1].picture, picture)
    assert any(isinstance(event, Note) and "will take about" in event.text for event in told)


def test_an_illusion_leaves_both_pictures_and_four_overlays(tiny_prior, tmp_path):
    result = _run(_illusion(), tiny_prior, out=tmp_path)
    names = {"base.png", "rotator.png", *(f"overlay_{k}.png" for k in range(4)), "asset.glb", "sheet.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert {name: len(each) for name, each in result.exported.pictures.items()} == {"base": 1, "rotator": 1, "overlays": 4}
    assert result.exported.base_colour.shape == (32, 64, 3)
    assert result.job.prompt == " | ".join(FOUR)


def test_steering_takes_one_prompt_or_four(tiny_prior, monkeypatch):
    monkeypatch.setattr(steering, "STEERED_STEPS", 2)
    for job, prompt, said in ((_job(), "a blue mug", ""), (_illusion(), " | ".join(FOUR[::-1]), ""), (_illusion(), "a mug", "has 1")):
        control = Control()
        at_step(control, 3, lambda control=control, prompt=prompt: control.steer(Steer(prompt=prompt)))
        result = _run(job, tiny_prior, control=control)
        assert len(result.journal) == 1
        assert any(said in note for note in result.notes) if said else [stage.steps for stage in result.ran] == [3, 3]
        replayed = _run(result.job, tiny_prior, control=Control(result.journal))
        assert np.array_equal(result.exported.base_colour, replayed.exported.base_colour)


def test_numbers_that_are_not_finite_stop_with_a_sentence_and_the_last_good_picture(tiny_prior, tmp_path):
    job = _job(steps=60)
    with pytest.raises(NumericalError, match=r"'sds' gave numbers that are not finite at step 40 of stage 'motif'.*last_good"):
        _run(job, SpyPrior(tiny_prior, poison_from=40 + 2), out=tmp_path)
    assert (tmp_path / "last_good" / "picture.png").is_file()


def test_one_colour_is_no_picture(tiny_prior):
    piece = _workpiece(_job("pixels"), tiny_prior)
    piece.check(Stage(name="motif"), 1)
    piece.canvas.values.data.fill_(0.5)
    with pytest.raises(NumericalError, match="single colour"):
        piece.check(Stage(name="motif"), 1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mode": "sketch"}, "Mode 'sketch' has no canvas"),
        ({"prompts": FOUR}, "takes one prompt"),
        ({"mode": "illusion", "prompts": FOUR[:3], "canvas": None}, "needs 4 prompts, one for each quarter turn, but 3 were given"),
        ({"mode": "illusion", "prompts": (*FOUR[:3], " "), "canvas": None}, "number 4 is empty"),
        ({"mode": "illusion", "prompts": (*FOUR[:3], "a|b"), "canvas": None}, "sign '|'"),
        ({"mode": "illusion", "prompts": FOUR, "canvas": Canvas(kind="latent")}, "cannot consist of latents"),
        ({"mode": "illusion", "prompts": FOUR, "canvas": None, "sketch": "a.png"}, "takes no file"),
        ({"mode": "illusion", "prompts": FOUR, "canvas": None, "method": "dds"}, "edits a given picture, and an illusion"),
        ({"method": "dds"}, "edits a given picture, and none was given"),
        ({"method": "sds", "parameters": {"perp_neg": True}}, "Perp-Neg needs views"),
        ({"preset": "edit"}, "starts from a picture, and there is none"),
        ({"preset": "lose"}, "no preset 'lose'"),
        ({"debias": "bert"}, "no views"),
        ({"keep": "_KEEP"}, "cannot keep parts"),
        ({"prompt": " "}, "prompt is empty"),
        ({"stages": (Stage(name="a", optimise="both"),)}, "a picture has none"),
        ({"stages": (Stage(name="a", method="sds", image_loss=1.0),)}, "canvas of latents"),
    ],
)
def test_what_pictures_cannot_have_is_one_sentence(settings, told):
    with pytest.raises(UserError) as error:
        resolve(RefineJob(**{"prompt": "a mug", "mode": "image", "canvas": Canvas(), **settings}), CARD)
    assert told in str(error.value) and error.value.hint and "\n" not in str(error.value)


def test_a_named_picture_must_come_with_the_job(tiny_prior):
    with pytest.raises(UserError, match=r"'a.png' was not handed over"):
        _run(_job(sketch="a.png"), tiny_prior)


def test_a_loss_on_pictures_reaches_the_pixels(tiny_prior):
    plain = _job("pixels")
    held = msgspec.structs.replace(plain, stages=(msgspec.structs.replace(plain.stages[0], image_loss=0.1),))
    assert not np.array_equal(*(_run(job, tiny_prior).exported.base_colour for job in (plain, held)))
