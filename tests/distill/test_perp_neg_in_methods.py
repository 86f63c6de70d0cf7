"""Perp-Neg inside the one-step methods: each formula as it is written, with the target's prediction turned away from the other views."""

import pytest
import torch

from backend.distill.contract import MethodState
from backend.distill.methods import METHODS
from backend.distill.parameters import CFDParameters, CSDParameters, NFSDParameters, SDSParameters
from backend.distill.perp_neg import turned_away

from .conftest import scene
from .one_step import NAMES, eps, some_latents

LEVELS = [10, 900]
AWAY = ["source", "negative", "negative", "target"]  # (n1, n2) of the first view, then of the second
WEIGHTS = torch.tensor([[-1.5, -0.4], [-0.2, -1.1]], dtype=torch.float64)


def run(parameters, weights):
    prior, method = scene(), METHODS[NAMES[type(parameters)]]
    z, t, noise, _ = some_latents(prior, LEVELS)
    labels = {"target": ["target"], "null": [""], "negative": ["negative"], "away": AWAY}
    conditions = {role: prior.embed(labels[role]) for role in method.roles(parameters)}
    draws = {draw.name: noise for draw in method.draws(parameters)}
    return method.gradient(prior, z, t, draws, conditions, None, parameters, MethodState(away_weights=weights)).gradient


@pytest.mark.parametrize("method", ["sds", "nfsd", "csd", "cfd"])
def test_the_formula_holds_with_the_turned_target(method):
    prior = scene()
    _, t, noise, x_t = some_latents(prior, LEVELS)
    null, plain, negative = (eps(prior, x_t, t, label) for label in ("", "target", "negative"))
    away = torch.stack([eps(prior, x_t[row : row + 1], t[row : row + 1], AWAY[2 * row + n])[0] for row in (0, 1) for n in (0, 1)])
    target = turned_away(null, plain, away.unflatten(0, (2, 2)), WEIGHTS)
    assert (target - plain).abs().max() > 0.1
    parameters, by_hand = {
        "sds": (SDSParameters(guidance=3.0, perp_neg=True, weighting="uniform"), null + 3 * (target - null) - noise),
        "cfd": (CFDParameters(guidance=3.0, perp_neg=True, weighting="uniform"), null + 3 * (target - null) - noise),
        "csd": (
            CSDParameters(w1=3.0, w2=2.0, perp_neg=True, weighting="uniform"),
            3 * (target - null) + 2 * (null - negative),
        ),
        "nfsd": (
            NFSDParameters(guidance=3.0, perp_neg=True, weighting="uniform"),
            3 * (target - null) + null - negative * torch.tensor([0, 1]).view(2, 1, 1, 1),  # t = 10 and t = 900
        ),
    }[method]
    torch.testing.assert_close(run(parameters, WEIGHTS), by_hand, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("kind", [SDSParameters, NFSDParameters, CSDParameters, CFDParameters])
def test_weights_of_zero_leave_plain_guidance(kind):
    plain = run(kind(), None)
    torch.testing.assert_close(run(kind(perp_neg=True), torch.zeros(2, 2)), plain, atol=1e-10, rtol=1e-10)
