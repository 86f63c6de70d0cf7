"""What a prompt asks for."""

import pytest

from backend.evaluate.judge import load_judge
from backend.evaluate.wanted import Wanted, unjudged, wanted_of
from backend.zoo.captions import FULL, VARIED, caption
from backend.zoo.catalogue import make_object


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red apple", Wanted("apple", "red")),
        ("A Red APPLE.", Wanted("apple", "red")),
        ("an orange striped mug, front view", Wanted("mug", "orange", "striped", "front view")),
        ("a striped orange mug", Wanted("mug", "orange", "striped")),
        ("a red mushroom with white spots, back view", Wanted("mushroom", "red", "spotted", "back view")),
        ("a vase with blue veins", Wanted("vase", None, "marbled")),
        ("a photo of a checkered car, detailed high resolution, high quality, sharp", Wanted("car", None, "checkered")),
        ("a blue flower vase", Wanted("vase", "blue")),
        ("a black cat on a red chair", Wanted("cat", "black")),
        ("a red hat on a white snowman", Wanted("snowman", "white")),
        ("an apple, green and shiny", Wanted("apple", "green")),
        ("a plain lamp, overhead view", Wanted("lamp", None, "plain", "overhead view")),
        ("red apples", Wanted(None, "red")),
        ("a purple dragon", Wanted(None, "purple")),
        ("a pineapple", Wanted()),
        ("", Wanted()),
        ("a clay boat, side view", Wanted("boat", None, None, "side view")),
    ],
)
def test_prompts(prompt, expected):
    assert wanted_of(prompt) == expected


@pytest.mark.parametrize("choices", [FULL, VARIED])
def test_every_caption_of_the_zoo_is_read_back(choices):
    import numpy as np

    for seed in range(120):
        thing = make_object(seed)
        found = wanted_of(caption(thing, 37.0 * seed, 20.0, np.random.default_rng(seed), choices=choices))
        assert found.noun == thing.noun
        assert found.colour in (None, thing.colour_word)
        assert found.pattern in (None, thing.pattern.name.lower())
        if choices is FULL:
            assert found.colour == thing.colour_word
            assert found.view is not None


def test_a_word_outside_the_judges_is_named_and_not_guessed():
    judge = load_judge()
    assert unjudged(judge, "a photo of a red striped apple with white stripes, front view") == ""
    sentence = unjudged(judge, "a purple dragon")
    assert "'dragon'" in sentence
    assert "cannot say whether the noun is right" in sentence
    assert "mushroom" in sentence
    assert "'wooden'" in unjudged(judge, "a wooden chair")
    assert "noun" in unjudged(judge, "red")
