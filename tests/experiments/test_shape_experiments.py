"""E1, E2 and E3: their parts against closed forms, and a few of their cells on tiny settings."""

import math

import pytest
import torch
import trimesh

from backend.experiments import descents, slack, starts
from backend.experiments.contract import Context, Plan
from backend.experiments.descents import ElementAdam, SmoothedAdam, smoothed
from backend.experiments.runner import plan_cells, run_cells
from backend.experiments.shape_runs import topology
from backend.geometry.contract import Mesh
from backend.geometry.dmtet import DMTet
from backend.geometry.kuhn import KuhnGrid
from backend.priors.card import PriorCard
from backend.priors.resolve import STARTER, resolve_prior
from backend.refine.resolve import resolve
from backend.render.rasterizer import choose_rasterizer
from backend.render.silhouette import largest_hole

RASTERIZER = choose_rasterizer("auto", "cpu")


def as_mesh(*parts):
    whole = trimesh.util.concatenate(parts)
    return Mesh(torch.tensor(whole.vertices, dtype=torch.float32), torch.tensor(whole.faces, dtype=torch.int64))


def standing_ring(major=0.5, minor=0.2):
    ring = trimesh.creation.torus(major, minor, major_sections=96, minor_sections=48)
    ring.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, (1, 0, 0)))
    return ring


def test_the_hole_of_a_ring_is_seen_through_at_its_size():
    """From the front: the hole's disc over the ring's annulus, (R - r)^2 / ((R + r)^2 - (R - r)^2)."""
    expected = 0.3**2 / (0.7**2 - 0.3**2)
    assert largest_hole(as_mesh(standing_ring()), RASTERIZER, size_px=256) == pytest.approx(expected, rel=0.05)


def test_what_is_not_pierced_has_no_hole():
    ball = trimesh.creation.icosphere(3, 0.5)
    plugged = trimesh.creation.cylinder(0.35, 0.1, sections=48)
    plugged.apply_transform(trimesh.transformations.rotation_matrix(math.pi / 2, (1, 0, 0)))
    assert largest_hole(as_mesh(ball), RASTERIZER) == 0
    assert largest_hole(as_mesh(standing_ring(), plugged), RASTERIZER) == 0
    assert largest_hole(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), RASTERIZER) == 0


def test_pieces_and_genus():
    ball = trimesh.creation.icosphere(2, 0.2)
    ball.apply_translation([0, 0, 2])
    assert topology(as_mesh(ball)) == (1, 0)
    assert topology(as_mesh(standing_ring())) == (1, 1)
    assert topology(as_mesh(standing_ring(), ball)) == (2, 1)
    assert topology(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))) == (0, 0)


def test_smoothing_spreads_a_point_as_a_gaussian_and_keeps_its_sum():
    volume = torch.zeros(1, 1, 17, 17, 17, dtype=torch.float64)
    volume[0, 0, 8, 8, 8] = 1.0
    after = smoothed(volume, 1.5)[0, 0]
    assert after.sum().item() == pytest.approx(1.0)
    assert (after[10, 8, 8] / after[8, 8, 8]).item() == pytest.approx(math.exp(-0.5 * (2 / 1.5) ** 2))
    torch.testing.assert_close(after, after.permute(2, 0, 1))


def test_optimisers_of_the_comparison_step_as_they_say():
    """Per element, a first step is the rate whatever the gradient's size; shared and smoothed, neighbours of a lone gradient move too."""
    gradient = torch.zeros(9**3)
    gradient[4 * 81 + 4 * 9 + 4], gradient[0] = 1.0, 1e-3
    moves = {}
    for name, make in (("element", ElementAdam), ("smoothed", lambda leaf: SmoothedAdam(leaf, 9, 10))):
        leaf = torch.zeros(9**3, requires_grad=True)
        leaf.grad = gradient.clone()
        make(leaf).step(0.1)
        moves[name] = leaf.detach().view(9, 9, 9)
    assert moves["element"][4, 4, 4].item() == pytest.approx(-0.1, rel=1e-4) and moves["element"][0, 0, 0].item() == pytest.approx(
        -0.1, rel=1e-4
    )
    assert (moves["element"] != 0).sum() == 2
    assert 0.5 < (moves["smoothed"][4, 4, 5] / moves["smoothed"][4, 4, 4]).item() < 1
    assert abs(moves["smoothed"][0, 0, 0].item()) < 1e-2


