"""The full dual bridge (arXiv 2406.09417) against one-step estimates, separate solves and the exact flows of Gaussians."""

from itertools import pairwise

import pytest
import torch

from backend.distill.contract import MethodState, add_noise
from backend.distill.guidance import GuidedField
from backend.distill.methods import METHODS
from backend.distill.parameters import BridgeParameters, DualBridgeParameters, PFDParameters
from backend.distill.pfd import there_and_back
from backend.priors.counting import CountingPrior
from backend.priors.nodes import geometric_nodes
from backend.priors.solvers import solve

from .conftest import gaussians, scene
from .flows import coefficients, field_of, flow_down, flow_up, values
from .one_step import TEXTS, eps, gradient_of, some_latents

LEVELS = [3, 250, 900]


def dual(prior, z, t, noise, texts=TEXTS, **settings):
    return gradient_of(DualBridgeParameters(**settings), prior, z, t, noise, texts)


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_dual_bridge_one_step_is_the_bridge_residual_times_st(solver, guidance):
    # G = psi_src - psi_tgt = st_t (e_tgt - e_src): the displacement of Eq. 4 with its sign turned.
    prior = scene()
    z, t, noise, x_t = some_latents(prior, LEVELS)
    alpha, sigma = coefficients(prior, t)
    null, target, source = (eps(prior, x_t, t, label) for label in ("", "target", "source"))
    by_hand = sigma / alpha * (null + guidance * (target - null) - source)
    found = dual(prior, z, t, noise, steps=1, solver=solver, guidance=guidance)
    torch.testing.assert_close(found, by_hand, atol=1e-12, rtol=1e-12)
    if guidance == 1.0:
        bridge = gradient_of(BridgeParameters(k=1.0, weighting="x0"), prior, z, t, noise)
        torch.testing.assert_close(found, bridge, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
def test_dual_bridge_of_equal_source_and_target_is_nothing(guidance, solver):
    z, t, noise, _ = some_latents(scene(), LEVELS)
    texts = {"source": "target", "target": "target", "null": ""}
    found = dual(scene(), z, t, noise, texts, guidance=guidance, source_guidance=guidance, steps=6, solver=solver)
    torch.testing.assert_close(found, torch.zeros_like(z), atol=1e-12, rtol=0)


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
def test_dual_bridge_side_by_side_is_two_separate_solves(solver):
    # Both flows share every denoiser call; views of unlike noise, guidance on both sides and Perp-Neg do not mix them up.
    prior = scene()
    z, t, noise, _ = some_latents(prior, LEVELS)
    away = torch.tensor([[-1.0, -0.2]])
    settings = {"steps": 6, "solver": solver, "guidance": 2.0, "source_guidance": 1.5, "perp_neg": True}
    conditions = {role: prior.embed([label]) for role, label in TEXTS.items()}
    conditions["away"] = prior.embed(["negative", "source"])
    both = METHODS["dual_bridge"].gradient(
        prior, z, t, {"noise": noise}, conditions, None, DualBridgeParameters(**settings), MethodState(away_weights=away.expand(3, 2))
    )
    for row, level in enumerate(LEVELS):
        nodes = [geometric_nodes(prior.abar_host, level, 6)[::-1]]
        one = slice(row, row + 1)
        x_t = add_noise(prior, z[one], t[one], noise[one])
        source = GuidedField(prior, {**conditions, "target": conditions["source"]}, 1.5)
        target = GuidedField(prior, conditions, 2.0, True, away)
        apart = solve(source, prior, x_t, nodes, solver) - solve(target, prior, x_t, nodes, solver)
        torch.testing.assert_close(both.gradient[one], apart, atol=1e-9, rtol=1e-9)


# Between Gaussians

MU_SOURCE, S_SOURCE, MU_TARGET, S_TARGET = -1.0, 0.9, 1.0, 0.7
PLAIN = {"guidance": 1.0, "source_guidance": 1.0}


def pair():
    return gaussians([[MU_SOURCE], [MU_TARGET]], [[S_SOURCE**2], [S_TARGET**2]], {"source": [0], "target": [1]})


def test_dual_bridge_between_gaussians_is_the_closed_form():
    prior, errors = pair(), []
    z, noise, t = values(-2.0, -0.5, 0.3), values(0.4, -1.1, 0.2), torch.tensor([600] * 3)
    x_t = add_noise(prior, z, t, noise)
    exact = flow_down(prior, x_t, t, MU_SOURCE, S_SOURCE) - flow_down(prior, x_t, t, MU_TARGET, S_TARGET)
    assert (exact < 0).all()  # the target lies above: descent goes up
    for steps in (25, 50, 100):
        errors.append(float((dual(prior, z, t, noise, steps=steps, **PLAIN) - exact).abs().max()))
    assert all(coarse / fine == pytest.approx(2.0, rel=0.1) for coarse, fine in pairwise(errors))
    torch.testing.assert_close(dual(prior, z, t, noise, steps=100, solver="heun", **PLAIN), exact, atol=1.1e-3, rtol=0)


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp2m"])
def test_dual_bridge_by_inversion_is_pfd_with_the_source_as_the_present(solver):
    # psi_src = z, and the target's end is x0h of PFD with q = p_src.
    prior = pair()
    z, t = values(-2.0, -0.5, 0.3), torch.tensor([600, 4, 950])
    found = dual(prior, z, t, None, form="inversion", steps=12, solver=solver, **PLAIN)
    settings = PFDParameters(inversion_steps=12, steps=12, solver=solver)
    x0h = there_and_back(prior, z, t.tolist(), field_of(prior, "source"), field_of(prior, "target"), settings)
    torch.testing.assert_close(found, z - x0h, atol=1e-12, rtol=0)


def test_dual_bridge_by_inversion_between_gaussians_is_the_closed_form():
    prior, errors = pair(), []
    z, t = values(-2.0, -0.5, 0.3), torch.tensor([600] * 3)
    exact = z - flow_down(prior, flow_up(prior, z, t, MU_SOURCE, S_SOURCE), t, MU_TARGET, S_TARGET)
    for steps in (25, 50, 100):
        errors.append(float((dual(prior, z, t, None, form="inversion", steps=steps, **PLAIN) - exact).abs().max()))
    assert all(coarse / fine == pytest.approx(2.0, rel=0.1) for coarse, fine in pairwise(errors))
    assert errors[-1] < 0.05


# Settings


@pytest.mark.parametrize(
    ("settings", "calls", "rows"),
    [
        ({}, 20, 60),  # 20 (1 + 2)
        ({"source_guidance": 2.0, "steps": 10}, 10, 40),
        ({"guidance": 1.0, "steps": 10, "solver": "heun"}, 19, 38),
        ({"form": "inversion"}, 40, 60),  # 20 + 20 * 2
        ({"form": "inversion", "steps": 10, "solver": "heun"}, 29, 48),  # 10 + 19 * 2
    ],
)
def test_dual_bridge_asks_once_per_node(settings, calls, rows):
    prior, method = CountingPrior(scene()), METHODS["dual_bridge"]
    z, t, noise, _ = some_latents(scene(), [30, 250, 900])
    dual(prior, z, t, noise, **settings)
    assert prior.calls == calls
    assert prior.rows == 3 * rows == 3 * method.rows(DualBridgeParameters(**settings), 250)


def test_dual_bridge_declares_its_place_and_its_noise():
    method = METHODS["dual_bridge"]
    assert method.first_stage == "sds"
    assert [draw.name for draw in method.draws(DualBridgeParameters())] == ["noise"]
    assert method.draws(DualBridgeParameters(form="inversion")) == ()
    assert DualBridgeParameters() == DualBridgeParameters(guidance=7.5, source_guidance=1.0, steps=20, solver="ddim", weighting="uniform")
