"""The judge that ships: size, accuracy on pictures it never saw, and what it does with odd input."""

import json

import pytest
import torch
from safetensors.torch import save_file

from backend.errors import ResourceError
from backend.evaluate.augment import augmented
from backend.evaluate.judge import HEADS, WEIGHTS, load_judge
from backend.evaluate.pictures import HELD_OUT_SEED, LABELS, MIX, TRAINING_SEED, UNKNOWN, draw, labelled_pictures
from backend.evaluate.prior_samples import REFERENCE_SEED
from backend.evaluate.wanted import Wanted, prompt_accuracy
from backend.train.pool import TRAINING_SEED as PRIOR_SEED
from backend.zoo.catalogue import HELD_OUT_PAIRS

COUNT = 96


@pytest.fixture(scope="module")
def judge():
    return load_judge()


@pytest.fixture(scope="module")
def held_out():
    """Pictures beyond those that the figures of docs/judge.md were measured on."""
    made = labelled_pictures(HELD_OUT_SEED + 100_000, COUNT)
    return torch.from_numpy(made.pixels).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(made.labels)


def accuracy(judge, rgb, labels, column):
    shown = labels[:, column] != UNKNOWN
    said = judge(rgb).of(HEADS[column]).argmax(-1)
    return float((said[shown] == labels[shown, column]).float().mean())


def test_it_is_small_and_knows_the_words_of_the_zoo(judge):
    assert WEIGHTS.stat().st_size <= 5 * 2**20
    assert {head: judge.labels(head) for head in HEADS} == LABELS
    assert 64 <= judge.facts["embedding"] <= 128


@pytest.mark.parametrize(("column", "least"), [(0, 0.90), (1, 0.85), (2, 0.75), (3, 0.55)], ids=HEADS)
def test_it_recognises_pictures_it_never_saw(judge, held_out, column, least):
    rgb, labels = held_out
    assert accuracy(judge, rgb, labels, column) >= least


def test_it_tells_the_front_of_what_has_one(judge, held_out):
    rgb, labels = held_out
    fronted = torch.tensor([noun in judge.fronted for noun in judge.nouns])[labels[:, 0]]
    assert {"cat", "chair", "duck"} <= set(judge.fronted)
    assert not {"apple", "lamp", "tree"} & set(judge.fronted)
    assert accuracy(judge, rgb[fronted], labels[fronted], 3) >= 0.7


def test_soft_noisy_and_vivid_pictures_are_recognised_too(judge, held_out):
    rgb, labels = held_out
    changed = augmented(rgb, torch.Generator().manual_seed(0))
    assert accuracy(judge, changed, labels, 0) >= 0.85
    assert accuracy(judge, changed, labels, 1) >= 0.75


def test_noise_is_not_recognised_with_certainty(judge):
    """An entropy over noise has to be high, or IQ means nothing."""
    noise = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    objects = judge(torch.from_numpy(labelled_pictures(HELD_OUT_SEED + 200_000, 16).pixels).permute(0, 3, 1, 2).float() / 255)
    assert float(judge(noise).noun.max(-1).values.mean()) < float(objects.noun.max(-1).values.mean())


def test_probabilities_are_distributions_and_the_same_each_time(judge, held_out):
    rgb, _ = held_out
    first, second = judge(rgb[:8]), load_judge()(rgb[:8])
    for head in HEADS:
        assert first.of(head).shape == (8, len(judge.labels(head)))
        torch.testing.assert_close(first.of(head).sum(-1), torch.ones(8))
        assert torch.equal(first.of(head), second.of(head))
    assert torch.equal(first.embedding, second.embedding)
    assert first.embedding.shape == (8, judge.facts["embedding"])


def test_a_larger_picture_of_the_same_thing_gets_the_same_answer(judge, held_out):
    rgb, _ = held_out
    large = torch.nn.functional.interpolate(rgb[:24], scale_factor=4, mode="nearest")
    same = judge(rgb[:24]).noun.argmax(-1) == judge(large).noun.argmax(-1)
    # Averaging blocks of equal pixels gives the picture back; the filter is a little wider than the block.
    assert float(same.float().mean()) > 0.9
    assert len(judge(torch.zeros(0, 3, 32, 48))) == 0


def test_it_carries_no_gradient(judge):
    assert not judge(torch.rand(1, 3, 64, 64, requires_grad=True)).noun.requires_grad


@pytest.mark.parametrize(
    "pictures",
    [
        torch.zeros(3, 64, 64),
        torch.zeros(2, 1, 64, 64),
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        torch.full((1, 3, 8, 8), float("nan")),
    ],
)
def test_what_is_no_picture_is_refused(judge, pictures):
    with pytest.raises(ValueError, match="judge takes"):
        judge(pictures)


def test_the_judges_pictures_are_nobody_elses_and_hold_every_pair():
    assert PRIOR_SEED + 10_000_000 < TRAINING_SEED < HELD_OUT_SEED < REFERENCE_SEED
    drawn = [draw(seed, MIX)[0] for seed in range(TRAINING_SEED, TRAINING_SEED + 300)]
    shown = {(thing.noun, thing.colour_word) for thing in drawn}
    assert len(shown & set(HELD_OUT_PAIRS)) >= 0.5 * len(HELD_OUT_PAIRS)


def test_pictures_follow_from_their_seeds_alone():
    together, alone = labelled_pictures(HELD_OUT_SEED, 3, 32), labelled_pictures(HELD_OUT_SEED + 2, 1, 32)
    assert (together.pixels[2] == alone.pixels[0]).all()
    assert (together.labels[2] == alone.labels[0]).all()


def test_prompt_accuracy_counts_what_is_asked_for(judge, held_out):
    rgb, _ = held_out
    verdict = judge(rgb)
    said = verdict.noun.argmax(-1)
    asked = judge.nouns[int(said[0])]
    found = prompt_accuracy(judge, verdict, Wanted(noun=asked))
    assert found["noun"] == pytest.approx(float((said == said[0]).float().mean()))
    assert found["all"] == found["noun"]
    both = prompt_accuracy(judge, verdict, {"noun": asked, "colour": "red"})
    assert both["all"] <= min(both["noun"], both["colour"])
    assert prompt_accuracy(judge, verdict, Wanted()) == {}


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "shape"])
def test_damaged_weights_are_one_sentence(tmp_path, damage):
    path = tmp_path / "judge.safetensors"
    if damage == "cut":
        path.write_bytes(WEIGHTS.read_bytes()[:100_000])
    elif damage == "other":
        save_file({"weight": torch.zeros(2)}, path)
    elif damage == "shape":
        facts = {**load_judge().facts, "embedding": 17}
        save_file({"weight": torch.zeros(2)}, path, metadata={"judge": json.dumps(facts)})
    with pytest.raises(ResourceError, match="judge"):
        load_judge(file=path)
