"""Overlays, canvases and planes by themselves."""

import numpy as np
import pytest
import torch

from backend.priors.counting import CountingPrior
from backend.refine.canvas import FourierCanvas, PixelCanvas, square
from backend.refine.overlays import Clip, draw_turns, overlay
from backend.refine.picture_look import PictureNoise
from backend.refine.picture_workpiece import PictureWorkpiece
from backend.refine.plane import MOST_VERTICES, grid, quad
from backend.refine.resolve import resolve
from backend.refine.texts import texts_of
from protocol.job import Canvas, RefineJob

FOUR = ("a red mug", "a blue mug", "a mug", "a red view")


def _illusion(prior, kind="pixels"):
    job = resolve(RefineJob(prompt="", prompts=FOUR, mode="illusion", canvas=Canvas(kind=kind)), prior.card)
    return job, PictureWorkpiece(job, None, CountingPrior(prior))


def test_four_quarter_turns_are_the_identity_and_one_goes_counter_clockwise():
    base, rotator = torch.rand(2, 3, 6, 6)
    assert torch.equal(overlay(base, rotator, 4, 2.0), overlay(base, rotator, 0, 2.0))
    turned = rotator
    for turn in range(4):
        assert torch.equal(overlay(base, rotator, turn, 2.0), (2.0 * base * turned).clamp(0, 1))
        turned = torch.rot90(turned, 1, (1, 2))
    mark = torch.zeros(3, 6, 6)
    mark[:, 0, 5] = 1.0  # top right, which a quarter turn counter-clockwise brings to the top left
    assert overlay(torch.ones(3, 6, 6), mark, 1, 1.0)[:, 0, 0].tolist() == [1.0, 1.0, 1.0]


def test_what_was_clipped_can_come_back():
    values = torch.tensor([1.5, 1.5, 0.5, -0.5, -0.5], requires_grad=True)
    Clip.apply(values).backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert Clip.apply(values).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert values.grad.tolist() == [1.0, 0.0, 1.0, 0.0, -1.0]


def test_the_gradient_of_pixels_has_no_grid_and_keeps_its_sum(tiny_prior):
    canvas = PixelCanvas(tiny_prior, 0, 1)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    (canvas.pictures() * ((rows + columns) % 2 * 2 - 1)).sum().backward()
    assert float(canvas.values.grad[..., 2:-2, 2:-2].abs().max()) < 1e-6
    canvas.values.grad = None
    canvas.pictures()[0, 1, 8, 8].backward()
    assert float(canvas.values.grad.sum()) == pytest.approx(1.0) and float(canvas.values.grad[0, 1, 8, 8]) == pytest.approx((6 / 16) ** 2)


@pytest.mark.parametrize("views", [1, 2, 4, 6])
def test_every_prompt_is_drawn_as_often_as_the_others(views):
    drawn = [draw_turns(views, 3, step) for step in range(4000 // views)]
    assert all(len(set(turns)) == min(views, 4) for turns in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=4)
    assert np.abs(counts / counts.sum() - 0.25).max() < 4 * (0.25 * 0.75 / 4000) ** 0.5
    assert draw_turns(views, 3, 7) == draw_turns(views, 3, 7)


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_the_gradient_of_one_overlay_reaches_both_pictures(kind, tiny_prior):
    _, piece = _illusion(tiny_prior, kind)
    look = piece._look(1, 0)
    look.latents.square().sum().backward()
    for parameter in piece.canvas.parameters():
        assert all(float(of_one.abs().max()) > 0 for of_one in parameter.grad)


def test_each_overlay_is_judged_by_its_own_prompt(tiny_prior):
    job, piece = _illusion(tiny_prior)
    texts = texts_of(job, job.prompt, job.stages, tiny_prior)
    look = next(look for step in range(20) if (look := piece._look(4, step)).which != [0, 1, 2, 3])
    conditions, _ = look.conditions(texts, away=False)
    for row, turn in enumerate(look.which):
        wanted = tiny_prior.embed([f"{FOUR[turn]}{tiny_prior.card.target_suffix}"]).text[0]
        torch.testing.assert_close(conditions["target"].text[row], wanted)
    assert len(conditions["null"]) == 1
    assert sorted(look.which) == [0, 1, 2, 3]


def test_the_noise_of_a_picture_stays_and_drifts():
    noise = PictureNoise(4, (6, 8, 8), 0, "noise", torch.device("cpu"))
    first = noise.values.clone()
    noise.drift(0.0, 1)
    assert torch.equal(noise.values, first)
    noise.drift(0.36, 1)
    left = noise.values - 0.8 * first
    assert abs(float(left.std()) - 0.6) < 0.03 and abs(float((left * first).mean())) < 0.05


def test_a_network_becomes_a_given_picture_and_stops_when_told(tiny_prior):
    canvas = FourierCanvas(tiny_prior, 0, 1, 2.0)
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    before = canvas.pictures().detach()
    canvas.fit(ramp, lambda: True)
    assert torch.equal(canvas.pictures(), before)
    canvas.fit(ramp, lambda: False)
    error = (canvas.pictures().detach() - ramp).square().mean()
    assert float(error) < 1e-3 < float((before - ramp).square().mean())


def test_the_middle_of_an_oblong_picture_is_taken():
    oblong = torch.zeros(8, 20, 3, dtype=torch.uint8)
    oblong[:, 6:14] = 255
    assert torch.equal(square(oblong, 8), torch.ones(1, 3, 8, 8))
    assert square(oblong, 16).shape == (1, 3, 16, 16)
    assert square(torch.randint(0, 256, (30, 31, 3), dtype=torch.uint8), 8).shape == (1, 3, 8, 8)


def test_a_plane_stands_before_the_front_camera():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    vertices, faces, colours = grid(picture)
    assert vertices.shape == (24, 3) and faces.shape == (2 * 3 * 5, 3) and np.array_equal(colours.reshape(4, 6, 3), picture)
    assert (
        (vertices[:, 1] == 0).all()
        and np.ptp(vertices[:, 0]) == pytest.approx(1.6)
        and np.ptp(vertices[:, 2]) == pytest.approx(1.6 * 4 / 6)
    )
    assert vertices[0, 0] < 0 < vertices[0, 2], "the first pixel is at the left, above"
    for corners in (vertices[faces], (q := quad(4, 6))[0][q[1]]):
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (normals[:, 1] < 0).all(), "seen from -Y"
    large, _, _ = grid(np.zeros((512, 768, 3), np.uint8))
    assert len(large) <= MOST_VERTICES
    assert np.array_equal(quad(4, 6)[2][[0, 2]], [[0, 0], [1, 1]])
