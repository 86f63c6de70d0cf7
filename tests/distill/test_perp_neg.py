"""Perp-Neg (arXiv 2304.04968): what is turned away from stands at right angles to the prompt, each view with its own texts."""

import math

import pytest
import torch

from backend.distill.guidance import GuidedField, guidance_rows, predict
from backend.distill.perp_neg import as_weights, perp_neg_view, turned_away
from backend.distill.prompts import view_words_for
from backend.priors.card import PriorCard
from backend.priors.conversions import PARAMETRISATIONS
from backend.priors.counting import CountingPrior
from backend.priors.guidance import guide

from .conftest import scene

WORDS = PriorCard().view_words
FRONT, SIDE, BACK, OVERHEAD = WORDS
SHAPE = (3, 4, 2, 5)


def normal(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inner(a, b):
    return (a * b).flatten(1).sum(1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-14)])
def test_k2_perp_neg_correction_is_orthogonal_to_the_prompts_direction(dtype, tolerance):
    null, target, away = normal(*SHAPE, dtype=dtype), normal(*SHAPE, dtype=dtype, seed=1), normal(3, 2, *SHAPE[1:], dtype=dtype, seed=2)
    correction = turned_away(null, target, away, torch.tensor([[-1.5, -0.3], [-0.2, -1.9], [-1.0, -1.0]])) - target
    toward = target - null
    size = correction.flatten(1).norm(dim=1) * toward.flatten(1).norm(dim=1)
    assert (size > 0.1).all()
    assert (inner(correction, toward) / size).abs().max() < tolerance


def test_perp_neg_formula_written_out_per_sample():
    null, target, away = normal(*SHAPE), normal(*SHAPE, seed=1), normal(3, 2, *SHAPE[1:], seed=2)
    weights = torch.tensor([[-1.5, -0.3], [-0.2, -1.9], [0.0, -1.0]], dtype=torch.float64)
    guided = guide(null, turned_away(null, target, away, weights), 7.5)
    for row in range(3):
        toward = (target - null)[row]
        total = toward.clone()
        for i in range(2):
            other = away[row, i] - null[row]
            total += weights[row, i] * (other - (other * toward).sum() / (toward * toward).sum() * toward)
        torch.testing.assert_close(guided[row], null[row] + 7.5 * total, atol=1e-12, rtol=1e-12)


def test_a_weak_prompt_still_turns_at_right_angles():
    # |toward|^2 down to its floor of 1e-6; below it the projection fades.
    null, direction, away = normal(1, *SHAPE[1:]), normal(1, *SHAPE[1:], seed=1), normal(1, 2, *SHAPE[1:], seed=2)
    for length in (1e-1, 1.1e-3):
        target = null + length * direction / direction.norm()
        correction = turned_away(null, target, away, torch.tensor([[-1.5, -0.3]])) - target
        assert inner(correction, target - null).abs().max() < 1e-12


def test_a_parallel_negative_contributes_nothing():
    null, target = normal(*SHAPE), normal(*SHAPE, seed=1)
    away = torch.stack([null + 2.0 * (target - null), null - 0.7 * (target - null)], dim=1)
    torch.testing.assert_close(turned_away(null, target, away, torch.full((3, 2), -1.5)), target, atol=1e-13, rtol=1e-13)


def test_an_orthogonal_negative_contributes_all_of_itself():
    null, target = torch.zeros(1, 1, 1, 2, dtype=torch.float64), torch.tensor([[[[2.0, 0.0]]]], dtype=torch.float64)
    away = torch.tensor([[[[[0.0, 1.0]]], [[[3.0, 4.0]]]]], dtype=torch.float64)
    turned = turned_away(null, target, away, torch.tensor([[-1.5, -0.5]]))
    torch.testing.assert_close(turned.flatten(), torch.tensor([2.0, -1.5 - 2.0], dtype=torch.float64))


def test_weights_of_zero_are_classifier_free_guidance():
    prior, x, t = scene(), normal(2, 2, 2, 2), torch.tensor([200, 700])
    conditions = {"null": prior.embed([""]), "target": prior.embed(["target"]), "away": prior.embed(["source", "negative"] * 2)}
    turned = GuidedField(prior, conditions, 7.5, True, torch.zeros(2, 2))(x, t)
    torch.testing.assert_close(turned, GuidedField(prior, conditions, 7.5)(x, t), atol=1e-12, rtol=1e-12)
    assert (turned - GuidedField(prior, conditions, 7.5, True, torch.full((2, 2), -1.0))(x, t)).abs().max() > 0.1


def test_where_prompt_and_nothing_say_the_same_the_result_is_finite():
    null = normal(*SHAPE)
    assert turned_away(null, null, normal(3, 2, *SHAPE[1:], seed=2), torch.full((3, 2), -1.5)).isfinite().all()


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_k2_batch_of_two_equals_two_calls_of_one(parametrisation):
    # The reference code repeats the latents batch-wise, which pairs each text with another sample's latent once B > 1.
    prior = CountingPrior(scene(parametrisation))
    x, t, weights = normal(2, 2, 2, 2), torch.tensor([150, 820]), torch.tensor([[-1.5, -0.2], [-0.4, -1.1]])
    roles = ("null", "target", "away")
    conditions = {
        "null": prior.embed([""]),
        "target": prior.embed(["target", "source"]),
        "away": prior.embed(["source", "negative", "negative", "target"]),
    }
    together = predict(prior, x, t, conditions, roles, away_weights=weights)
    assert (prior.calls, prior.rows) == (1, 2 * guidance_rows(7.5, True))
    assert set(together) == {"null", "target"}
    for row in range(2):
        own = {
            "null": conditions["null"],
            "target": conditions["target"].rows(torch.tensor([row])),
            "away": conditions["away"].rows(torch.tensor([2 * row, 2 * row + 1])),
        }
        one = slice(row, row + 1)
        alone = predict(prior, x[one], t[one], own, roles, away_weights=weights[one])
        chosen = predict(prior, x[one], t[one], conditions, roles, away_weights=weights, which=torch.tensor([row]))
        for role in together:
            torch.testing.assert_close(together[role][one], alone[role], atol=1e-12, rtol=1e-12)
            torch.testing.assert_close(chosen[role], alone[role], atol=1e-12, rtol=1e-12)
    # The pairing matters here: with the two samples' texts swapped the answer is another one.
    swapped = {**conditions, "away": conditions["away"].rows(torch.tensor([2, 3, 0, 1]))}
    assert (predict(prior, x, t, swapped, roles, away_weights=weights)["target"] - together["target"]).abs().max() > 0.1


