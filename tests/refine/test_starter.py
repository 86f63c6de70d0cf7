"""The shipped prior steers real runs by its words. Minutes on two cores: `make test-long`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.evaluate.judge import load_judge
from backend.refine.control import Control
from backend.refine.inputs import Inputs
from backend.refine.read_inputs import read_inputs
from backend.refine.run import refine
from protocol.job import Budget, JournalEntry, RefineJob, Steer

FLOWER = str(Path(__file__).parent.parent.parent / "examples" / "sketches" / "flower.glb")


def _job(prompt):
    budget = Budget(faces=4000, texture_px=128)
    return RefineJob(prompt=prompt, sketch=FLOWER, preset="quick", steps=100, preview_every=0, checkpoint_every=0, budget=budget)


def _run(prompt, journal=()):
    job = _job(prompt)
    return refine(job, read_inputs(job), control=Control(tuple(journal)))


def _warmth(result):
    """Red minus blue, over the texture, display values."""
    mean = result.exported.base_colour.reshape(-1, 3).astype(float).mean(0)
    return mean[0] - mean[2]


@pytest.mark.long
def test_the_prompt_decides_the_colour():
    red, blue = _run("a red flower"), _run("a blue flower")
    assert _warmth(red) > 25
    assert _warmth(blue) < -5
    assert red.facts["recall"] >= 0.95


@pytest.mark.long
def test_steering_from_red_to_blue_moves_the_hue_and_replays():
    journal = [JournalEntry(50, Steer(prompt="a blue flower"))]
    steered = _run("a red flower", journal)
    assert steered.steps_done == 50 + 150
    assert _warmth(steered) < _warmth(_run("a red flower")) - 30
    again = _run("a red flower", steered.journal)
    assert np.array_equal(steered.exported.base_colour, again.exported.base_colour)
    assert np.array_equal(steered.exported.vertices, again.exported.vertices)


@pytest.mark.long
@pytest.mark.parametrize("noun", ["apple", "cottage"])
def test_nothing_of_the_first_noise_stays_in_a_picture_from_words(noun):
    """At the card's rate for 500 even steps white bands stay in the apple, and the judge sees a pattern."""
    jobs = [RefineJob(mode="image", preset="quick", prompt=f"a red {noun}", seed=seed, preview_every=0) for seed in (0, 5)]
    shown = np.concatenate([refine(job, Inputs()).exported.pictures["picture"] for job in jobs]).astype(np.float32) / 255
    judge = load_judge()
    verdict = judge(torch.from_numpy(shown).movedim(-1, 1))
    assert {judge.nouns[k] for k in verdict.noun.argmax(1)} == {noun}
    assert {judge.patterns[k] for k in verdict.pattern.argmax(1)} == {"plain"}
