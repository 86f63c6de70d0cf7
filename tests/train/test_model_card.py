"""What the README beside exported weights says about how they were made and what they cannot do."""

import json
from types import SimpleNamespace

import msgspec
import pytest

from backend.priors.card import read_card
from backend.priors.resolve import STARTER
from backend.train.model_card import Told, write_readme
from backend.train.options import TrainOptions
from backend.train.release import RECORD_FILE, read_release

NEW_WORDS = "Words that 'starter' did not know, and that are learned from nothing: duck, cat, car, boat, checkered, marbled, checks, veins."


def told(options: TrainOptions, *, views=None, own=None, notes=(NEW_WORDS,)) -> Told:
    release = read_release("starter")
    trained = SimpleNamespace(measures={}, views=views or {}, is_finished=True)
    facts = SimpleNamespace(facts=SimpleNamespace(count=80_000))
    material = SimpleNamespace(own=own, training=facts, zoo_images=0)
    return Told(options, material, read_card(STARTER), release.history, release.autoencoder, {}, trained, [], True, notes)


@pytest.fixture
def shipped() -> TrainOptions:
    """The options of the shipped weights."""
    said = json.loads((STARTER / RECORD_FILE).read_bytes())
    return msgspec.convert({name: said[name] for name in TrainOptions.__struct_fields__ if name in said}, TrainOptions)


def sections(readme: str) -> dict[str, str]:
    return dict(part.split("\n", 1) for part in readme.split("\n## ")[1:])


def test_the_shipped_readme_is_what_the_card_writes(shipped):
    made, kept = sections(write_readme(told(shipped))), sections((STARTER / "README.md").read_text())
    for name in ("Training", "Limits"):
        assert made[name] == kept[name]


def test_the_command_names_a_rate_that_is_not_the_default(shipped):
    assert "--start starter --rate 0.0008`; `starter` was then the release" in write_readme(told(shipped))
    for other, rate in (("starter", 3e-4), ("", 1e-3)):
        usual = write_readme(told(msgspec.structs.replace(shipped, start=other, rate=rate)))
        assert "Remake it with" in usual and "--rate" not in usual


def test_another_start_keeps_its_name(shipped):
    assert "'starter'" not in write_readme(told(shipped))
    readme = write_readme(told(msgspec.structs.replace(shipped, start="garden"), notes=("Words that 'garden' did not know: hat.",)))
    assert "'garden' did not know" in readme and "release before" not in readme


def test_view_words_are_a_limit_until_they_are_measured_to_count(shipped):
    said = "front, side and back view hardly change"
    asked = ("front view", "side view", "back view", "overhead view")
    assert said in write_readme(told(shipped))
    assert said in write_readme(told(shipped, views=dict(zip(asked, (0.19, 0.69, 0.15, 0.31), strict=True))))
    assert said not in write_readme(told(shipped, views=dict.fromkeys(asked, 0.8)))
