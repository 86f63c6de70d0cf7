import doctest

import pytest
import torch

from backend.distill import prompts
from backend.distill.perp_neg import as_weights
from backend.distill.prompts import PromptBank, clay_text, perp_neg_views, role_text, view_words_for
from backend.errors import UserError
from backend.priors.card import PriorCard
from backend.priors.contract import Condition
from backend.priors.counting import CountingPrior
from backend.priors.mixture import GaussianMixturePrior
from backend.priors.resolve import resolve_prior

CARD = PriorCard(
    target_suffix=", sharp",
    source_descriptors=", blurry, noisy",
    negative="ugly",
    clay_word="clay",
    colours=("red", "orange", "blue"),
    patterns=("striped",),
)


def test_the_examples_in_the_documentation():
    assert doctest.testmod(prompts).failed == 0


def test_texts_of_the_roles():
    text = lambda role, **more: role_text(role, " a red mug. ", CARD, view_word="side view", **more)  # noqa: E731
    assert text("target") == "a red mug, side view, sharp"
    assert text("source") == "a red mug, side view, blurry, noisy"  # no quality suffix
    assert text("null") == ""
    assert text("negative") == "ugly"
    assert text("source", domain="painting") == text("source", domain=", painting") == "a red mug, side view, painting"
    assert text("target", domain="painting") == "a red mug, side view, sharp"
    assert text("target", clay=True) == "a clay mug, side view, sharp"
    assert text("source", clay=True) == "a clay mug, side view, blurry, noisy"
    assert role_text("target", "a red mug", PriorCard(target_suffix="")) == "a red mug"
    assert text("critic") == "a red mug, sharp"  # knows the camera, so no view word
    assert text("critic", clay=True) == "a clay mug, sharp"


def test_the_source_is_what_was_said_of_it_else_the_domain_else_the_descriptors():
    text = lambda **more: role_text("source", "a red mug", CARD, view_word="side view", **more)  # noqa: E731
    assert text(source_prompt="a grey lump.") == "a grey lump, side view"
    assert text(source_prompt="a red lump", clay=True) == "a clay lump, side view"
    assert text(domain="painting") == "a red mug, side view, painting"
    assert text(source_prompt=" ", domain=" ") == text() == "a red mug, side view, blurry, noisy"


@pytest.mark.parametrize("roles", [["source", "target"], ["target"]])
def test_source_prompt_and_domain_together_get_a_sentence(roles):
    with pytest.raises(UserError, match=r"'a lump'.*'painting'.*only one.*Leave one"):
        PromptBank(_Recording(CARD), "a red mug", roles, source_prompt="a lump", domain="painting")


def test_the_view_stands_before_what_truncation_would_take_first():
    text = role_text("source", "a red mug", PriorCard(), view_word="back view")
    assert text.startswith("a red mug, back view, oversaturated, smooth")
    assert text.endswith("noisy, malformed")


@pytest.mark.parametrize("prompt", ["", "  ", " ., "])
def test_an_empty_prompt_gets_a_sentence(prompt):
    with pytest.raises(UserError, match="prompt is empty"):
        role_text("target", prompt, CARD)


@pytest.mark.parametrize(
    ("prompt", "clay"),
    [
        ("a striped red mug", "a clay mug"),
        ("striped vase", "clay vase"),
        ("an orange cottage with a chimney, at night", "a clay cottage with a chimney, at night"),
        ("a mug with blue spots", "a clay mug"),
        ("a photo of an Orange mug", "a photo of a clay mug"),
        ("a 3d render of the blue mug", "a 3d render of the clay mug"),
        ("a clay mug", "a clay mug"),
        ("a bowl of fruit", "a clay bowl of fruit"),
    ],
)
def test_clay_takes_the_place_of_paint(prompt, clay):
    assert clay_text(prompt, CARD) == clay
    assert clay_text(prompt, PriorCard()) == prompt


def test_view_words_are_the_cards_own():
    azimuth, elevation = [0, 44, 46, 180, -90, 0], [0, 0, 0, 10, 59, 61]
    words = ["front view", "front view", "side view", "back view", "side view", "overhead view"]
    assert view_words_for(PriorCard(), azimuth, elevation) == words
    other = PriorCard(view_words=("ahead", "beside", "behind", "above"), front_within_deg=30, overhead_above_deg=58)
    assert view_words_for(other, azimuth, elevation) == ["ahead", "beside", "beside", "behind", "above", "above"]
    assert view_words_for(PriorCard(view_words=()), azimuth, elevation) == [""] * 6


