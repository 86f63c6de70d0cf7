import torch

from backend.geometry.contract import Mesh
from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.shape_terms import eikonal, laplacian, normal_consistency, sign_agreement
from tests.geometry.shapes import noise, sphere


def test_a_plane_has_no_bend_and_a_right_angle_has_one():
    vertices = torch.tensor([[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3]])
    assert normal_consistency(Mesh(vertices, faces)).item() == 0
    folded = vertices.clone()
    folded[3] = torch.tensor([0.0, 0, 1])
    torch.testing.assert_close(normal_consistency(Mesh(folded, faces)), torch.tensor(1.0))


def test_the_laplacian_of_a_spike_pulls_it_back():
    vertices = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]])
    gradient = torch.autograd.grad(laplacian(Mesh(vertices, faces)), vertices)[0]
    assert gradient[0, 2] > 0
    assert (gradient[1:, 2] < 0).all()


def test_a_true_distance_is_eikonal_and_a_scaled_one_is_not():
    grid = KuhnGrid(32)
    for scale, expected in ((1.0, 0.0), (2.0, 1.0), (0.5, 0.25)):
        surface = DMTet(grid, scale * sphere(grid))
        mesh = surface.extract()
        assert abs(surface.regularisers(mesh)["eikonal"].item() - expected) < 0.01
    assert eikonal(grid, sphere(grid), torch.zeros(0, dtype=torch.int64)) == 0


def test_sign_agreement_prefers_fewer_changes_of_sign():
    grid = KuhnGrid(12)
    clean, rough = DMTet(grid, sphere(grid)), DMTet(grid, noise(grid))
    totals = []
    for surface in (clean, rough):
        mesh = surface.extract()
        totals.append(surface.regularisers(mesh)["sign"] * len(mesh.vertices))
    assert totals[0] < totals[1]
    values = torch.tensor([-0.1, 0.1], requires_grad=True)
    gradient = torch.autograd.grad(sign_agreement(values, torch.tensor([0]), torch.tensor([1])), values)[0]
    assert gradient[0] > 0 > gradient[1]  # both are drawn towards the other's sign
