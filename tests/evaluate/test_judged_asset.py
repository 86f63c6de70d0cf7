"""Assets before the judge: where the views stand, what they show, and what is said of an asset known to be right or wrong."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.assets.mesh import TriangleMesh
from backend.assets.write import write_glb
from backend.errors import UserError
from backend.evaluate.asset import exported_mesh, judge_asset, judge_result, ring_views, views_of
from backend.evaluate.judge import load_judge
from backend.priors.card import CameraCard, LightCard
from backend.views import VIEW_WORDS, view_words
from backend.zoo.catalogue import make_object
from backend.zoo.mesh import object_mesh

CAMERA, LIGHT = CameraCard(), LightCard()


@pytest.fixture(scope="module")
def judge():
    return load_judge()


@pytest.fixture(scope="module")
def cat():
    return object_mesh(make_object(60_500_000, "cat", "orange", "plain"), cells=64)


def turned(mesh: TriangleMesh, degrees: float) -> TriangleMesh:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return TriangleMesh((mesh.vertices @ turn.T).astype(np.float32), mesh.faces, colours=mesh.colours)


def test_24_views_lie_within_the_card_and_off_the_borders():
    azimuth, elevation = ring_views(24, CAMERA)
    assert len(azimuth) == len(elevation) == 24
    assert elevation.min() >= -45 and elevation.max() <= 85
    words = [view_words(float(a), float(e)) for a, e in zip(azimuth, elevation, strict=True)]
    assert {word: words.count(word) for word in VIEW_WORDS} == {"front view": 5, "side view": 10, "back view": 5, "overhead view": 4}
    border = np.abs((azimuth[elevation < 60] % 90) - 45)
    assert border.min() == pytest.approx(22.5)
    for count in range(6, 121):
        azimuth, elevation = ring_views(count, CAMERA)
        assert len(azimuth) == count
        assert np.abs(azimuth[elevation < 60] % 90 - 45).min() > 0.5, count
    with pytest.raises(ValueError, match="at least 6"):
        ring_views(5, CAMERA)


def test_bare_colours_are_the_colours_and_light_shades_them():
    """A square in one colour, seen from the front: the picture's middle is that colour, or that colour times the light."""
    square = TriangleMesh(
        np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]]),
        colours=np.tile(np.array([0.6, 0.2, 0.1], np.float32), (4, 1)),
    )
    pictures, has_colours = views_of(square, np.zeros(1), np.zeros(1), CAMERA, LIGHT)
    assert has_colours and pictures.shape == (2, 64, 64, 3)
    linear = (pictures[:, 32, 32] / 255.0) ** 2.2
    np.testing.assert_allclose(linear[1], [0.6, 0.2, 0.1], atol=0.03)
    key = 0.7 * 0.8 / np.linalg.norm((0.35, 0.45, 0.8))
    np.testing.assert_allclose(linear[0], np.array([0.6, 0.2, 0.1]) * (0.5 + key), atol=0.04)
    assert (pictures[:, 0, 0] == 255).all()  # white, far from the colour
    white = TriangleMesh(square.vertices, square.faces, colours=np.full((4, 3), 0.95, np.float32))
    assert (views_of(white, np.zeros(1), np.zeros(1), CAMERA, LIGHT)[0][1, 0, 0] < 140).all()


