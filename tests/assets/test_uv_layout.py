import numpy as np
import pytest

from backend.assets.uv_layout import uv_layout

SQUARE = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], dtype=float)


def test_no_faces():
    layout = uv_layout(np.zeros((0, 3, 2)))
    assert layout.notes() == []
    assert layout.covered == 0


def test_a_square_of_two_triangles_is_fit_to_be_painted():
    layout = uv_layout(SQUARE)
    assert layout.overlap == layout.mirrored == layout.outside == layout.flat == 0
    assert layout.covered > 0.99
    assert layout.notes() == []


def test_a_half_laid_over_itself():
    stacked = np.concatenate([SQUARE * [0.5, 1], SQUARE * [0.25, 1]])
    layout = uv_layout(stacked)
    assert layout.overlap == pytest.approx(0.5, abs=0.01)
    assert layout.covered == pytest.approx(0.5, abs=0.01)
    assert layout.notes() == ["50% of the texture is shared by several places of the surface; they will look alike."]


def test_a_mirrored_half():
    left = SQUARE * [0.5, 1]
    layout = uv_layout(np.concatenate([left, [1, 0] + left * [-1, 1]]))
    assert layout.mirrored == pytest.approx(0.5)
    assert layout.overlap == 0
    assert layout.notes() == ["50% of the UV area is mirrored; writing on it would be reversed."]
    whole = uv_layout(SQUARE[:, ::-1])
    assert whole.mirrored == 1
    assert whole.notes() == []  # all of it: a matter of winding, not of layout


def test_beyond_the_square_the_texture_repeats():
    layout = uv_layout(np.concatenate([SQUARE, SQUARE + [1, 0]]))
    assert layout.outside == 0.5
    assert layout.overlap > 0.99


def test_faces_without_area_are_counted():
    layout = uv_layout(np.concatenate([SQUARE, np.full((2, 3, 2), 0.3)]))
    assert layout.flat == 0.5
    assert layout.overlap == 0


def test_many_faces_are_judged_in_pieces(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    uv = random.uniform(0, 1, (300, 1, 2)) + random.uniform(-0.1, 0.1, (300, 3, 2))
    at_once = uv_layout(uv, 128)
    monkeypatch.setattr("backend.assets.uv_layout.CHUNK", 500)
    assert uv_layout(uv, 128) == at_once
    # Against the plain count: how many triangles hold each texel's centre.
    counts = np.zeros((128, 128), dtype=int)
    y, x = np.mgrid[:128, :128]
    centres = (np.stack([x, y], -1) + 0.5) / 128
    for triangle in uv:
        for shift in np.ndindex(3, 3):
            a, b, c = triangle + np.array(shift) - 1
            signs = []
            for p, q in ((a, b), (b, c), (c, a)):
                signs.append((q[0] - p[0]) * (centres[..., 1] - p[1]) - (q[1] - p[1]) * (centres[..., 0] - p[0]))
            counts += np.all(np.array(signs) > 0, axis=0) | np.all(np.array(signs) < 0, axis=0)
    assert at_once.covered == pytest.approx((counts > 0).mean())
    assert at_once.overlap == pytest.approx((counts > 1).sum() / (counts > 0).sum())
