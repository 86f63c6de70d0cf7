import numpy as np
import pytest
import torch
import trimesh

from backend.geometry.clean import Cleaned, clean, is_watertight, taubin
from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.sketch_sdf import fit_sdf
from tests.geometry.shapes import sphere, torus, tube

GRID = KuhnGrid(40)


def extraction(sdf: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    mesh = DMTet(GRID, sdf, offsets=False).extract()
    return mesh.vertices.detach().numpy(), mesh.faces.numpy()


def noisy(sdf: torch.Tensor, amount: float) -> torch.Tensor:
    return sdf + amount * GRID.h * torch.randn(GRID.vertex_count, generator=torch.Generator().manual_seed(0))


def pieces(cleaned: Cleaned) -> list[trimesh.Trimesh]:
    return list(trimesh.Trimesh(cleaned.vertices, cleaned.faces, process=False).split(only_watertight=False))


@pytest.mark.parametrize("shape", [sphere, torus])
@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_clean_and_noisy_surfaces_stay_closed_within_budget(shape, amount: float):
    vertices, faces = extraction(noisy(shape(GRID), amount))
    budget = 4000
    result = clean(vertices, faces, budget)
    assert is_watertight(result.faces, len(result.vertices))
    assert len(result.faces) <= budget
    assert len(np.unique(result.faces)) == len(result.vertices)
    before, after = (trimesh.Trimesh(v, f, process=False).volume for v, f in ((vertices, faces), result[:2]))
    assert after == pytest.approx(before, rel=0.03 if amount < 1 else 0.06)
    assert len(result.notes) == (amount == 1.0)  # "too noisy", and nevertheless closed, within budget and of the same volume


def test_decimation_alone_would_open_the_noisy_one():
    """The reason for the detour: the library's own result on this surface has edges of more than two faces."""
    import fast_simplification

    vertices, faces = extraction(noisy(sphere(GRID), 1.0))
    points, triangles = fast_simplification.simplify(vertices, faces.astype(np.int32), target_count=4000)[:2]
    assert not is_watertight(np.asarray(triangles, dtype=np.int64), len(points))


def test_slivers_of_an_aligned_shape_go_and_its_volume_stays():
    """A box on grid planes has faces without area."""
    vertices, faces = extraction(GRID.positions.abs().amax(1) - 12 * GRID.h)
    before = trimesh.Trimesh(vertices, faces, process=False)
    assert (before.area_faces < 1e-12).any()
    result = clean(vertices, faces, 20_000)
    after = trimesh.Trimesh(result.vertices, result.faces, process=False)
    assert after.area_faces.min() > 1e-9
    assert after.volume == pytest.approx(before.volume, rel=0.01)
    assert len(after.faces) < 0.2 * len(faces)


def test_a_thin_stroke_keeps_its_thickness():
    stroke = tube((-0.7, 0.02, 0.03), (0.7, -0.04, 0.1), 1.3 * GRID.h)
    vertices, faces = extraction(fit_sdf(stroke.vertices, stroke.faces, GRID).sdf)
    before = trimesh.Trimesh(vertices, faces, process=False)
    for budget in (20_000, 300):
        result = clean(vertices, faces, budget)
        after = trimesh.Trimesh(result.vertices, result.faces, process=False)
        assert after.volume == pytest.approx(before.volume, rel=0.08)
        np.testing.assert_allclose(after.extents, before.extents, atol=1.5 * GRID.h)


def test_crumbs_go_unless_protected():
    crumb = (GRID.positions - torch.tensor([0.85, 0.0, 0.0])).norm(dim=1) - 0.08
    vertices, faces = extraction(torch.minimum(sphere(GRID, 0.6), crumb))
    alone = clean(vertices, faces, 20_000)
    assert (alone.dropped, len(pieces(alone))) == (1, 1)
    kept = clean(vertices, faces, 20_000, protect=np.array([[0.85, 0.0, 0.08]]))
    assert (kept.dropped, len(pieces(kept))) == (0, 2)
    elsewhere = clean(vertices, faces, 20_000, protect=np.array([[0.0, 0.0, 0.6]]))
    assert elsewhere.dropped == 1


def test_two_pieces_of_a_size_survive_a_small_budget():
    two = torch.minimum(*((GRID.positions - torch.tensor([x, 0.0, 0.0])).norm(dim=1) - 0.35 for x in (-0.45, 0.45)))
    result = clean(*extraction(two), 300)
    assert len(pieces(result)) == 2
    assert len(result.faces) <= 300


def test_an_empty_mesh_stays_empty():
    result = clean(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), 100)
    assert result.vertices.shape == result.faces.shape == (0, 3)


def test_an_open_mesh_is_said_to_be_open():
    half = trimesh.creation.icosphere(4)
    half.update_faces(half.triangles_center[:, 2] > 0)
    result = clean(half.vertices, half.faces, 500)
    assert 0 < len(result.faces) <= 500
    assert result.notes == ["The surface is not closed, so it was only decimated."]


def test_smoothing_takes_noise_and_leaves_volume():
    ball = trimesh.creation.icosphere(4)
    rough = ball.vertices * (1 + 0.02 * np.random.default_rng(0).standard_normal((len(ball.vertices), 1)))
    smooth = taubin(rough, ball.faces, 4)
    assert np.std(np.linalg.norm(smooth, axis=1)) < 0.6 * np.std(np.linalg.norm(rough, axis=1))
    assert trimesh.Trimesh(smooth, ball.faces).volume == pytest.approx(ball.volume, rel=0.01)


def test_watertight_means_two_faces_in_opposite_directions():
    box = trimesh.creation.box()
    faces = np.asarray(box.faces, dtype=np.int64)
    assert is_watertight(faces, 8)
    assert not is_watertight(faces[1:], 8)
    assert not is_watertight(np.concatenate([faces[:1, ::-1], faces[1:]]), 8)
    assert not is_watertight(np.concatenate([faces, faces]), 8)
    assert is_watertight(np.zeros((0, 3), dtype=np.int64), 0)