def test_a_texture_is_shown_where_its_uvs_say_and_seams_stay_smooth(tmp_path):
    """The file of a ball with every face's vertices doubled shades like the ball itself."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3)
    faces = np.asarray(ball.faces)
    split = np.asarray(ball.vertices, np.float32)[faces].reshape(-1, 3)
    loose = np.arange(len(split)).reshape(-1, 3)
    picture = np.full((8, 8, 3), (200, 40, 40), np.uint8)
    path = write_glb(tmp_path / "ball.glb", split, loose, np.full((len(split), 2), 0.5, np.float32), picture)
    from backend.assets.read import read_mesh

    linear = float(((200 / 255 + 0.055) / 1.055) ** 2.4), float(((40 / 255 + 0.055) / 1.055) ** 2.4)
    whole = TriangleMesh(np.asarray(ball.vertices, np.float32), faces, colours=np.tile((linear[0], *linear[1:] * 2), (642, 1)))
    angles = np.array([0.0, 120.0]), np.array([10.0, 30.0])
    a, b = (views_of(mesh, *angles, CAMERA, LIGHT)[0].astype(int) for mesh in (read_mesh(path), whole))
    assert np.abs(a - b).max() <= 2


def test_a_right_asset_is_recognised_and_its_back_is_a_back(judge, cat):
    verdict = judge_asset(judge, cat, "an orange cat")
    assert verdict.noun_share >= 0.75
    assert verdict.colour_share >= 0.75
    assert "cat" in judge.fronted
    assert verdict.view_accuracy >= 0.6
    assert verdict.pattern_share is None
    assert len(verdict.verdict) == 24 and verdict.pictures.shape == (48, 64, 64, 3)
    assert verdict.inception.iv >= verdict.inception.iq
    again = judge_asset(judge, cat, "an orange cat")
    assert again.as_dict() == verdict.as_dict()


def test_another_prompt_is_not_met(judge, cat):
    verdict = judge_asset(judge, cat, "a blue car")
    assert verdict.noun_share <= 0.25
    assert verdict.colour_share <= 0.25
    dragon = judge_asset(judge, cat, "a dragon", 6)
    assert (dragon.noun_share, dragon.colour_share, dragon.view_accuracy) == (None, None, None)


def test_an_asset_turned_round_has_its_views_wrong_unless_the_front_is_told(judge, cat):
    right = judge_asset(judge, cat, "an orange cat", 12)
    behind = turned(cat, 180.0)
    wrong, told = (judge_asset(judge, behind, "an orange cat", 12, front_deg=front) for front in (0.0, 180.0))
    assert wrong.view_accuracy < right.view_accuracy - 0.2
    assert wrong.false_fronts > right.false_fronts
    assert told.view_accuracy == pytest.approx(right.view_accuracy, abs=0.1)


def test_two_faces_are_seen_as_a_janus(judge, cat):
    """The front half twice, the second copy turned round: more back views look like a front."""
    half = cat.faces[cat.vertices[cat.faces][:, :, 1].mean(1) < 0.0]
    front = TriangleMesh(cat.vertices, half, colours=cat.colours)
    back = turned(front, 180.0)
    janus = TriangleMesh(
        np.concatenate([front.vertices, back.vertices]),
        np.concatenate([half, half + len(front.vertices)]),
        colours=np.concatenate([cat.colours, cat.colours]),
    )
    assert judge_asset(judge, janus, "an orange cat").false_fronts > judge_asset(judge, cat, "an orange cat").false_fronts


def test_clay_has_no_colour_to_judge(judge, cat):
    verdict = judge_asset(judge, TriangleMesh(cat.vertices, cat.faces), "an orange cat", 6)
    assert verdict.colour_share is None
    assert verdict.noun_share is not None
    with pytest.raises(UserError, match="no faces"):
        judge_asset(judge, TriangleMesh(cat.vertices, np.zeros((0, 3), np.int64)), "an orange cat")


def test_a_finished_run_is_judged_from_its_arrays(judge):
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2)
    exported = SimpleNamespace(
        vertices=np.asarray(ball.vertices, np.float32),
        faces=np.asarray(ball.faces),
        uv=np.full((len(ball.vertices), 2), 0.5, np.float32),
        base_colour=np.full((4, 4, 3), (220, 20, 20), np.uint8),
    )
    run = SimpleNamespace(exported=exported, job=SimpleNamespace(prompt="a red apple", front_deg=30.0))
    verdict = judge_result(judge, run, 6)
    assert verdict.wanted.noun == "apple"
    assert verdict.as_dict() == judge_asset(judge, exported_mesh(exported), "a red apple", 6, front_deg=30.0).as_dict()
    with pytest.raises(ValueError, match="exported no asset"):
        judge_result(judge, SimpleNamespace(exported=None, job=run.job))
    assert torch.isfinite(verdict.verdict.embedding).all()