class _Recording(CountingPrior):
    """Answers any prompt with a row of its own and keeps a list of what was embedded."""

    def __init__(self, card):
        super().__init__(GaussianMixturePrior(torch.zeros(64, 1), torch.ones(64, 1, 1), {}))
        self.card = card
        self.asked = []

    def embed(self, prompts):
        self.asked += prompts
        labels = list(dict.fromkeys(self.asked))
        condition = self.prior.embed([""] * len(prompts))
        return condition.map(lambda _: torch.tensor([[labels.index(p)] for p in prompts]))

    def text(self, condition):
        return [list(dict.fromkeys(self.asked))[row] for row in condition.text[:, 0]]


def test_every_text_is_embedded_once_and_views_pick_rows():
    prior = _Recording(CARD)
    bank = PromptBank(prior, "a red mug", ["null", "target", "source", "target"], clay=True)
    asked = list(prior.asked)
    assert len(asked) == len(set(asked)) == 1 + 2 * 2 * 5
    conditions = bank.conditions(["side view", "", "side view"], [False, False, True])
    assert prior.asked == asked, "a step reached the text encoder"
    assert prior.text(conditions["target"]) == ["a red mug, side view, sharp", "a red mug, sharp", "a clay mug, side view, sharp"]
    assert prior.text(conditions["source"])[2] == "a clay mug, side view, blurry, noisy"
    assert prior.text(conditions["null"]) == [""]
    assert list(bank.conditions(["front view"])) == ["null", "target", "source"]
    assert bank.texts["null"] == ("",)


def test_words_can_be_left_out():
    prior = _Recording(CARD)
    bank = PromptBank(prior, "a red mug", ["target"], words=["front view"])
    assert bank.texts["target"] == ("a red mug, sharp", "a red mug, front view, sharp")
    with pytest.raises(ValueError, match="was not embedded"):
        bank.conditions(["back view"])
    with pytest.raises(ValueError, match="was not embedded"):
        bank.conditions(["front view"], [True])


@pytest.mark.disable_socket
def test_the_starter_reads_every_text_of_its_own_examples_to_the_end():
    prior = resolve_prior("starter")
    for prompt in prior.card.example_prompts:
        for role in ("target", "source", "negative"):
            for clay in (False, True):
                text = role_text(role, prompt, prior.card, view_word="overhead view", clay=clay)
                assert prior.dropped_words(text) == [], text
                assert prior.unknown_words(text) == [], text


class _Embedding(CountingPrior):
    """Every text as a unit vector of its own, so that a mixture can be read off; pooled is ten times that."""

    def __init__(self, card):
        super().__init__(GaussianMixturePrior(torch.zeros(1, 1), torch.ones(1, 1, 1), {}))
        self.card, self.known = card, []

    def embed(self, prompts):
        self.known += [text for text in prompts if text not in self.known]
        rows = torch.eye(64)[[self.known.index(text) for text in prompts]]
        return Condition(rows.unsqueeze(1).expand(-1, 3, -1), 10 * rows)

    def mixtures(self, condition):
        """Per row {text: share}, the same at every position and in the pooled part."""
        assert torch.equal(condition.text, condition.text[:, :1].expand_as(condition.text))
        torch.testing.assert_close(condition.pooled, 10 * condition.text[:, 0])
        shares = condition.text[:, 0].tolist()
        return [{self.known[at]: round(share, 6) for at, share in enumerate(row) if share} for row in shares]


