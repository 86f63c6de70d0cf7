import pytest
import torch

from backend.appearance.hash_grid import PRIMES, HashGridField, hash_index
from backend.appearance.keep import GridValues, KeptColour, snapshot
from backend.appearance.start_colours import fit_start_colours
from backend.appearance.triplane import TriplaneField
from backend.colour import linear_to_srgb

FIELDS = [
    pytest.param(lambda seed: TriplaneField(16, 4, 16, generator=torch.Generator().manual_seed(seed)), id="triplane"),
    pytest.param(lambda seed: HashGridField(4, 10, finest=32, generator=torch.Generator().manual_seed(seed)), id="hash grid"),
]


def points(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(3), dtype=dtype) - 1


@pytest.mark.parametrize("make", FIELDS)
def test_fields_give_linear_colours_and_the_same_seed_the_same_field(make):
    field = make(0)
    colours = field(points(50))
    assert colours.shape == (50, 3)
    assert ((colours > 0) & (colours < 1)).all()
    assert torch.equal(colours, make(0)(points(50)))
    assert not torch.equal(colours, make(1)(points(50)))
    assert field(points(0)).shape == (0, 3)


@pytest.mark.parametrize("make", FIELDS)
def test_no_points_give_zero_gradients(make):
    field = make(0)
    field(points(0)).sum().backward()
    assert all((parameter.grad == 0).all() for parameter in field.parameters())


@pytest.mark.parametrize("make", FIELDS)
def test_field_gradients_in_float64(make):
    field = make(0).double()
    where = (0.9 * points(4, torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: field(p), where, atol=1e-5)
    parameter = next(field.parameters())
    (gradient,) = torch.autograd.grad(field(where).square().sum(), parameter)
    direction = torch.randn(parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            parameter += step * direction
            values.append(field(where).square().sum().item())
            parameter -= step * direction
    assert (gradient * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("make", FIELDS)
def test_fields_take_the_border_outside_the_domain(make):
    field = make(0)
    torch.testing.assert_close(field(torch.tensor([[1.7, 0.2, -3.0]])), field(torch.tensor([[1.0, 0.2, -1.0]])))


@pytest.mark.parametrize("make", FIELDS)
def test_every_parameter_is_in_one_group_with_its_rate(make):
    field = make(0)
    groups = field.parameter_groups()
    assert [(group["name"], group["lr"]) for group in groups] == [("encoding", 1e-2), ("network", 1e-3)]
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in field.parameters())


def test_planes_are_sampled_at_their_own_axes():
    """With one feature plane set at a time, colours vary along that plane's two axes only."""
    for plane, still in ((0, 2), (1, 1), (2, 0)):
        field = TriplaneField(16, 4, 16, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            field.planes[[k for k in range(3) if k != plane]] = 0
        moved = points(20)
        moved[:, still] = 0.123
        assert torch.equal(field(moved), field(torch.where(torch.arange(3) == still, -0.8, moved)))
        other = (still + 1) % 3
        assert not torch.allclose(field(moved), field(torch.where(torch.arange(3) == other, -0.8, moved)))


def test_hash_equals_unsigned_32_bit_arithmetic():
    corner = torch.randint(0, 2048, (500, 3), generator=torch.Generator().manual_seed(0))
    expected = []
    for x, y, z in corner.tolist():
        words = [(v * p) % 2**32 for v, p in zip((x, y, z), PRIMES, strict=True)]
        expected.append((words[0] ^ words[1] ^ words[2]) % 2**14)
    assert hash_index(corner, 2**14).tolist() == expected


def two_colours(where: torch.Tensor) -> torch.Tensor:
    return torch.where(where[:, :1] > 0, torch.tensor([0.6, 0.02, 0.02]), torch.tensor([0.05, 0.5, 0.1]))


def test_start_colours_are_those_of_the_sketch():
    where = points(3000)
    where = where / where.norm(dim=-1, keepdim=True)
    field = TriplaneField(generator=torch.Generator().manual_seed(0))
    error = fit_start_colours(field, where, two_colours(where), 80, generator=torch.Generator().manual_seed(1))
    shown = (linear_to_srgb(field(where)) - linear_to_srgb(two_colours(where))).square().mean().sqrt().item()
    assert error == pytest.approx(shown)
    assert error < 0.08
    assert all(parameter.grad is None for parameter in field.parameters())
    assert fit_start_colours(field, where[:0], where[:0]) == 0.0


def test_kept_colours_stay_bit_for_bit_while_the_field_learns():
    field = TriplaneField(16, 4, 16, generator=torch.Generator().manual_seed(0))
    values = (torch.linspace(-1, 1, 9) > 0).float()[:, None, None].expand(9, 9, 9)
    kept = KeptColour(snapshot(field), field, GridValues(values))
    where = points(500)
    before = kept(where)
    optimiser = torch.optim.Adam(kept.parameter_groups())
    for _ in range(5):
        optimiser.zero_grad()
        (kept(where) - 0.9).square().mean().backward()
        optimiser.step()
    after = kept(where)
    pinned, free = where[:, 0] > 0.25, where[:, 0] < 0
    assert torch.equal(after[pinned], before[pinned])
    assert torch.equal(after[free], field(where[free]))
    assert not torch.equal(after[free], before[free])
    assert [name for name, _ in kept.named_parameters()] == ["live." + name for name, _ in field.named_parameters()]


def test_a_live_colour_that_is_not_finite_never_reaches_a_kept_point():
    class Broken(torch.nn.Module):
        def forward(self, where):
            return torch.full_like(where, torch.nan)

    kept = KeptColour(lambda where: where, Broken(), lambda where: (where[:, 0] > 0).float())
    colours = kept(torch.tensor([[0.5, 0.1, 0.1], [-0.5, 0.1, 0.1]]))
    assert torch.equal(colours[0], torch.tensor([0.5, 0.1, 0.1]))
    assert colours[1].isnan().all()


def test_grid_values_are_indexed_x_y_z():
    axis = torch.linspace(-1, 1, 5)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    where = points(100)
    torch.testing.assert_close(GridValues(x + 10 * y + 100 * z)(where), where @ torch.tensor([1.0, 10, 100]), rtol=1e-4, atol=1e-4)
    assert GridValues(x)(points(0)).shape == (0,)
