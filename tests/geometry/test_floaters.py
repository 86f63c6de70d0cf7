import torch

from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from tests.geometry.shapes import assert_closed, euler

GRID = KuhnGrid(32)


def ball(centre: tuple[float, float, float], radius: float) -> torch.Tensor:
    return (GRID.positions - torch.tensor(centre)).norm(dim=1) - radius


def field() -> torch.Tensor:
    """A large ball with a bubble, and two small ones apart."""
    large = torch.maximum(ball((0, 0, 0), 0.5), -ball((0.1, 0, 0), 0.15))
    return torch.minimum(large, torch.minimum(ball((0.8, 0, 0), 0.09), ball((-0.8, 0, 0), 0.09)))


def test_small_pieces_go_and_bubbles_are_filled():
    surface = DMTet(GRID, field())
    assert euler(surface.extract()) == 2 * 4
    assert surface.remove_floaters(torch.zeros(0, 3)) == (2, 1)
    mesh = surface.extract()
    assert_closed(mesh)
    assert euler(mesh) == 2
    assert surface.remove_floaters(torch.zeros(0, 3)) == (0, 0)
    assert mesh.vertices.norm(dim=1).max() < 0.55


def test_a_piece_on_the_sketch_stays():
    surface = DMTet(GRID, field())
    assert surface.remove_floaters(torch.tensor([[0.8, 0.09, 0.0]])).removed == 1
    assert surface.extract().vertices[:, 0].max() > 0.8


def test_kept_pieces_and_kept_bubbles_stay_bit_for_bit():
    keep = (GRID.positions[:, 0] > 0).float()
    surface = DMTet(GRID, field(), keep=keep)
    before = surface.field()
    assert surface.remove_floaters(torch.zeros(0, 3)) == (1, 0)
    assert torch.equal(surface.field()[keep == 1], before[keep == 1])


def test_removal_holds_against_the_bound_on_delta_and_the_coarse_lattice():
    surface = DMTet(GRID, field(), bound=torch.full((GRID.vertex_count,), 0.01), lattice=2)
    with torch.no_grad():
        surface.parameters()["sdf"].fill_(-0.005)
    before = surface.field()
    surface.remove_floaters(torch.zeros(0, 3))
    assert euler(surface.extract()) == 2
    untouched = (before - surface.field()).abs() < 1e-6
    assert untouched.float().mean() > 0.95


def test_an_empty_field_has_nothing_to_remove():
    surface = DMTet(GRID, torch.ones(GRID.vertex_count))
    assert surface.remove_floaters(torch.zeros(0, 3)) == (0, 0)
