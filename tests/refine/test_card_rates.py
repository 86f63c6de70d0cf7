"""Rates of presets and of picture runs are a prior's own."""

import pytest
import torch

from backend.priors.card import PriorCard
from backend.priors.exemplar import ExemplarPrior
from backend.refine.presets import stages_of
from backend.study.images import PictureRun


@pytest.mark.parametrize(("mode", "preset"), [("sketch", "default"), ("prompt", "default"), ("texture", "default")])
def test_every_stage_of_a_preset_follows_the_factors_of_the_card(mode, preset):
    usual = stages_of(preset, mode, PriorCard(bridge_rate_scale=0.3))
    turned = stages_of(preset, mode, PriorCard(bridge_rate_scale=0.3, colour_rate=0.5, geometry_rate=2.0))
    for one, other in zip(usual, turned, strict=True):
        assert other.colour_rate == pytest.approx([0.5 * rate for rate in one.colour_rate])
        assert other.geometry_rate_h == pytest.approx([2.0 * rate for rate in one.geometry_rate_h])
    assert usual[-1].method == "bridge" and usual[-1].colour_rate[0] == pytest.approx(0.3)


def of_two_pictures(**card):
    prior = ExemplarPrior(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), ["red", "foggy, hazy"])
    prior.card = PriorCard(target_suffix="", **card)
    return prior


def moved_by_step(run, steps):
    start = run.latents.detach().clone()
    run.step(steps)
    return (run.latents.detach() - start).abs().median().item()


def test_a_first_step_of_a_picture_is_as_long_as_the_card_says():
    """Adam's first step has the length of its rate in every element."""
    rates = (0.004, 0.02)
    priors = [of_two_pictures(source_descriptors="", picture_rate=rate) for rate in rates]
    moved = [moved_by_step(PictureRun(prior, "sds", {"guidance": 1.0}, "red", count=1, seed=0), 500) for prior in priors]
    assert moved == pytest.approx(rates, rel=1e-3)


def test_bridge_goes_on_from_sds_at_the_share_of_the_rate_that_the_card_says():
    moved = []
    for share in (1.0, 0.3):
        prior = of_two_pictures(source_descriptors=", foggy, hazy", picture_rate=0.02, bridge_rate_scale=share)
        run = PictureRun(prior, "bridge", {}, "red", count=1, seed=0)
        for _ in range(20):
            run.step(100)
        moved.append(moved_by_step(run, 100))
    assert moved == pytest.approx([0.1, 0.03], rel=1e-2)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_bridge_has_the_share_of_the_steps_that_the_card_says(share):
    """What comes before is SDS, draw for draw."""
    prior = of_two_pictures(source_descriptors=", foggy, hazy", bridge_share=share)
    bridge, sds = (PictureRun(prior, name, {}, "red", count=1, seed=0) for name in ("bridge", "sds"))
    alike = []
    for _ in range(10):
        bridge.step(10), sds.step(10)
        alike.append(torch.equal(bridge.latents, sds.latents))
    assert sum(alike) == round(10 * (1 - share))
