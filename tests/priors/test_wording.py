"""A person is told once, by name, of words that a prior does not know and of words that it does not reach."""

import pytest
import torch

from backend.priors.counting import CountingPrior
from backend.priors.exemplar import ExemplarPrior
from backend.priors.resolve import resolve_prior
from backend.priors.wording import prompt_warnings


@pytest.fixture(scope="module")
def starter():
    return CountingPrior(resolve_prior("starter"))


@pytest.fixture(scope="module")
def pictures():
    return ExemplarPrior(torch.rand(2, 3, 8, 8), ["a red mug", "a green mug"])


def test_every_noun_in_every_colour_is_understood_whole(starter):
    for noun in starter.card.nouns:
        assert prompt_warnings(starter, *(f"a {colour} {noun}, side view" for colour in starter.card.colours)) == []


@pytest.mark.disable_socket
def test_unknown_words_are_one_warning_that_names_them_and_the_way_to_a_larger_prior(starter):
    (warning,) = prompt_warnings(starter, "a red zebra, riding a Zebra on a bicycle, front view")
    assert warning.startswith("The prior 'SketchBridge starter' does not know 'zebra', 'riding', 'on', 'bicycle'; ")
    assert "--prior FOLDER" in warning and "hub id" in warning


@pytest.mark.disable_socket
def test_a_prompt_beyond_the_limit_is_one_warning_that_names_exactly_the_words_that_change_nothing(starter):
    room = next(n for n in range(1, 1000) if starter.dropped_words("red " * n)) - 1
    read = "red " * (room - 1) + "blue"
    (warning,) = prompt_warnings(starter, f"{read} apple")
    assert warning == "The prompt is longer than the prior 'SketchBridge starter' can read; it will not see 'apple'. Say it in fewer words."
    for last in ("apple", "mug"):
        assert torch.equal(starter.embed([f"{read} {last}"]).text, starter.embed([read]).text)
    assert not torch.equal(starter.embed([read]).text, starter.embed(["red " * room]).text)


def test_a_book_is_named_in_part(starter):
    unknown, dropped = prompt_warnings(starter, " ".join(f"zebra{n}" for n in range(500)))
    assert "'zebra11', 488 more;" in unknown
    assert ", 4" in dropped and dropped.endswith(" more. Say it in fewer words.")
    assert "\n" not in unknown + dropped


def test_several_prompts_share_their_warning(starter):
    (warning,) = prompt_warnings(starter, "a red zebra", "a blue mug", "a zebra with a fork")
    assert warning.count("zebra") == 1 and "'fork'" in warning


def test_pictures_know_the_words_of_their_captions_at_any_length(pictures):
    assert prompt_warnings(pictures, "a photo of a red mug " * 200) == []
    (warning,) = prompt_warnings(pictures, "a blue mug")
    assert "does not know 'blue'; " in warning
