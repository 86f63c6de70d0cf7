import doctest

import pytest
import torch

from backend.distill import prompts
from backend.distill.prompts import PromptBank, clay_text, role_text, view_words_for
from backend.errors import UserError
from backend.priors.card import PriorCard
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
    assert bank.unknown_words == ["a red mug"]


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
