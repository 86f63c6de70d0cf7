"""The small parts of a run: seeds, optimiser, relative weights, viewpoints, presets, checkpoints."""

import pytest
import torch

from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.refine.checkpoint import read_checkpoint, write_checkpoint
from backend.refine.optimiser import UniformAdam, ramp, warm_up
from backend.refine.presets import stages_of
from backend.refine.resolve import resolve
from backend.refine.seeds import generator
from backend.refine.viewpoints import ALBEDO, CLAY, LAMBERT, draw_viewpoints
from backend.refine.weights import MEASURED_STEPS, RelativeWeights
from protocol.job import RefineJob, Shading, Stage

CARD = PriorCard(clay_word="clay")


def test_generators_depend_on_name_and_step_alone():
    first = torch.rand(4, generator=generator(1, "views", 3))
    torch.rand(100)  # other consumers change nothing
    assert torch.equal(first, torch.rand(4, generator=generator(1, "views", 3)))
    for other in (generator(2, "views", 3), generator(1, "noise", 3), generator(1, "views", 4)):
        assert not torch.equal(first, torch.rand(4, generator=other))


def test_uniform_adam_steps_by_the_rate_whatever_the_size_of_the_gradient():
    for scale in (1e-6, 1.0, 1e6):
        leaf = torch.zeros(1000, requires_grad=True)
        optimiser = UniformAdam(leaf)
        leaf.grad = torch.full((1000,), scale)
        optimiser.step(0.1)
        assert torch.allclose(leaf, torch.full((1000,), -0.1), rtol=1e-4)


def test_uniform_adam_does_not_let_rarely_seen_elements_jump():
    """Adam gives an element touched once with a small gradient a full step; a shared second moment does not."""
    shared, own = torch.zeros(100, requires_grad=True), torch.zeros(100, requires_grad=True)
    uniform, adam = UniformAdam(shared), torch.optim.Adam([own], lr=0.1, betas=(0.9, 0.99))
    source = torch.Generator().manual_seed(0)
    for step in range(50):
        gradient = torch.randn(100, generator=source)
        gradient[0] = 1e-4 if step == 49 else 0.0
        shared.grad, own.grad = gradient.clone(), gradient.clone()
        uniform.step(0.1)
        adam.step()
    assert abs(float(shared.detach()[0])) < 1e-4
    assert abs(float(own.detach()[0])) > 5e-3


def test_warm_up_and_ramp():
    assert warm_up(0, 80) == pytest.approx(0.05)
    assert warm_up(19, 80) == warm_up(500, 1000) == 1.0
    assert warm_up(0, 8) == pytest.approx(0.5) and warm_up(1, 8) == warm_up(0, 1) == 1.0
    assert ramp((1.0, 0.2), 0.5) == pytest.approx(0.6)


def test_relative_weight_makes_the_regulariser_rho_times_as_large():
    weights = RelativeWeights()
    big, small = torch.full((10, 3), 100.0), torch.full((10, 3), 0.01)
    weights.measure("distillation", big)
    weights.measure("laplacian", small)
    assert float((weights.factor("laplacian", 0.3, "distillation") * small).mean()) == pytest.approx(30.0, rel=1e-4)
    for _ in range(2 * MEASURED_STEPS):
        weights.measure("laplacian", small * 1e6)
    frozen = weights.sizes["laplacian"].clone()
    weights.measure("laplacian", small)
    assert torch.equal(weights.sizes["laplacian"], frozen)


def _views(count=64, **changes):
    stage = Stage(name="s", views=count, **changes)
    return draw_viewpoints(CARD.camera, CARD.light, CARD.background, stage, 0, 0, torch.randn(50, 3))


def test_azimuths_are_stratified_and_elevations_follow_the_card():
    views = _views(4)
    gaps = torch.sort(views.azimuth_deg).values.diff()
    assert float(gaps.max()) < 180.0
    many = _views(2000)
    assert float((many.elevation_deg > 60).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float((many.elevation_deg < -10).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float(many.elevation_deg.max()) <= 85.0


def test_shading_shares_and_backgrounds():
    views = _views(4000, shading=Shading(albedo=0.25, clay=0.375))
    for kind, share in ((ALBEDO, 0.25), (CLAY, 0.375), (LAMBERT, 0.375)):
        assert float((views.shading == kind).float().mean()) == pytest.approx(share, abs=0.03)
    white = (views.backgrounds[:, 0] == 1).all(-1).float().mean()
    assert float(white) == pytest.approx(0.25, abs=0.03)
    # Whatever the object's colour, one of the two backgrounds differs from it by more than .15 in some channel.
    gap = (views.backgrounds[:, 0] - views.backgrounds[:, 1]).abs().amax(-1)
    assert float(gap.min()) > 0.3


def test_close_ups_are_aimed_and_lose_their_view_word():
    views = _views(400, close_ups=0.2)
    near = torch.tensor(views.close_up)
    assert float(near.float().mean()) == pytest.approx(0.2, abs=0.06)
    assert bool((views.zoom[near] >= 1.5).all()) and bool((views.zoom[~near] == 1).all())
    assert views.target is not None and bool((views.target[~near] == 0).all())


def test_light_stays_within_the_card_of_the_camera():
    views = _views(1000)
    angle = torch.rad2deg(torch.acos(views.light[:, 2].clamp(-1, 1)))
    assert float(angle.max()) <= CARD.light.key_within_deg + 1e-3
    assert torch.allclose(views.light.norm(dim=-1), torch.ones(1000), atol=1e-5)


@pytest.mark.parametrize("mode", ["sketch", "prompt", "texture"])
def test_every_mode_has_the_named_presets(mode):
    for preset in ("quick", "default"):
        assert stages_of(preset, mode, CARD)
    with pytest.raises(UserError, match="Did you mean 'default'"):
        stages_of("defalt", mode, CARD)


def test_resolve_fills_in_and_checks():
    job = resolve(RefineJob(prompt="a mug", steps=60), CARD)
    assert sum(stage.steps for stage in job.stages) == 60
    assert resolve(job, CARD) == job
    for wrong, told in (
        ({"prompt": "  "}, "prompt is empty"),
        ({"method": "sdss"}, "'sds'"),
        ({"method": "sds", "parameters": {"guidence": 3}}, "'guidance'"),
        ({"parameters": {"guidance": 3}}, "without a method"),
        ({"mode": "illusion"}, "needs 4 prompts"),
    ):
        with pytest.raises(UserError, match=told):
            resolve(RefineJob(**{"prompt": "a mug", **wrong}), CARD)


def test_method_is_put_into_the_stages():
    plain = resolve(RefineJob(prompt="a mug", method="sds", parameters={"guidance": 7.0}), CARD)
    assert {stage.method for stage in plain.stages} == {"sds"}
    assert all(stage.parameters["guidance"] == 7.0 for stage in plain.stages)
    bridge = resolve(RefineJob(prompt="a mug", method="bridge", parameters={"k": 2.0}, preset="quick"), CARD)
    assert bridge.stages[0].method == "sds"
    assert bridge.stages[-1].method == "bridge" and bridge.stages[-1].parameters == {"k": 2.0}


def test_checkpoint_round_trip_and_damage(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {"step": 3, "tensor": torch.arange(4)})
    held = read_checkpoint(path, torch.device("cpu"))
    assert held["step"] == 3 and torch.equal(held["tensor"], torch.arange(4))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(path, torch.device("cpu"))
    with pytest.raises(UserError, match="no checkpoint"):
        read_checkpoint(tmp_path / "nothing.pt", torch.device("cpu"))