def test_perp_neg_mixes_the_target_and_turns_away_in_per_sample_order():
    prior = _Embedding(CARD)
    bank = PromptBank(prior, "a red mug", ["null", "target", "away"], clay=True)
    azimuth, elevation, clay = [18.0, -90.0, 135.0, 0.0, 40.0], [0.0, 0.0, 10.0, 75.0, 0.0], [False, False, True, False, False]
    words = view_words_for(CARD, azimuth, elevation)
    words[4] = ""  # a close-up
    sides = perp_neg_views(CARD, words, azimuth, elevation)
    conditions = bank.conditions(words, clay, sides)
    text = lambda word, clay=False: f"a {'clay' if clay else 'red'} mug, {word}, sharp"  # noqa: E731
    assert prior.mixtures(conditions["target"]) == [
        {text("front view"): 0.8, text("side view"): 0.2},
        {text("side view"): 1.0},
        {text("side view", True): 0.5, text("back view", True): 0.5},
        {text("overhead view"): 1.0},
        {"a red mug, sharp": 1.0},
    ]
    front, side = text("front view"), text("side view")
    away = [list(row) for row in prior.mixtures(conditions["away"])]
    assert away[:4] == [[front], [side], [side], [front]]
    assert away[4:6] == [[text("side view", True)], [text("front view", True)]]
    weights = as_weights(sides)
    assert weights.shape == (5, 2)
    assert (weights[:3].min(1).values < -0.1).all()
    assert weights[3:].abs().max() == 0.0  # overhead and close-up: nothing to turn away from
    assert len(conditions["null"]) == 1


def test_perp_neg_at_a_side_itself_is_that_sides_own_text_bit_for_bit():
    prior = _Embedding(CARD)
    bank = PromptBank(prior, "a red mug", ["target", "away"])
    azimuth, level = [0.0, 90.0, 180.0], [0.0] * 3
    words = view_words_for(CARD, azimuth, level)
    mixed, plain = (bank.conditions(words, None, sides)["target"] for sides in (perp_neg_views(CARD, words, azimuth, level), None))
    assert torch.equal(mixed.text, plain.text) and torch.equal(mixed.pooled, plain.pooled)


def test_without_sides_a_bank_with_perp_neg_gives_plain_targets_and_nothing_to_turn_away_from():
    prior = _Embedding(CARD)
    bank = PromptBank(prior, "a red mug", ["target", "null", "away"])
    conditions = bank.conditions(["side view", ""])
    assert list(conditions) == ["target", "null"]
    assert prior.mixtures(conditions["target"]) == [{"a red mug, side view, sharp": 1.0}, {"a red mug, sharp": 1.0}]


def test_symmetric_objects_turn_away_from_nothing():
    sides = perp_neg_views(CARD, [""] * 3, [0.0, 90.0, 180.0], [0.0] * 3)
    assert as_weights(sides).abs().max() == 0.0
    conditions = PromptBank(_Embedding(CARD), "a red mug", ["target", "away"]).conditions([""] * 3, None, sides)
    assert len(conditions["target"]) == 3 and len(conditions["away"]) == 6


def test_perp_neg_needs_embeddings_and_view_words():
    with pytest.raises(UserError, match=r"mixes the embeddings.*labels"):
        PromptBank(_Recording(CARD), "a red mug", ["target", "away"])
    with pytest.raises(UserError, match="needs view words"):
        PromptBank(_Embedding(PriorCard(name="x", view_words=())), "a red mug", ["target", "away"])


def test_the_critics_text_follows_the_clay_and_not_the_view():
    prior = _Recording(CARD)
    bank = PromptBank(prior, "a red mug", ["target", "critic"], clay=True)
    critic = bank.conditions(["side view", "back view", ""], [False, True, True])["critic"]
    assert prior.text(critic) == ["a red mug, sharp", "a clay mug, sharp", "a clay mug, sharp"]


def test_prompts_per_view_replace_the_prompt_where_the_view_is_named():
    prior = _Recording(CARD)
    own = {"back view": "a mug"}
    bank = PromptBank(prior, "a smiling mug", ["target", "source", "critic"], per_view=own)
    conditions = bank.conditions(["back view", "side view", ""])
    assert prior.text(conditions["target"]) == ["a mug, back view, sharp", "a smiling mug, side view, sharp", "a smiling mug, sharp"]
    assert prior.text(conditions["source"])[0] == "a mug, back view, blurry, noisy"
    assert prior.text(conditions["critic"]) == ["a smiling mug, sharp"] * 3
    told = PromptBank(prior, "a smiling mug", ["source"], per_view=own, source_prompt="a smiling lump")
    assert prior.text(told.conditions(["back view"])["source"]) == ["a smiling lump, back view"]
