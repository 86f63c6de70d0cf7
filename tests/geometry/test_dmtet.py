import pytest
import torch

from backend.geometry.dmtet import SAFE_OFFSET, DMTet, _Bounded
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.tet_width import half_widths
from tests.geometry.shapes import assert_closed, euler, noise, sphere, torus, volume


def signed_volumes(grid: KuhnGrid, positions: torch.Tensor) -> torch.Tensor:
    """Six times the volume of every tetrahedron, in units of h^3."""
    cells = grid.cell_base(torch.arange(grid.n**3))
    corners = positions[cells[:, None, None] + grid.corner_offset[grid.local]]
    edges = corners[..., 1:, :] - corners[..., :1, :]
    return torch.linalg.det(edges.double()).flatten() / grid.h**3


def set_offsets(surface: DMTet, directions: torch.Tensor) -> None:
    with torch.no_grad():
        surface.parameters()["offset"].copy_(1e4 * directions)


def descend(surface: DMTet, steps: int, rate: float, target: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(surface.parameters().values(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        mesh = surface.extract()
        ((mesh.vertices - target).square().sum() + sum(surface.regularisers(mesh).values())).backward()
        optimiser.step()
        surface.constrain()


@pytest.mark.parametrize(("shape", "expected"), [(sphere, 2), (torus, 0), (noise, None)])
@pytest.mark.parametrize("offsets", [False, True])
def test_surfaces_are_closed_and_of_the_right_kind(shape, expected: int | None, offsets: bool):
    grid = KuhnGrid(24)
    surface = DMTet(grid, shape(grid))
    if offsets:
        set_offsets(surface, torch.randn(grid.vertex_count, 3, generator=torch.Generator().manual_seed(0)))
    mesh = surface.extract()
    assert_closed(mesh)
    assert volume(mesh.vertices, mesh.faces) > 0
    if expected is not None:
        assert euler(mesh) == expected


def test_a_torus_at_64_cells_has_the_right_volume():
    grid = KuhnGrid(64)
    mesh = DMTet(grid, torus(grid), offsets=False).extract()
    assert volume(mesh.vertices.double(), mesh.faces).item() == pytest.approx(2 * torch.pi**2 * 0.5 * 0.04, rel=5e-3)


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_a_field_of_one_sign_survives_a_step(value: float):
    grid = KuhnGrid(4)
    surface = DMTet(grid, torch.full((125,), value))
    surface._wall[:] = False  # else the wall would enclose the inside
    mesh = surface.extract()
    assert len(mesh.vertices) == len(mesh.faces) == 0
    total = mesh.vertices.sum() + sum(surface.regularisers(mesh).values())
    total.backward()
    assert all(parameter.grad is None or (parameter.grad == 0).all() for parameter in surface.parameters().values())


def test_the_wall_closes_a_field_that_is_inside_everywhere():
    grid = KuhnGrid(6)
    mesh = DMTet(grid, -torch.ones(grid.vertex_count)).extract()
    assert_closed(mesh)
    assert mesh.vertices.abs().max() < 1


def test_a_kept_wall_is_left_open():
    grid = KuhnGrid(6)
    sdf = -torch.ones(grid.vertex_count)
    mesh = DMTet(grid, sdf, keep=torch.ones(grid.vertex_count)).extract()
    assert len(mesh.faces) == 0


@pytest.mark.parametrize("lattice", [1, 2])
@pytest.mark.parametrize("bounded", [False, True])
def test_keep_is_exact_under_adam_while_the_rest_moves(lattice: int, bounded: bool):
    grid = KuhnGrid(12)
    keep = (grid.positions[:, 0] < 0).float()
    keep[(grid.positions[:, 0] - 2 * grid.h).abs() < 1e-6] = 0.5
    bound = torch.full((grid.vertex_count,), 2 * grid.h) if bounded else None
    surface = DMTet(grid, sphere(grid), keep=keep, lattice=lattice, bound=bound)
    start, before = surface.state(), surface.extract().vertices.detach()
    field, positions = surface.field().detach(), surface.positions().detach()
    descend(surface, 50, 0.3 * grid.h, torch.tensor([0.3, 0.2, 0.1]))
    kept = keep == 1
    assert torch.equal(surface.field()[kept], field[kept])
    assert torch.equal(surface.positions()[kept], positions[kept])
    assert torch.equal(surface.field()[kept & ~grid.wall], start["rest_sdf"][kept & ~grid.wall])
    free = (keep == 0) & ~grid.wall
    assert ((surface.field() - field).abs()[free] > 0.1 * grid.h).float().mean() > 0.1
    after = surface.extract().vertices.detach()
    whole = -grid.h - 1e-6  # beyond the layer of edges that have one free end
    left = {tuple(v) for v in before[before[:, 0] < whole].tolist()}
    assert left == {tuple(v) for v in after[after[:, 0] < whole].tolist()}  # kept surface vertices, bit for bit


@pytest.mark.parametrize("lattice", [1, 2, 4])
def test_delta_never_exceeds_its_bound(lattice: int):
    grid = KuhnGrid(8)
    generator = torch.Generator().manual_seed(0)
    bound = torch.rand(grid.vertex_count, generator=generator) * grid.h
    bound[:50] = 0.0
    surface = DMTet(grid, sphere(grid), bound=bound, lattice=lattice)
    with torch.no_grad():
        raw = surface.parameters()["sdf"]
        raw.copy_(100 * torch.randn(raw.shape, generator=generator))
    assert ((surface.field() - sphere(grid)).abs() <= bound + 1e-7)[~grid.wall].all()
    assert torch.isfinite(torch.autograd.grad(surface.delta().sum(), raw)[0]).all()


def test_the_bound_has_slope_one_where_nothing_has_moved():
    grid = KuhnGrid(4)
    surface = DMTet(grid, sphere(grid), bound=torch.full((grid.vertex_count,), 0.1))
    gradient = torch.autograd.grad(surface.delta().sum(), surface.parameters()["sdf"])[0]
    torch.testing.assert_close(gradient, torch.ones_like(gradient))


def test_a_raw_value_far_outside_its_bound_is_brought_back_to_where_it_can_move():
    grid = KuhnGrid(4)
    bound = torch.full((grid.vertex_count,), 0.1)
    surface = DMTet(grid, sphere(grid), bound=bound)
    with torch.no_grad():
        surface.parameters()["sdf"].fill_(50.0)
        surface.parameters()["offset"].fill_(50.0)
    surface.constrain()
    assert torch.autograd.grad(surface.delta().sum(), surface.parameters()["sdf"])[0].min() > 0.05
    assert surface.parameters()["offset"].norm(dim=1).max() <= 2.0 + 1e-5


@pytest.mark.parametrize("directions", ["random", "against each other", "one axis"])
def test_offsets_at_the_bound_turn_no_tetrahedron_over(directions: str):
    grid = KuhnGrid(6)
    surface = DMTet(grid, noise(grid))
    if directions == "random":
        cases = [torch.randn(grid.vertex_count, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    elif directions == "against each other":
        # Each vertex of one tetrahedron moves along the direction in which that tetrahedron is thinnest.
        signs = torch.tensor([(-1.0) ** (i + j + k) for i in range(7) for j in range(7) for k in range(7)])
        axes = torch.tensor([[1.0, 1, 1], [1, -1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 0], [0, 1, -1], [1, 0, -1], [1, 1, 0]])
        cases = [signs[:, None] * axis for axis in axes]
    else:
        parity = torch.tensor([(-1.0) ** i for i in range(7) for _ in range(49)])
        cases = [parity[:, None] * torch.tensor([[1.0, 0, 0]])]
    for case in cases:
        set_offsets(surface, case)
        assert (surface.positions() - grid.positions).norm(dim=1).max() <= SAFE_OFFSET * grid.h * (1 + 1e-5)
        assert signed_volumes(grid, surface.positions().detach()).min() > 0.02


def test_the_offset_bound_is_close_to_the_largest_safe_one():
    """Half the width of a Kuhn tetrahedron; a move of that length along its thinnest direction makes it flat."""
    grid = KuhnGrid(4)
    widths = half_widths(grid, grid.positions.double()) / grid.h
    torch.testing.assert_close(widths, torch.full_like(widths, 1 / (2 * 3**0.5)), rtol=1e-6, atol=0)


def test_offsets_have_the_right_gradient_also_at_zero():
    grid = KuhnGrid(2)
    surface = DMTet(grid, sphere(grid, dtype=torch.float64))
    raw = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: _Bounded.apply(x, torch.full((6, 1), 0.2, dtype=torch.float64)), (raw,))
    gradient = torch.autograd.grad(surface.positions().sum(), surface.parameters()["offset"])[0]
    torch.testing.assert_close(gradient, torch.full_like(gradient, SAFE_OFFSET * grid.h))


def test_finite_differences_through_the_whole_surface():
    grid = KuhnGrid(5)
    keep = torch.rand(grid.vertex_count, generator=torch.Generator().manual_seed(2)) * 0.9
    surface = DMTet(grid, noise(grid).double(), keep=keep, bound=torch.full((grid.vertex_count,), 0.3), lattice=1)
    parameters = surface.parameters()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    steps = {name: torch.randn(p.shape, generator=generator, dtype=torch.float64) for name, p in parameters.items()}
    weights = torch.randn(5000, 3, generator=generator, dtype=torch.float64)
    start = surface.state()

    def functional(size: float) -> torch.Tensor:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(start[name] + size * steps[name])
        vertices = surface.extract().vertices
        return (vertices.square() * weights[: len(vertices)]).sum()

    gradients = torch.autograd.grad(functional(0.0), list(parameters.values()))
    exact = sum((g * steps[name]).sum() for g, name in zip(gradients, parameters, strict=True))
    measured = (functional(1e-7) - functional(-1e-7)) / 2e-7
    torch.testing.assert_close(measured.detach(), exact, rtol=1e-6, atol=1e-6)


def test_doubling_reproduces_the_surface_and_keeps_what_is_kept():
    grid = KuhnGrid(12)
    keep = (grid.positions[:, 2] > 0).float()
    surface = DMTet(grid, torus(grid).double(), keep=keep, bound=torch.full((grid.vertex_count,), 0.1), lattice=2)
    descend(surface, 5, 0.2 * grid.h, torch.zeros(3, dtype=torch.float64))
    fine = surface.refined()
    coarse_mesh, fine_mesh = surface.extract(), fine.extract()
    assert fine.grid.n == 24
    assert_closed(fine_mesh)
    torch.testing.assert_close(fine.field(), grid.refine(surface.field()), rtol=0, atol=1e-14)
    expected = volume(coarse_mesh.vertices, coarse_mesh.faces)
    torch.testing.assert_close(volume(fine_mesh.vertices, fine_mesh.faces), expected, rtol=1e-12, atol=1e-14)
    kept = fine.keep == 1
    before = fine.field().detach()[kept]
    descend(fine, 5, 0.2 * grid.h, torch.zeros(3, dtype=torch.float64))
    assert torch.equal(fine.field()[kept], before)
    set_offsets(fine, torch.randn(fine.grid.vertex_count, 3, generator=torch.Generator().manual_seed(0)))
    assert signed_volumes(fine.grid, fine.positions().detach()).min() > 0


def test_a_moved_grid_may_move_again_after_doubling_without_turning_over():
    grid = KuhnGrid(8)
    surface = DMTet(grid, noise(grid))
    set_offsets(surface, torch.randn(grid.vertex_count, 3, generator=torch.Generator().manual_seed(0)))
    fine = surface.refined()
    for seed in range(3):
        set_offsets(fine, torch.randn(fine.grid.vertex_count, 3, generator=torch.Generator().manual_seed(seed)))
        assert signed_volumes(fine.grid, fine.positions().detach()).min() > 0
    again = DMTet(fine.grid, noise(fine.grid))
    again.load_state(fine.state())
    assert torch.equal(again.extract().vertices, fine.extract().vertices)


def test_rebase_changes_no_surface():
    grid = KuhnGrid(10)
    surface = DMTet(grid, sphere(grid), bound=torch.full((grid.vertex_count,), 0.1))
    descend(surface, 5, 0.2 * grid.h, torch.zeros(3))
    before = surface.extract()
    surface.rebase()
    after = surface.extract()
    assert torch.equal(before.vertices, after.vertices)
    assert (surface.parameters()["sdf"] == 0).all()


def test_ten_and_ten_steps_equal_twenty():
    grid = KuhnGrid(10)

    def fresh() -> tuple[DMTet, torch.optim.Adam]:
        surface = DMTet(grid, noise(grid), bound=torch.full((grid.vertex_count,), 0.1), lattice=2)
        return surface, torch.optim.Adam(surface.parameters().values(), lr=0.05 * grid.h)

    def go(surface: DMTet, optimiser: torch.optim.Adam, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            surface.extract().vertices.square().sum().backward()
            optimiser.step()
            surface.constrain()

    straight, optimiser = fresh()
    go(straight, optimiser, 20)
    first, optimiser = fresh()
    go(first, optimiser, 10)
    saved, moments = first.state(), optimiser.state_dict()
    second, optimiser = fresh()
    second.load_state(saved)
    optimiser.load_state_dict(moments)
    go(second, optimiser, 10)
    assert torch.equal(straight.extract().vertices, second.extract().vertices)


def test_a_state_of_another_size_is_refused():
    grid = KuhnGrid(4)
    with pytest.raises(ValueError, match="does not fit"):
        DMTet(grid, sphere(grid)).load_state(DMTet(KuhnGrid(6), sphere(KuhnGrid(6))).state())


def test_wrong_shapes_are_refused_with_both_sizes():
    grid = KuhnGrid(4)
    with pytest.raises(ValueError, match=r"keep must be \[125\].*got \[3\]"):
        DMTet(grid, sphere(grid), keep=torch.zeros(3))
    with pytest.raises(ValueError, match="lattice must divide"):
        DMTet(grid, sphere(grid), lattice=3)
    fresh, mesh = DMTet(grid, sphere(grid)), DMTet(grid, sphere(grid)).extract()
    with pytest.raises(ValueError, match=r"call extract\(\) first"):
        fresh.regularisers(mesh)


@pytest.mark.parametrize("lattice", [2, 3])
def test_a_coarse_lattice_is_interpolated_along_each_axis(lattice: int):
    grid, coarse = KuhnGrid(6), KuhnGrid(6 // lattice)
    surface = DMTet(grid, sphere(grid).double(), lattice=lattice)

    def trilinear(points: torch.Tensor) -> torch.Tensor:
        x, y, z = points.double().unbind(1)
        return 1 + x + 2 * y + 3 * z + x * y - 2 * y * z + 0.5 * x * y * z

    with torch.no_grad():
        surface.parameters()["sdf"].copy_(trilinear(coarse.positions))
    torch.testing.assert_close(surface.delta(), trilinear(grid.positions), atol=1e-5, rtol=0)
