import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.assets.mesh import PolygonMesh
from backend.assets.triangulate import cut_ears, triangulate


def polygons(*rings: np.ndarray) -> PolygonMesh:
    """One mesh whose polygons are these rings of points [n,3]."""
    sizes = [len(ring) for ring in rings]
    return PolygonMesh(np.concatenate(rings).astype(np.float32), np.arange(sum(sizes)), np.cumsum([0, *sizes[:-1]]))


def areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area vectors [F,3]."""
    a, b, c = points[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


def test_no_polygons_give_no_triangles():
    empty = PolygonMesh(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    result = triangulate(empty)
    assert result.faces.shape == result.corner.shape == (0, 3)


def test_corners_remember_where_they_came_from():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    mesh = polygons(square, square[:3] + 2, np.concatenate([square, [[-1, 0.5, 0]]]) + 4)
    mesh.loop_vertex = mesh.loop_vertex[::-1].copy()
    result = triangulate(mesh)
    assert result.polygon.tolist() == [0, 0, 1, 2, 2, 2]
    assert np.array_equal(mesh.loop_vertex[result.corner], result.faces)
    starts = np.append(mesh.polygon_start, len(mesh.loop_vertex))
    assert (result.corner >= starts[result.polygon][:, None]).all()
    assert (result.corner < starts[result.polygon + 1][:, None]).all()


@pytest.mark.parametrize("turn", range(4))
def test_a_dart_is_cut_along_its_inner_diagonal(turn: int):
    dart = np.roll(np.array([[0.0, 0, 0], [2, 0, 0], [0.5, 0.5, 0], [0, 2, 0]]), turn, axis=0)
    result = triangulate(polygons(dart))
    assert (areas(dart, result.faces)[:, 2] > 0).all()


def test_a_self_touching_ring_is_cut():
    """A square with a square hole, joined by a slit that is walked twice."""
    ring = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]], dtype=float)
    points = np.concatenate([ring, np.zeros((len(ring), 1))], 1)
    faces = cut_ears(points)
    assert len(faces) == len(ring) - 2
    signed = areas(points, faces)[:, 2]
    assert signed.min() >= -1e-12
    assert signed.sum() == pytest.approx(16 - 4)


def test_a_polygon_without_area_gets_a_fan():
    line = np.stack([np.arange(6.0), np.zeros(6), np.zeros(6)], 1)
    assert len(cut_ears(line)) == 4


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 24), st.integers(0, 10_000))
def test_star_shaped_rings_in_any_plane_are_covered_once(count: int, seed: int):
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, count))
    radius = random.uniform(0.2, 1, count)
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    if gaps.max() > 3 or gaps.min() < 1e-3:
        return  # then the centre is outside, or corners coincide
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)], 1)
    turn = np.linalg.qr(random.standard_normal((3, 3)))[0]
    ring = flat @ turn.T + random.standard_normal(3)
    vectors = areas(ring, cut_ears(ring))
    total = vectors.sum(0)
    assert len(vectors) == count - 2
    assert (vectors @ total >= -1e-9).all()
    expected = 0.5 * (radius * np.roll(radius, -1) * np.sin(gaps)).sum()
    assert np.linalg.norm(total) == pytest.approx(expected, rel=1e-9)
    assert np.linalg.norm(vectors, axis=1).sum() == pytest.approx(expected, rel=1e-9)
