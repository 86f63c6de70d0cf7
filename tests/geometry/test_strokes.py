import numpy as np
import trimesh

from backend.geometry.strokes import split_strokes


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(trimesh.Trimesh(vertices, faces, process=False).volume)


def test_nothing_gives_no_strokes():
    empty = split_strokes(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))
    assert empty.count == 0
    degenerate = split_strokes(np.eye(3), np.array([[0, 0, 1], [2, 2, 2]]))
    assert degenerate.count == 0


def test_a_soup_of_triangles_is_welded_into_its_parts():
    box = trimesh.creation.box((1, 1, 1))
    soup = np.concatenate([box.triangles, box.triangles + [3, 0, 0]]).reshape(-1, 3)
    strokes = split_strokes(soup, np.arange(len(soup)).reshape(-1, 3))
    assert strokes.count == 2
    assert np.bincount(strokes.component).tolist() == [12, 12]
    assert not strokes.turned.any()


def test_flipped_parts_and_single_flipped_faces_are_turned_outwards():
    ball, box = trimesh.creation.icosphere(2), trimesh.creation.box((1, 1, 1))
    mixed = ball.faces.copy()
    mixed[::3] = mixed[::3, ::-1]
    vertices = np.concatenate([ball.vertices, box.vertices + 3, box.vertices - 3])
    inward = box.faces[:, ::-1] + len(ball.vertices)
    faces = np.concatenate([mixed, inward, box.faces + len(ball.vertices) + 8])
    strokes = split_strokes(vertices, faces)
    assert strokes.turned.tolist() == [True, True, False]
    np.testing.assert_allclose(volume(vertices, strokes.faces), ball.volume + 2, rtol=1e-9)


def test_parts_that_touch_in_a_corner_are_one_stroke_and_each_is_turned():
    box = trimesh.creation.box((1, 1, 1))
    vertices = np.concatenate([box.vertices, box.vertices + 1])
    strokes = split_strokes(vertices, np.concatenate([box.faces, box.faces[:, ::-1] + 8]))
    assert strokes.count == 1
    np.testing.assert_allclose(volume(vertices, strokes.faces), 2)


def test_the_order_of_strokes_is_that_of_their_first_faces():
    box = trimesh.creation.box((1, 1, 1))
    vertices = np.concatenate([box.vertices + 5, box.vertices])
    strokes = split_strokes(vertices, np.concatenate([box.faces + 8, box.faces]))
    assert strokes.component[0] == 0
    assert (np.diff(strokes.component) >= 0).all()
