"""Every method with every schedule of noise levels, with and without Perp-Neg: what is allowed runs, the rest gets a sentence."""

from dataclasses import replace
from typing import get_args

import msgspec
import pytest
import torch

from backend.distill.contract import latent_loss
from backend.distill.methods import METHODS
from backend.distill.parameters import PARAMETERS
from backend.distill.read_parameters import describe_parameters, parse_parameters
from backend.distill.schedules import Kind, Schedule, bounds, draw_timesteps
from backend.errors import UserError
from backend.priors.counting import CountingPrior

from .conformance import Inputs
from .conftest import scene

KINDS = get_args(Kind)
STAGE = 40  # steps, of which these are taken
TAKEN = (0, 17, 39)


def variants(name):
    """The settings to run a method with: each of its forms, or its defaults; few solver steps, as many as show the way."""
    fields = {field["name"]: field for field in describe_parameters(name)}
    short = {"steps": 3, "inversion_steps": 3, "stride": 400}
    settings = {key: value for key, value in short.items() if key in fields}
    forms = fields["form"]["choices"] if "form" in fields else [None]
    return [settings if form is None else {**settings, "form": form} for form in forms]


RUNS = [(name, settings) for name in METHODS for settings in variants(name)]
ALLOWED = [
    (name, settings, perp_neg) for name, settings in RUNS for perp_neg in ((False, True) if METHODS[name].uses_guidance else (False,))
]


def _title(name, settings, perp_neg):
    return "-".join(filter(None, (name, settings.get("form"), perp_neg and "perp_neg")))


TURNED = [(name, settings) for name, settings, perp_neg in ALLOWED if perp_neg]


def run(method, parameters, schedule):
    """A few steps of descent; [(noise levels, gradient, declared rows, used rows)] and how far the latents went."""
    prior = CountingPrior(scene())
    inputs = Inputs(method, parameters, prior=prior)
    generator = torch.Generator().manual_seed(3)
    z, draws, steps = inputs.latents.clone(), dict(inputs.draws), []
    for step in TAKEN:
        t = draw_timesteps(schedule, step, STAGE, inputs.batch, prior.timesteps, generator)
        for draw in method.draws(parameters):
            if draw.of == "step":
                make = torch.randn if draw.kind == "normal" else torch.rand
                draws[draw.name] = make(draws[draw.name].shape, generator=generator)
        before = prior.rows + (inputs.critic.rows if inputs.critic else 0)
        out = inputs.run(latents=z, t=t, draws=draws, state=replace(inputs.state, step=step, steps=STAGE))
        used = prior.rows + (inputs.critic.rows if inputs.critic else 0) - before
        steps.append((t, out, sum(method.rows(parameters, level) for level in t.tolist()), used))
        leaf = z.clone().requires_grad_()
        latent_loss(leaf, out.gradient, method.reduction).backward()
        z = z - 0.01 * leaf.grad
    return steps, (z - inputs.latents).abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "settings", "perp_neg"), ALLOWED, ids=[_title(*row) for row in ALLOWED])
def test_allowed(name, settings, perp_neg, kind):
    method = METHODS[name]
    parameters = parse_parameters(name, {**settings, "perp_neg": True} if perp_neg else settings)
    schedule = Schedule.of(kind, (0.02, 0.02), (0.98, 0.5))
    steps, moved = run(method, parameters, schedule)
    for step, (t, out, declared, used) in zip(TAKEN, steps, strict=True):
        low, high = bounds(schedule, step, STAGE, 1000)
        assert low <= t.min() and t.max() <= high
        assert out.gradient.isfinite().all() and out.gradient.shape == (4, 2, 2, 2)
        assert used == declared
    assert moved > 0


@pytest.mark.parametrize(("name", "settings"), TURNED, ids=[_title(*row, False) for row in TURNED])
def test_perp_neg_changes_the_gradient_and_costs_its_rows(name, settings):
    method, schedule = METHODS[name], Schedule.of("uniform")
    plain, turned = (parse_parameters(name, {**settings, "perp_neg": perp_neg}) for perp_neg in (False, True))
    (_, without, rows, _), *_ = run(method, plain, schedule)[0]
    (_, with_it, more, _), *_ = run(method, turned, schedule)[0]
    assert "away" in method.roles(turned) and "away" not in method.roles(plain)
    assert more > rows
    assert (with_it.gradient - without.gradient).abs().max() > 1e-6


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].uses_guidance])
def test_perp_neg_is_refused_by_the_rest(name):
    with pytest.raises(UserError, match=f"The method '{name}' cannot be combined with Perp-Neg") as raised:
        parse_parameters(name, {"perp_neg": True})
    able = {other for other in METHODS if METHODS[other].uses_guidance}
    assert set(raised.value.hint.removeprefix("Leave it out, or choose one of ").rstrip(".").split(", ")) == able
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["unifrm", "cosine", ""])
def test_a_schedule_that_does_not_exist_is_refused(kind):
    with pytest.raises(UserError, match=f"no timestep schedule '{kind}'"):
        Schedule.of(kind)


def test_the_table_is_whole():
    assert set(METHODS) == set(PARAMETERS) == {name for name, *_ in ALLOWED}
    assert {name for name, _, perp_neg in ALLOWED if perp_neg} == {
        name for name, settings in PARAMETERS.items() if "perp_neg" in {field.encode_name for field in msgspec.structs.fields(settings)}
    }
