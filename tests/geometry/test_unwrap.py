import sys

import numpy as np
import psutil
import pytest
import trimesh

from backend.errors import Cancelled
from backend.geometry import unwrap as module
from backend.geometry.grid_atlas import grid_atlas
from backend.geometry.unwrap import Outcome, Unwrapped, unwrap

BALL = trimesh.creation.icosphere(3)


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any("unwrap_child" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def triangles(uv: np.ndarray) -> np.ndarray:
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def assert_valid(result: Unwrapped, faces: np.ndarray) -> None:
    assert np.array_equal(result.vertex_map[result.faces], faces)
    assert result.uv.shape == (len(result.vertex_map), 2)
    assert result.uv.min() >= 0
    assert result.uv.max() <= 1


def test_a_ball_gets_charts():
    result = unwrap(BALL.vertices, BALL.faces, texture_px=512)
    assert_valid(result, BALL.faces)
    assert (result.how, result.paintable, result.note) == ("xatlas", True, "")
    assert len(result.vertex_map) < 2 * len(BALL.vertices)  # charts, not single triangles
    area = np.abs(triangles(result.uv[result.faces]))
    assert (area > 0).mean() > 0.99
    assert 0.3 < area.sum() < 1


def test_what_takes_too_long_is_ended_and_replaced():
    slow = trimesh.creation.icosphere(6)
    slow.vertices += 3e-3 * np.random.default_rng(0).standard_normal(slow.vertices.shape)  # twenty seconds of unwrapping
    result = unwrap(slow.vertices, slow.faces, deadline_s=0.5)
    assert children() == []
    assert_valid(result, slow.faces)
    assert (result.how, result.paintable) == ("grid", False)
    assert "took longer than 0.5 s" in result.note


def test_stopping_ends_the_child():
    asked = []

    def should_stop() -> bool:
        asked.append(len(children()))
        return len(asked) > 3

    with pytest.raises(Cancelled):
        unwrap(BALL.vertices, BALL.faces, should_stop=should_stop)
    assert max(asked) == 1
    assert children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_too_little_memory_falls_back():
    result = unwrap(BALL.vertices, BALL.faces, memory_bytes=80 << 20)
    assert_valid(result, BALL.faces)
    assert (result.how, result.paintable) == ("grid", False)
    assert "failed" in result.note


def test_a_layout_that_lost_faces_is_not_used(monkeypatch: pytest.MonkeyPatch):
    def half(folder, *_):
        vertex_map, faces, uv = grid_atlas(BALL.vertices, BALL.faces, 64)
        np.savez(folder / "atlas.npz", vertex_map=vertex_map, faces=faces[:-1], uv=uv)
        return Outcome.DONE

    monkeypatch.setattr(module, "_run_child", half)
    result = unwrap(BALL.vertices, BALL.faces)
    assert_valid(result, BALL.faces)
    assert result.how == "grid"


def test_a_crash_is_tried_again_with_vertices_moved_a_little(monkeypatch: pytest.MonkeyPatch):
    real, seen = module._run_child, []

    def crashes_once(folder, *arguments):
        with np.load(folder / "mesh.npz") as mesh:
            seen.append(mesh["vertices"])
        return Outcome.FAILED if len(seen) == 1 else real(folder, *arguments)

    monkeypatch.setattr(module, "_run_child", crashes_once)
    result = unwrap(BALL.vertices, BALL.faces)
    assert_valid(result, BALL.faces)
    assert (result.how, result.note) == ("xatlas", "")
    assert 0 < np.abs(seen[1] - seen[0]).max() < 1e-3


def test_nothing_is_unwrapped_to_nothing():
    result = unwrap(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert result.faces.shape == (0, 3)
    assert result.uv.shape == (0, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1280])
@pytest.mark.parametrize("texture_px", [32, 1024])
def test_the_grid_atlas_overlaps_nowhere_and_leaves_gutters(count: int, texture_px: int):
    faces = np.asarray(BALL.faces[:count], dtype=np.int64)
    vertex_map, corners, uv = grid_atlas(BALL.vertices, faces, texture_px)
    assert np.array_equal(vertex_map[corners], faces)
    placed = uv[corners].astype(np.float64)
    area = triangles(placed)
    side = int(np.ceil(np.sqrt((count + 1) // 2)))
    assert (area > 0.2 * 0.5 / side**2).all()  # wound like the surface, and most of its half square
    assert placed.min() > 0
    assert placed.max() < 1
    # Each triangle stays in its own half of its own square.
    square = np.floor(placed * side)
    assert (square == square[:, :1]).all()
    within = placed * side - square
    half = within.sum(2) < 1
    assert (half == half[:, :1]).all()
    seen = {(*cell, bool(lower)) for cell, lower in zip(square[:, 0].tolist(), half[:, 0], strict=True) for cell in [tuple(cell)]}
    assert len(seen) == count


def test_the_longest_edge_lies_on_the_diagonal():
    points = np.array([[0.0, 0, 0], [3, 0, 0], [0, 1, 0]])
    for turn in range(3):
        _, corners, uv = grid_atlas(points, np.roll([[0, 1, 2]], turn, axis=1), 64)
        lengths = np.linalg.norm(uv[corners][0] - np.roll(uv[corners][0], -1, axis=0), axis=1)
        spans = np.linalg.norm(points[np.roll([0, 1, 2], turn)] - points[np.roll(np.roll([0, 1, 2], turn), -1)], axis=1)
        assert lengths.argmax() == spans.argmax()
