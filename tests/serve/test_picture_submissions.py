"""Jobs of pictures at the broker, which knows neither torch nor pixels."""

import secrets

import numpy as np
import pytest

from protocol.messages import Fault, JobState, Need
from tests.serve.peer import submission

PAINTING = np.zeros((9, 12, 3), np.uint8)
FOUR = ("a red apple", "a red fish", "a red mug", "a red vase")


def test_a_painting_is_asked_for_and_words_alone_run_at_once(shared, connect):
    peer = connect(shared)
    asked = peer.ask(submission({"picture": PAINTING}, mode="image", domain="painting"), secrets.token_hex(16)).body
    assert isinstance(asked, Need) and len(asked.missing) == 1
    told = peer.ask(submission(mode="image", sketch="left.png"), secrets.token_hex(16)).body
    assert isinstance(told, JobState) and told.mode == "image"
    told = peer.ask(submission(mode="illusion", prompt="", prompts=FOUR), secrets.token_hex(16)).body
    assert isinstance(told, JobState) and told.prompt == " | ".join(FOUR)


@pytest.mark.parametrize(
    ("arrays", "settings", "told"),
    [
        ({"picture": PAINTING.astype(np.float32)}, {"mode": "image"}, "should be [n,m,3] uint8"),
        ({"picture": PAINTING[..., 0]}, {"mode": "image"}, "should be [n,m,3] uint8"),
        ({"picture": PAINTING[:, :0]}, {"mode": "image"}, "is empty"),
        ({"picture": PAINTING}, {"mode": "illusion", "prompts": FOUR}, "takes no array 'picture'"),
        ({}, {"mode": "illusion", "prompts": FOUR[:2]}, "needs 4 prompts"),
        ({}, {"mode": "illusion", "prompts": (*FOUR[:3], "x" * 3000)}, "3000 characters"),
        ({}, {"mode": "image", "preset": "loose"}, "no preset 'loose'"),
        ({}, {"mode": "prompt", "canvas": {"kind": "pixels"}}, "has no canvas"),
        ({}, {"mode": "image", "canvas": {"kind": "oil"}}, "canvas"),
    ],
)
def test_mistakes_are_one_sentence(shared, connect, arrays, settings, told):
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    fault = connect(shared).ask(submission(arrays, **settings), secrets.token_hex(16)).body
    assert isinstance(fault, Fault) and told in fault.sentence and "\n" not in fault.sentence
