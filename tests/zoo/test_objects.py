"""Objects: what every noun promises, and the same object for the same seed."""

import numpy as np
import pytest

from backend.zoo.catalogue import HELD_OUT_PAIRS, NOUNS, make_object
from backend.zoo.field import evaluate
from backend.zoo.mesh import object_mesh, rough_object
from backend.zoo.palette import COLOURS
from backend.zoo.primitives import Kind, Pattern, Primitive, pack, surface_points

PARTS = {
    "flower": {"stem", "leaf", "petal", "centre"}, "mushroom": {"stalk", "cap"}, "tree": {"trunk", "foliage"},
    "apple": {"fruit", "stem"}, "pear": {"fruit", "stem"}, "cactus": {"body", "arm"}, "cottage": {"wall", "roof", "door", "window"},
    "mug": {"body", "handle"}, "vase": {"body", "rim"}, "chair": {"seat", "leg", "back"}, "snowman": {"snow", "hat", "arm", "nose"},
    "rocket": {"hull", "nose", "fin"}, "fish": {"body", "tail", "fin", "eye"}, "lamp": {"foot", "pole", "shade"},
    "duck": {"body", "head", "beak", "wing", "eye"}, "cat": {"body", "head", "ear", "tail", "leg", "eye"},
    "car": {"body", "cabin", "wheel", "window"}, "boat": {"hull", "deck"},
}  # fmt: skip


def test_every_noun_is_covered():
    assert set(PARTS) == set(NOUNS)


@pytest.mark.parametrize("noun", NOUNS)
def test_parts_size_and_bounds(noun):
    for seed in range(25):
        thing = make_object(seed, noun)
        assert {p.part for p in thing.primitives} >= PARTS[noun]
        assert len(pack(thing.primitives)) <= 32
        points = np.concatenate([surface_points(p) for p in thing.primitives])
        np.testing.assert_allclose((points.max(0) - points.min(0)).max(), 1.6, atol=1e-9)
        assert np.linalg.norm(points, axis=1).max() <= thing.radius + 1e-9


def test_a_flower_has_distinct_petals():
    for seed in range(25):
        parts = [p.part for p in make_object(seed, "flower").primitives]
        assert parts.count("petal") >= 5
        assert 1 <= parts.count("leaf") <= 3


def test_same_seed_same_object():
    a, b = make_object(41), make_object(41)
    assert (a.noun, a.colour_word, a.pattern) == (b.noun, b.colour_word, b.pattern)
    np.testing.assert_array_equal(pack(a.primitives), pack(b.primitives))


def test_a_held_out_colour_is_drawn_only_on_request():
    assert len(set(HELD_OUT_PAIRS)) == 16
    things = [make_object(seed) for seed in range(3000)]
    assert {(t.noun, t.colour_word) for t in things} == {(n, c) for n in NOUNS for c in COLOURS} - set(HELD_OUT_PAIRS)
    assert {t.pattern for t in things} == set(Pattern)
    assert make_object(0, "car", "pink").colour_word == "pink"
    assert all(make_object(seed, "car").colour_word != "pink" for seed in range(60))


@pytest.mark.parametrize("wrong", [{"noun": "zebra"}, {"colour": "mauve"}, {"pattern": "tartan"}])
def test_unknown_words_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        make_object(0, **wrong)


@pytest.mark.parametrize("noun", NOUNS)
def test_distance_bounds_hold(noun):
    """Sphere tracing needs a distance that never exceeds the true one by much: moving by it must not cross the surface."""
    thing = make_object(3, noun)
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (4000, 3)).astype(np.float32)
    distance, _, _ = evaluate(thing.primitives, points)
    outside, d = points[distance > 0.02], distance[distance > 0.02]
    directions = rng.normal(size=outside.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    reached, _, _ = evaluate(thing.primitives, outside + 0.85 * d[:, None] * directions)
    assert np.mean(reached < -0.01) < 0.005


def test_moved_scales_the_field():
    thing = make_object(9, "flower")
    points = np.random.default_rng(1).uniform(-0.8, 0.8, (500, 3))
    shift = np.array([0.1, -0.2, 0.05])
    d, colour, _ = evaluate(thing.primitives, points)
    d2, colour2, _ = evaluate([p.moved(0.5, shift) for p in thing.primitives], 0.5 * points + shift)
    np.testing.assert_allclose(d2, 0.5 * d, atol=1e-4)
    assert np.mean(np.abs(colour - colour2).max(1) > 1e-3) < 0.01  # a pattern's edge may flip by rounding


def test_half_ball_has_a_flat_floor():
    half = Primitive(Kind.ELLIPSOID, (0.5, 0.5, 0.5, 1.0), np.zeros(3), np.eye(3), np.ones(3))
    d, _, _ = evaluate([half], np.array([[0, 0, 0.2], [0, 0, -0.1], [0, 0, 0.6]]))
    assert d[0] < 0
    np.testing.assert_allclose(d[1:], [0.1, 0.1], atol=1e-5)


@pytest.mark.parametrize("noun", NOUNS)
def test_meshes_are_watertight_and_painted(noun):
    import trimesh

    mesh = object_mesh(make_object(2, noun, "red", "plain"), cells=56)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.volume > 0.02
    assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1.6, abs=0.06)
    assert mesh.colours.shape == mesh.vertices.shape
    red = (mesh.colours[:, 0] > 0.35) & (mesh.colours[:, 1:].max(1) < 0.15)
    assert red.mean() > 0.05
    assert set(np.unique(mesh.part)) <= set(range(len(mesh.part_names)))


def test_rough_objects_stay_similar():
    thing = make_object(4, "cactus", "green")
    rough = rough_object(thing, 1)
    assert rough.pattern is Pattern.PLAIN
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (20000, 3))
    inside, roughly = (evaluate(o.primitives, points)[0] < 0 for o in (thing, rough))
    assert 0.35 < (inside & roughly).sum() / (inside | roughly).sum() < 0.99
