"""Pictures and captions: repeatable, in the colour they are called, with the view words of `backend.views`."""

import re

import numpy as np
import pytest

from backend.views import VIEW_WORDS, view_words
from backend.zoo.captions import CLAY, CORRUPTIONS, DOMAIN, FULL, QUALITY, VOCABULARY, caption
from backend.zoo.catalogue import NOUNS, make_object
from backend.zoo.corruptions import BY_NAME, ORDER, corrupt
from backend.zoo.palette import COLOURS, PALETTE
from backend.zoo.pictures import PictureMix, make_pictures
from backend.zoo.render import Shot, camera_axes, camera_distance, render


@pytest.fixture(scope="module")
def pictures():
    return make_pictures(list(range(300)))


def test_same_seed_same_bytes(pictures):
    again = make_pictures([17, 5])
    for picture, seed in zip(again, (17, 5), strict=True):
        np.testing.assert_array_equal(picture.pixels, pictures[seed].pixels)
        assert picture.caption == pictures[seed].caption


def test_captions_use_the_shared_view_words(pictures):
    seen = set()
    for p in pictures:
        said = [w for w in VIEW_WORDS if w in p.caption]
        assert len(said) <= 1
        if said:
            assert said[0] == view_words(p.shot.azimuth_deg, p.shot.elevation_deg)
            seen.add(said[0])
    assert seen == set(VIEW_WORDS)


def test_every_word_is_in_the_vocabulary(pictures):
    words = {w for p in pictures for w in re.findall(r"[a-z0-9]+", p.caption)}
    assert words <= set(VOCABULARY)


def test_the_mix_is_as_stated(pictures):
    count = len(pictures)
    assert 0.08 < sum(p.shot.clay is not None for p in pictures) / count < 0.24
    assert 0.08 < sum(p.shot.flat for p in pictures) / count < 0.24
    assert 0.08 < sum(bool(p.marks) for p in pictures) / count < 0.24
    assert all((CLAY in p.caption.split()) == (p.shot.clay is not None) for p in pictures)
    assert not any(QUALITY in p.caption for p in pictures if p.marks)
    assert {p.thing.noun for p in pictures} == set(NOUNS)


def test_full_caption():
    thing = make_object(1, "apple", "orange", "spotted")
    assert caption(thing, 180, 70, np.random.default_rng(0), choices=FULL) == "a spotted orange apple, overhead view"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("noun", NOUNS)
def test_the_named_colour_is_seen(noun, colour):
    thing = make_object(3, noun, colour, "plain")
    seen = render([thing], [Shot(10, 25, flat=True, background=(0.4, 0.7, 0.6))], 48)[0]
    near = np.abs(seen - np.array(PALETTE[colour])).max(-1) < 0.17
    assert near.mean() > 0.012


def test_a_bare_background_is_exact_and_linear_light_is_blended():
    thing = make_object(0, "snowman", "red", "plain")
    seen, coverage = render([thing], [Shot(0, 0, background=(0.2, 0.5, 0.8))], 64, return_coverage=True)
    np.testing.assert_allclose(seen[0][coverage[0] == 0], np.broadcast_to([0.2, 0.5, 0.8], (int((coverage[0] == 0).sum()), 3)), atol=1e-5)
    assert coverage[0][[0, -1]].max() == 0
    assert coverage[0][:, [0, -1]].max() == 0


def test_nothing_leaves_the_frame():
    things = [make_object(i) for i in range(60)]
    shots = [Shot(i * 37.0, -45 + i * 2.0, 25 + 0.4 * i, 0.95) for i in range(60)]
    _, coverage = render(things, shots, 48, samples=1, return_coverage=True)
    assert coverage[:, [0, -1]].max() == 0
    assert coverage[:, :, [0, -1]].max() == 0


def test_camera_axes_follow_the_convention():
    np.testing.assert_allclose(camera_axes(0, 0), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(camera_axes(90, 0)[2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(camera_axes(0, 90)[2], [0, 0, 1], atol=1e-12)
    assert camera_distance(1.0, 90.0, 1.0) == pytest.approx(np.sqrt(2))


def test_the_front_of_a_snowman_shows_its_nose():
    thing = make_object(0, "snowman", "blue", "plain")
    front, back = render([thing] * 2, [Shot(0, 0, flat=True), Shot(180, 0, flat=True)], 96)
    orange = [((p[..., 0] > 0.7) & (p[..., 2] < 0.4)).sum() for p in (front, back)]
    assert orange[0] >= 3
    assert orange[1] == 0


def test_corruptions_change_the_picture_and_stay_in_range():
    assert set(BY_NAME) == set(ORDER) == {*CORRUPTIONS, DOMAIN}
    picture = render([make_object(6, "rocket", "red", "striped")], [Shot(30, 20, background=(0.6, 0.7, 0.3))], 64)[0]
    for name in BY_NAME:
        spoilt = corrupt(picture, (name,), np.random.default_rng(0))
        assert spoilt.shape == picture.shape
        assert spoilt.dtype == np.float32
        assert spoilt.min() >= 0
        assert spoilt.max() <= 1
        assert np.abs(spoilt - picture).mean() > 0.003, name
    with pytest.raises(KeyError, match="melted"):
        corrupt(picture, ("melted",), np.random.default_rng(0))


def test_clay_has_no_colour():
    for p in make_pictures(list(range(40)), mix=PictureMix(clay=1.0, corrupted=0.0)):
        assert not any(f" {c} " in f" {p.caption} " for c in COLOURS)
        assert np.ptp(p.shot.clay) < 0.12
