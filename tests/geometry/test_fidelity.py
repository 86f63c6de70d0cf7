import functools

import numpy as np
import pytest
import torch
import trimesh

from backend.geometry.contract import Mesh
from backend.geometry.dmtet import DMTet
from backend.geometry.fidelity import Fidelity, FidelityMeter, measure_fidelity, tolerance
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.sketch_sdf import SketchField, fit_sdf
from tests.geometry.shapes import tube

GRID = KuhnGrid(40)
BODY, RIGHT, LEFT = 0, 1, 2


@functools.cache
def sketch() -> SketchField:
    """A body with two arms."""
    body = trimesh.creation.icosphere(3, 0.3)
    parts = [body, tube((0.2, 0, 0), (0.75, 0, 0.2), 0.08), tube((-0.2, 0, 0), (-0.75, 0, 0.2), 0.08)]
    mesh = trimesh.util.concatenate(parts)
    return fit_sdf(mesh.vertices, mesh.faces, GRID)


@functools.cache
def meter() -> FidelityMeter:
    return FidelityMeter(sketch(), GRID)


def report(sdf: torch.Tensor) -> Fidelity:
    return meter().measure(DMTet(GRID, sdf, offsets=False).extract())


def without(where: torch.Tensor) -> torch.Tensor:
    return torch.where(where, sketch().sdf.clamp_min(GRID.h / 2), sketch().sdf)


def test_the_start_surface_is_the_sketch():
    found = report(sketch().sdf)
    assert found.recall > 0.99
    assert min(found.stroke_recall) > 0.97
    assert (found.growth, found.moved) == (0.0, 0.0)
    assert (found.sketch_pieces, found.result_pieces) == (1, 1)
    assert found.severed == found.parted == []
    assert found.roughness == found.sketch_roughness


def test_an_arm_cut_in_two_is_severed_though_recall_is_high():
    found = report(without((GRID.positions[:, 0] - 0.5).abs() < 1.2 * GRID.h))
    assert found.recall > 0.95  # the target of a good result
    assert found.severed == [RIGHT]
    assert found.result_pieces == 2


def test_a_lost_arm_is_severed_and_not_recalled():
    found = report(without(GRID.positions[:, 0] > 0.35))
    assert found.severed == [RIGHT]
    assert found.stroke_recall[RIGHT] < 0.3
    assert found.stroke_recall[LEFT] > 0.95
    assert found.result_pieces == 1


def test_an_arm_cut_at_the_body_is_parted_from_it():
    found = report(without((GRID.positions[:, 0] + 0.33).abs() < 1.2 * GRID.h))
    assert LEFT in found.parted
    assert RIGHT not in found.parted
    assert found.result_pieces == 2


def test_shreds_along_a_stroke_are_a_break():
    found = report(without((GRID.positions[:, 0] > 0.35) & (torch.sin(30 * GRID.positions[:, 0]) > 0)))
    assert RIGHT in found.severed


def test_thickening_is_growth_and_movement():
    found = report(sketch().sdf - 2 * GRID.h)
    assert found.growth > 0.9
    assert found.moved > 0.9
    assert found.severed == []


def test_slack_allows_what_it_covers():
    moved = DMTet(GRID, sketch().sdf - 1.2 * GRID.h, offsets=False).extract()
    strict, loose = measure_fidelity(sketch(), GRID, moved), measure_fidelity(sketch(), GRID, moved, slack=1.0)
    assert strict.stroke_recall[RIGHT] < 0.2
    assert loose.stroke_recall[RIGHT] > 0.95
    assert loose.growth < 0.05 < strict.growth
    one_side = np.where(sketch().strokes.vertices[:, 0] > 0, 1.0, 0.0)
    mixed = measure_fidelity(sketch(), GRID, moved, slack=one_side)
    assert mixed.stroke_recall[RIGHT] > 0.95
    assert mixed.stroke_recall[LEFT] < 0.2


def test_noise_is_rough_and_a_second_piece_is_counted():
    random = torch.Generator().manual_seed(0)
    found = report(sketch().sdf + 0.3 * GRID.h * torch.randn(GRID.vertex_count, generator=random))
    assert found.roughness > 3 * found.sketch_roughness
    crumb = (GRID.positions - torch.tensor([0.0, 0.8, 0.0])).norm(dim=1) - 0.1
    assert report(torch.minimum(sketch().sdf, crumb)).result_pieces == 2


def test_a_hollow_is_not_a_piece():
    hollow = torch.maximum(sketch().sdf, 0.12 - GRID.positions.norm(dim=1))
    assert report(hollow).result_pieces == 1


def test_an_empty_result_has_lost_everything():
    found = report(torch.ones(GRID.vertex_count))
    assert (found.recall, found.result_pieces) == (0.0, 0)
    assert found.severed == [BODY, RIGHT, LEFT]


def test_a_sheet_counts_on_both_sides():
    vertices = np.array([[-0.7, -0.7, 0], [0.7, -0.7, 0], [0.7, 0.7, 0], [-0.7, 0.7, 0.0]])
    sheet = fit_sdf(vertices, np.array([[0, 1, 2], [0, 2, 3]]), GRID)
    whole = measure_fidelity(sheet, GRID, DMTet(GRID, sheet.sdf, offsets=False).extract())
    assert whole.recall > 0.95
    assert whole.severed == []
    above = torch.maximum(sheet.sdf, -GRID.positions[:, 2])
    half = measure_fidelity(sheet, GRID, DMTet(GRID, above, offsets=False).extract())
    assert half.recall < 0.7


def test_the_tolerance_never_covers_a_thin_stroke():
    assert tolerance(np.array([0.03, 10.0]), 0.04, 0.0) == pytest.approx([0.01, 0.06])
    assert tolerance(np.array([0.03]), 0.04, 0.5) == pytest.approx([0.025])


def test_a_result_may_have_gradients():
    mesh = DMTet(GRID, sketch().sdf).extract()
    assert mesh.vertices.requires_grad
    assert meter().measure(Mesh(mesh.vertices, mesh.faces)).recall > 0.99
