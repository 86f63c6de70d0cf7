import time

import numpy as np
import pytest
import torch
import trimesh

from backend.errors import UserError
from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.mesh_queries import MeshQueries
from backend.geometry.sketch_sdf import SketchField, fit_sdf
from tests.geometry.shapes import assert_closed, tube, volume

GRID = KuhnGrid(32)
TUBES = [
    ((-0.6, 0.0, -0.6), (0.6, 0.1, -0.5), 0.15),
    ((0.0, 0.0, -0.6), (0.1, 0.0, 0.7), 0.18),
    ((0.0, -0.6, 0.1), (0.1, 0.6, 0.2), 0.12),
    ((-0.5, 0.1, 0.5), (0.6, -0.1, 0.6), 0.14),
    ((0.3, 0.3, -0.6), (0.5, 0.2, 0.6), 0.16),
]


def messy_tubes(noise: float) -> tuple[trimesh.Trimesh, trimesh.Trimesh]:
    """Five overlapping tubes, two inside out, three open; and the solid union of the same tubes."""
    random = np.random.default_rng(0)
    sketch = []
    for k, (start, end, radius) in enumerate(TUBES):
        part = tube(start, end, radius, capped=k not in (0, 2, 4))
        part.vertices += noise * random.standard_normal(part.vertices.shape)
        if k in (1, 2):
            part.faces = part.faces[:, ::-1]
        sketch.append(part)
    solid = trimesh.boolean.union([tube(*t) for t in TUBES], engine="manifold")
    return trimesh.util.concatenate(sketch), solid


def iou(field: torch.Tensor, solid: trimesh.Trimesh, grid: KuhnGrid) -> float:
    truth = MeshQueries(torch.from_numpy(solid.vertices.copy()), torch.from_numpy(solid.faces.copy()), winding=True).inside(grid.positions)
    inside = field < 0
    return float((inside & truth).sum() / (inside | truth).sum())


def radii(field: SketchField) -> np.ndarray:
    return field.point_radius[field.point_radius > 0]


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_five_messy_tubes_become_their_solid_union(noise: float):
    sketch, solid = messy_tubes(noise)
    field = fit_sdf(sketch.vertices, sketch.faces, GRID)
    assert iou(field.sdf, solid, GRID) > 0.88
    assert len(field.components) == 5
    assert field.notes == ["2 parts were inside out and were turned."]
    mesh = DMTet(GRID, field.sdf, offsets=False).extract()
    assert_closed(mesh)
    assert volume(mesh.vertices, mesh.faces).item() == pytest.approx(solid.volume, rel=0.1)


def test_one_winding_number_over_flipped_parts_would_fail_that():
    sketch, solid = messy_tubes(0.0)
    queries = MeshQueries(torch.from_numpy(sketch.vertices.copy()), torch.from_numpy(sketch.faces.copy()), winding=True)
    distance = queries.nearest(GRID.positions).distance
    together = torch.where(queries.inside(GRID.positions), -distance, distance)
    assert iou(together, solid, GRID) < 0.75


def test_distances_of_a_ball_are_right_and_clamped():
    ball = trimesh.creation.icosphere(4, 0.7)
    field = fit_sdf(ball.vertices, ball.faces, GRID)
    expected = (GRID.positions.norm(dim=1) - 0.7).clamp(-0.5, 0.5)
    torch.testing.assert_close(field.sdf, expected, atol=3e-3, rtol=0)
    assert field.notes == []
    assert field.radius.min() == field.radius.max() == 0.5  # the cap


@pytest.mark.parametrize("capped", [True, False])
@pytest.mark.parametrize("radius", [0.08, 0.2])
def test_the_radius_of_a_tube_is_found(radius: float, capped: bool):
    part = tube((0, 0, -0.7), (0, 0, 0.7), radius, capped=capped)
    field = fit_sdf(part.vertices, part.faces, GRID)
    middle = part.vertices[np.abs(part.vertices[:, 2]) == np.abs(part.vertices[:, 2]).max()]
    assert len(middle)
    assert np.median(radii(field)) == pytest.approx(radius, rel=0.15)
    near = field.radius.view(GRID.shape)[16, 16, 8:25]
    assert near.min() > 0.8 * radius
    assert near.max() < 1.15 * radius


def test_radius_and_stroke_follow_the_nearest_part():
    thick, thin = tube((-0.4, 0, -0.6), (-0.4, 0, 0.6), 0.25), tube((0.5, 0, -0.6), (0.5, 0, 0.6), 0.09)
    sketch = trimesh.util.concatenate([thick, thin])
    field = fit_sdf(sketch.vertices, sketch.faces, GRID)
    left, right = GRID.positions[:, 0] < -0.1, GRID.positions[:, 0] > 0.45
    inner = GRID.positions[:, 2].abs() < 0.4
    assert (field.component[left] == 0).all()
    assert (field.component[right] == 1).all()
    assert field.radius[left & inner].min() > 0.2
    assert field.radius[right & inner].max() < 0.11


