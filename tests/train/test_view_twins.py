"""Rows shown again with another view word: who is drawn, what changes in the caption, and what the term rewards."""

import math

import pytest
import torch

from backend.train.latents import tokenize
from backend.train.view_twins import FROM_LEVEL, ViewTwins, twin_loss
from backend.train.words import save_tokenizer

CAPTIONS = ["a red car, front view", "a blue vase, side view", "a green chair", "a clay duck, back view, blurry"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("words"), 32)


def drawn(tokenizer, count, levels, seed=0):
    tokens = tokenize(tokenizer, CAPTIONS).long()
    return tokens, ViewTwins(tokenizer, count).draw(tokens, torch.tensor(levels), torch.Generator().manual_seed(seed))


def test_only_the_view_word_of_an_object_with_sides_is_another(tokenizer):
    found = set()
    for seed in range(30):
        tokens, twins = drawn(tokenizer, 2, [500] * 4, seed)
        assert sorted(twins.rows.tolist()) == [0, 3]  # the vase is round, the chair's caption says no view
        assert twins.counts.tolist() == [1.0, 1.0]
        for row, changed in zip(twins.rows, twins.tokens, strict=True):
            assert int((changed != tokens[row]).sum()) == 1
            found.add(tokenizer.decode(changed, skip_special_tokens=True))
    said = {" ".join(text.split()).replace(" ,", ",") for text in found}
    assert said == {
        *(f"a red car, {view} view" for view in ("side", "back", "overhead")),
        *(f"a clay duck, {view} view, blurry" for view in ("front", "side", "overhead")),
    }


def test_rows_that_show_their_view_by_themselves_do_not_count(tokenizer):
    _, twins = drawn(tokenizer, 4, [FROM_LEVEL - 1, 500, 500, FROM_LEVEL])
    assert {int(row): float(count) for row, count in zip(twins.rows, twins.counts, strict=True)} == {0: 0.0, 1: 0.0, 2: 0.0, 3: 1.0}


def test_the_term_is_the_cross_entropy_of_the_smaller_error():
    right, wrong = torch.tensor([0.1, 0.2, 0.5], requires_grad=True), torch.tensor([0.106, 0.2, 9.0], requires_grad=True)
    loss = twin_loss(right, wrong, torch.tensor([1.0, 1.0, 0.0]))
    assert loss.item() == pytest.approx((math.log1p(math.exp(-2.0)) + math.log(2.0)) / 2, rel=1e-4)
    loss.backward()
    assert (right.grad[:2] > 0).all() and (wrong.grad[:2] < 0).all()
    assert right.grad[2] == 0 and wrong.grad[2] == 0
    assert twin_loss(right, wrong, torch.zeros(3)).item() == 0.0


def test_a_vocabulary_without_such_nouns_has_no_twins(tmp_path):
    tokenizer = save_tokenizer(tmp_path, 32, ("gnome", "bronze"))
    tokens = tokenize(tokenizer, ["a bronze gnome, side view"]).long()
    twins = ViewTwins(tokenizer, 8).draw(tokens, torch.tensor([500]), torch.Generator().manual_seed(0))
    assert twins.tokens.shape == (0, 32)
    assert twin_loss(torch.zeros(0), torch.zeros(0), twins.counts).item() == 0.0
