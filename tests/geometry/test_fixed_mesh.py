import numpy as np
import pytest
import torch

from backend.geometry.fixed_mesh import FixedMesh, first_at_position


def test_a_seam_is_no_boundary():
    """Two triangles that share an edge only by position: vertices 1 and 2 again as 3 and 5."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, -0.0]])
    surface = FixedMesh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    mesh = surface.extract()
    assert torch.equal(mesh.faces, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    assert mesh.edges is not None
    assert mesh.edges.ends.tolist() == [[0, 1], [0, 2], [1, 2], [1, 4], [2, 4]]
    assert (mesh.edges.opposite[:, 1] >= 0).tolist() == [False, False, True, False, False]


def test_it_has_nothing_to_learn():
    surface = FixedMesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    mesh = surface.extract()
    assert surface.parameters() == surface.regularisers(mesh) == surface.state() == {}
    surface.constrain()
    surface.load_state({})
    with pytest.raises(ValueError, match="no state to load, got"):
        surface.load_state({"sdf": torch.zeros(1)})


def test_positions_are_joined_within_a_tolerance():
    points = np.array([[0, 0, 0], [1e-9, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float64)
    assert first_at_position(points).tolist() == [0, 1, 2, 0]
    assert first_at_position(points, 1e-6).tolist() == [0, 0, 2, 0]