def test_perp_neg_without_weights_is_an_error_and_not_plain_guidance():
    prior = scene()
    conditions = {"null": prior.embed([""]), "target": prior.embed(["target"]), "away": prior.embed(["source", "negative"])}
    with pytest.raises(ValueError, match="needs the weights"):
        predict(prior, normal(1, 2, 2, 2), torch.tensor([500]), conditions, ("null", "target", "away"))


def at(azimuth, elevation=0.0, **more):
    return perp_neg_view(azimuth, elevation, WORDS, **more)


# r = 1 - |azimuth| / 90 in front, 2 - |azimuth| / 90 behind. Weights of (first, second) are -f(r) and -f(1 - r), or -f_sb(r) and -f_fsb(r).
@pytest.mark.parametrize(
    ("azimuth", "texts", "blend", "away", "magnitudes"),
    [
        (0.0, (SIDE, FRONT), 1.0, (FRONT, SIDE), (0.000, 1.574)),
        (45.0, (SIDE, FRONT), 0.5, (FRONT, SIDE), (0.689, 0.689)),
        (89.999, (SIDE, FRONT), 0.0, (FRONT, SIDE), (1.574, 0.000)),
        (90.0, (BACK, SIDE), 1.0, (SIDE, FRONT), (0.001, 1.574)),
        (135.0, (BACK, SIDE), 0.5, (SIDE, FRONT), (0.173, 1.746)),
        (180.0, (BACK, SIDE), 0.0, (SIDE, FRONT), (0.394, 1.967)),
    ],
)
def test_perp_neg_texts_and_weights_at_the_specifications_angles(azimuth, texts, blend, away, magnitudes):
    for turned in (azimuth, -azimuth, azimuth + 360.0, azimuth - 720.0):
        view = at(turned)
        assert (view.first, view.second) == texts
        assert view.blend == pytest.approx(blend, abs=2e-5)
        assert view.away == away
        assert [-weight for weight in view.weights] == pytest.approx(magnitudes, abs=6e-4)


def test_perp_neg_weights_are_the_published_exponentials():
    for degrees in range(0, 181, 5):
        view = at(float(degrees))
        if degrees < 90:
            r = 1 - degrees / 90
            expected = (2.426 - 4 * math.exp(-0.5 * r), 2.426 - 4 * math.exp(-0.5 * (1 - r)))
        else:
            r = 2 - degrees / 90
            expected = (0.606 - math.exp(-0.5 * r), -0.967 - math.exp(-0.5 * r))
        assert view.weights == pytest.approx(expected, abs=1e-12)
        assert view.blend == pytest.approx(r, abs=1e-12)


def test_the_target_changes_without_a_jump_around_the_object():
    def shares(degrees):
        view = at(degrees)
        told = dict.fromkeys(WORDS, 0.0)
        told[view.first] += 1 - view.blend
        told[view.second] += view.blend
        return torch.tensor([told[word] for word in WORDS])

    around = torch.stack([shares(float(degrees)) for degrees in range(-180, 181)])
    assert (around[1:] - around[:-1]).abs().max() < 0.012
    torch.testing.assert_close(around.sum(1), torch.ones(361))
    torch.testing.assert_close(around, around.flip(0))  # left as right


@pytest.mark.parametrize(
    ("elevation", "limit", "overhead"),
    [(60.0, 60.0, False), (60.1, 60.0, True), (31.0, 30.0, True), (59.0, 80.0, False), (-75.0, 60.0, False)],
)
def test_overhead_is_described_as_it_is_and_turns_away_from_nothing(elevation, limit, overhead):
    view = at(140.0, elevation, overhead_above_deg=limit)
    assert (view.first == view.second == OVERHEAD) == overhead
    assert (view.weights == (0.0, 0.0)) == overhead


def test_weights_lie_two_by_two_on_the_host():
    weights = as_weights([at(0.0), at(180.0), at(0.0, 80.0)])
    assert weights.shape == (3, 2) and weights.dtype == torch.float32 and weights.device.type == "cpu"
    torch.testing.assert_close(weights[1], torch.tensor([-0.394, -1.967]), atol=1e-3, rtol=0)
    assert torch.equal(weights[2], torch.zeros(2))


def test_view_words_change_where_the_cards_thresholds_say():
    card, narrow = PriorCard(), PriorCard(front_within_deg=30.0)
    azimuth = [30.0, 31.0, 45.0, 46.0, 134.0, 135.0, 149.0, 150.0, -150.0, 330.0]
    told = [view_words_for(c, azimuth, [0.0] * len(azimuth)) for c in (card, narrow)]
    assert told[0] == [FRONT, FRONT, FRONT, SIDE, SIDE, BACK, BACK, BACK, BACK, FRONT]
    assert told[1] == [FRONT, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, BACK, BACK, FRONT]
    assert view_words_for(card, [0.0] * 3, [60.0, 60.5, -60.5]) == [FRONT, OVERHEAD, FRONT]
