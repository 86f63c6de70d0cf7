"""Previews: never too large, and the same faces for as long as the run has the same faces."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from backend.serve.decimate import Decimator


def _ball(subdivisions):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    colours = (127 + 127 * mesh.vertices).astype(np.uint8)
    return mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), colours


def _soup(triangles):
    """Triangles that share nothing: collapsing edges makes none of them smaller."""
    vertices = np.random.default_rng(0).normal(size=(3 * triangles, 3)).astype(np.float32)
    return vertices, np.arange(3 * triangles, dtype=np.int32).reshape(-1, 3), np.zeros((3 * triangles, 3), np.uint8)


@pytest.mark.parametrize(("surface", "most"), [(_ball(5), 500), (_ball(5), 100), (_soup(3000), 500)])
def test_no_more_vertices_than_asked_for(surface, most):
    small = Decimator()(*surface, most)
    assert 0.5 * most < len(small.vertices) <= most
    assert (small.vertices.dtype, small.faces.dtype, small.colours.dtype) == (np.float32, np.int32, np.uint8)
    assert np.array_equal(np.unique(small.faces), np.arange(len(small.vertices)))
    assert len(small.colours) == len(small.vertices)


def test_a_ball_stays_a_ball_in_its_colours():
    vertices, faces, colours = _ball(5)
    small = Decimator()(vertices, faces, colours, 500)
    mesh = trimesh.Trimesh(small.vertices, small.faces, process=False)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.03)
    nearest = cKDTree(vertices).query(small.vertices)[1]
    assert np.array_equal(small.colours, colours[nearest])


def test_the_topology_stays_while_vertices_move():
    decimate, (vertices, faces, colours) = Decimator(), _ball(4)
    first = decimate(vertices, faces, colours, 300)
    second = decimate(vertices * [1.0, 2.0, 0.5], faces, colours[::-1], 300)
    assert first.topology == second.topology and np.array_equal(first.faces, second.faces)
    assert np.allclose(second.vertices, first.vertices * [1.0, 2.0, 0.5])
    other = decimate(vertices, faces[:, [1, 2, 0]][::-1].copy(), colours, 300)
    larger = decimate(vertices, faces, colours, 600)
    assert len({first.topology, other.topology, larger.topology}) == 3
    assert decimate(vertices, faces, colours, 300).topology == first.topology


def test_a_small_surface_goes_as_it_is():
    vertices, faces, colours = _ball(1)
    small = Decimator()(vertices, faces, colours, 5000)
    assert np.array_equal(small.vertices, vertices) and np.array_equal(small.faces, faces) and np.array_equal(small.colours, colours)