def test_moments_handed_on_leave_the_width_of_the_smoothing_to_the_new_stage():
    gradient = torch.zeros(9**3)
    gradient[4 * 81 + 4 * 9 + 4] = 1.0
    leaf = torch.zeros(9**3, requires_grad=True)
    before, after = SmoothedAdam(leaf, 9, 3), SmoothedAdam(leaf, 9, 3)
    for _ in range(3):
        leaf.grad = gradient.clone()
        before.step(0.1)
    torch.testing.assert_close(leaf.grad.view(1, 1, 9, 9, 9), smoothed(gradient.view(1, 1, 9, 9, 9), descents.SMOOTHING[1]))
    after.load_state(before.state())
    leaf.grad = gradient.clone()
    after.step(0.1)
    torch.testing.assert_close(leaf.grad.view(1, 1, 9, 9, 9), smoothed(gradient.view(1, 1, 9, 9, 9), descents.SMOOTHING[0]))
    assert after.steps == 4


def test_random_signs_lie_within_their_ball_and_are_reproducible():
    surface = DMTet(KuhnGrid(32), torch.ones(33**3))
    signs = starts.random_signs(surface, 3)
    inside = signs < 0
    assert 0.3 < inside[surface.grid.positions.norm(dim=1) < 0.6].float().mean() < 0.7
    assert not inside[surface.grid.positions.norm(dim=1) > starts.SIGN_RADIUS].any()
    assert torch.equal(signs, starts.random_signs(surface, 3)) and not torch.equal(signs, starts.random_signs(surface, 4))


def test_every_combination_is_a_cell_and_equal_work_is_equal():
    plan = Plan(PriorCard())
    made = {experiment.name: experiment.cells(plan) for experiment in (slack.EXPERIMENT, descents.EXPERIMENT, starts.EXPERIMENT)}
    assert {name: len(cells) for name, cells in made.items()} == {"slack": 63, "descents": 36, "starts": 18}
    for cells in made.values():
        assert len({cell.name for cell in cells}) == len(cells)
    for cell in made["starts"]:
        *moving, colour = starts._job(cell, PriorCard()).stages
        assert sum(stage.steps * stage.views for stage in moving) == 1000 and colour.name == "colour"
    for cell in starts.EXPERIMENT.cells(Plan(PriorCard(), steps=60)):
        stages = resolve(starts._job(cell, PriorCard()), PriorCard()).stages
        assert sum(stage.steps * stage.views for stage in stages) == 30 * 2 + 10 * 4 + 20 * 4


@pytest.mark.long
@pytest.mark.parametrize(
    ("experiment", "pick"),
    [
        (slack.EXPERIMENT, {"bound": "symmetric", "slack": 1.0, "sketch": "snowman"}),
        (descents.EXPERIMENT, {"optimiser": "Adam", "moments": "kept"}),
        (descents.EXPERIMENT, {"optimiser": "smoothed uniform Adam", "moments": "kept"}),
        (starts.EXPERIMENT, {"start": "random signs"}),
        (starts.EXPERIMENT, {"start": "haze"}),
    ],
)
def test_a_cell_of_a_few_steps_gives_its_numbers_and_its_sheet(experiment, pick, tmp_path):
    prior = resolve_prior(str(STARTER), torch.device("cpu"))
    plan = Plan(prior.card, steps=6)
    context = Context(prior, tmp_path, plan)
    chosen = next(cell for cell in experiment.cells(plan) if all(cell.spec[key] == value for key, value in pick.items()))

    class One(type(experiment)):
        def cells(self, plan):
            return [chosen]

    one = One()
    (result,) = run_cells(one, context, plan_cells(one, context, ("weights",)))
    assert not result.failure
    values = result.values
    assert (tmp_path / values["sheet"]).is_file()
    assert 0 <= values["noun"] <= 1 and 0 <= values["clay_noun"] <= 1 and values["rows"] > 0 and values["pieces"] >= 1
    means, each = one.tables([result])
    assert len(means.rows) == len(each.rows) == 1 and len(means.rows[0]) == len(means.columns)
    assert [path.is_file() for path in one.figures([result], tmp_path)] == [True]