@pytest.mark.parametrize("kind", ["plane", "folded double sheet", "thin plate", "ribbon"])
def test_flat_parts_become_sheets(kind: str):
    if kind == "plane":
        vertices = np.array([[-0.7, -0.7, 0], [0.7, -0.7, 0], [0.7, 0.7, 0], [-0.7, 0.7, 0.0]])
        faces = np.array([[0, 1, 2], [0, 2, 3]])
    elif kind == "folded double sheet":
        vertices = np.array([[-0.7, -0.7, 0], [0.7, -0.7, 0], [0.7, 0.7, 0], [-0.7, 0.7, 0], [0, 0, 1e-7]])
        faces = np.array([[0, 1, 2], [0, 2, 3], [1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]])
    elif kind == "thin plate":
        plate = trimesh.creation.box((1.4, 1.4, 1e-4))
        vertices, faces = plate.vertices, plate.faces
    else:
        turn = np.linspace(0, np.pi / 2, 12)
        edge = np.stack([0.7 * np.cos(turn), 0.7 * np.sin(turn), np.zeros(12)], 1)
        vertices = np.concatenate([edge, edge + [0, 0, 0.3]])
        i = np.arange(11)
        faces = np.concatenate([np.stack([i, i + 1, i + 12], 1), np.stack([i + 1, i + 13, i + 12], 1)])
    field = fit_sdf(vertices, faces, GRID)
    assert field.flat.tolist() == [True]
    assert field.notes == ["1 flat part was given a thickness of 12 % of the sketch's longest side."]
    sheet = 1.5 * GRID.h
    np.testing.assert_allclose(field.point_radius[np.unique(faces)], sheet, rtol=1e-5)
    queries = MeshQueries(torch.from_numpy(vertices), torch.from_numpy(faces))
    torch.testing.assert_close(field.sdf, (queries.nearest(GRID.positions).distance - sheet).clamp(-0.5, 0.5), atol=2e-3, rtol=0)
    assert_closed(DMTet(GRID, field.sdf).extract())


def test_a_hair_is_thickened_until_the_grid_can_hold_it():
    hair = tube((-0.7, 0.03, 0.02), (0.7, -0.05, 0.04), 0.01)
    field = fit_sdf(hair.vertices, hair.faces, GRID)
    assert field.notes == ["1 part was thinner than the grid can hold and was thickened to about two cells."]
    mesh = DMTet(GRID, field.sdf).extract()
    assert_closed(mesh)
    assert mesh.vertices[:, 0].max() - mesh.vertices[:, 0].min() > 1.3
    assert trimesh.Trimesh(mesh.vertices.detach(), mesh.faces, process=False).body_count == 1


def test_a_thin_stroke_is_deeper_by_what_it_was_thickened():
    thread = tube((-0.75, 0, 0), (0.75, 0, 0), 0.6 * GRID.h)
    field = fit_sdf(thread.vertices, thread.faces, GRID)
    (swell,) = field.swell
    assert swell == pytest.approx(0.5 * GRID.h)
    assert field.sdf.min() == pytest.approx(-0.58 * GRID.h - swell, rel=0.03)  # a 12-sided tube on a line of grid vertices


def test_a_part_that_crosses_itself_is_filled():
    """Two balls that share one vertex and overlap: one stroke, and a winding number of two in the middle."""
    ball = trimesh.creation.icosphere(3, 0.4)
    other = ball.vertices - ball.vertices[0] + ball.vertices[7]
    vertices = np.concatenate([ball.vertices, other])
    field = fit_sdf(vertices, np.concatenate([ball.faces, ball.faces + len(other)]), GRID)
    assert len(field.components) == 1
    centre = torch.from_numpy(ball.vertices[7] - ball.vertices[0]).float()
    inside = (GRID.positions.norm(dim=1) < 0.395) | ((GRID.positions - centre).norm(dim=1) < 0.395)
    outside = (GRID.positions.norm(dim=1) > 0.4) & ((GRID.positions - centre).norm(dim=1) > 0.4)
    both = (GRID.positions.norm(dim=1) < 0.35) & ((GRID.positions - centre).norm(dim=1) < 0.35)
    assert both.any()
    assert (field.sdf[inside] < 0).all()
    assert (field.sdf[outside] > 0).all()


def test_given_faces_and_split_vertices_keep_their_numbers():
    box = trimesh.creation.box((0.6, 0.6, 0.6))
    soup = np.concatenate([box.triangles - 0.4, box.triangles + 0.4]).reshape(-1, 3)
    field = fit_sdf(soup, np.arange(len(soup)).reshape(-1, 3), GRID)
    assert [sorted(part) for part in field.components] == [list(range(12)), list(range(12, 24))]
    assert (field.point_radius > 0.1).all()


def test_a_sketch_without_area_is_refused():
    with pytest.raises(UserError, match="no surface"):
        fit_sdf(np.eye(3), np.array([[0, 0, 1]]), GRID)


def test_time_grows_no_faster_than_the_number_of_strokes():
    random = np.random.default_rng(0)
    parts = []
    for _ in range(100):
        start = random.uniform(-0.6, 0.6, 3)
        parts.append(tube(tuple(start), tuple(start + random.uniform(-0.2, 0.2, 3)), 0.06))
    seconds = {}
    for count in (10, 100):
        sketch = trimesh.util.concatenate(parts[:count])
        began = time.process_time()
        field = fit_sdf(sketch.vertices, sketch.faces, GRID)
        seconds[count] = time.process_time() - began
        assert len(field.components) == count
    assert seconds[100] < 20 * seconds[10]
