"""What a training shows and is measured on: the zoo's pictures, or a user's own with a share of the zoo's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from backend.priors.card import PriorCard
from backend.train.cards import own_card, zoo_card
from backend.train.journal import Report
from backend.train.options import ZOO_IMAGES, TrainOptions
from backend.train.own_pictures import OwnPictures, default_count, held_out_pool, training_pool
from backend.train.pool import TRAINING_SEED, VALIDATION_SEED, Pool, StopAsked, make_pool
from backend.train.release import Release
from backend.train.sampling import GRID_PROMPTS, grid_of
from backend.train.words import words_of
from backend.zoo.captions import VOCABULARY

EXPECTED_PROMPTS = ("a red apple, front view", "a green cactus, front view", "a blue vase", "a yellow pear, side view")


@dataclass(frozen=True)
class Material:
    """Pools and words of one training. `own` is None for the zoo's prior."""

    training: Pool
    validation: Pool
    card: PriorCard  # without notes
    learnt: tuple[str, ...]  # words that are to be one token each, the most frequent first
    grid: tuple[str, ...]  # prompts of the sample sheets
    expected: tuple[str, ...]  # prompts of expected.json
    own: OwnPictures | None = None
    zoo_images: int = 0
    known_captions: list[str] = field(default_factory=list)  # of an own folder, without those of its copies

    @property
    def held_out_count(self) -> int:
        """Different held-out pictures; the rest of the validation pool repeats them."""
        return len(self.own.held_out) if self.own else self.validation.facts.count


def zoo_material(options: TrainOptions, first: Release | None, work: Path, report: Report, stop: StopAsked) -> Material | None:
    """The zoo's pictures; None where the making was stopped. The words of the release it starts from stay one token each."""
    validation = _zoo_pool(options, work / "validation", options.validation_images, VALIDATION_SEED, None, stop)
    training = _zoo_pool(options, work / "training", options.images or ZOO_IMAGES, TRAINING_SEED, report, stop)
    if validation is None or training is None:
        return None
    learnt = (*VOCABULARY, *(first.card.vocabulary if first else ()))
    return Material(training, validation, zoo_card(), learnt, GRID_PROMPTS, EXPECTED_PROMPTS, zoo_images=training.facts.count)


def own_material(
    options: TrainOptions, own: OwnPictures, first: Release | None, work: Path, report: Report, stop: StopAsked
) -> Material | None:
    """A folder's pictures and `mix_zoo` of the zoo's; None where the making was stopped."""
    total = options.images or round(default_count(own) / (1 - options.mix_zoo))
    zoo_count = round(total * options.mix_zoo)
    zoo = _zoo_pool(options, work / "zoo", zoo_count, TRAINING_SEED, report, stop) if zoo_count else None
    if zoo_count and zoo is None:
        return None
    training = training_pool(work / "training", own, total - zoo_count, options.seed, zoo=zoo, stop=stop)
    if training is None:
        return None
    before = [*([zoo_card()] if zoo else []), *([first.card] if first else [])]
    captions = own.captions()
    return Material(
        training,
        held_out_pool(work / "validation", own, options.validation_images),
        own_card(own, before),
        (*(word for card in before for word in card.vocabulary), *words_of(captions)),
        grid_of(captions),
        tuple(grid_of(captions, 8)[:4]),
        own,
        zoo_count,
        captions,
    )


def _zoo_pool(options: TrainOptions, folder: Path, count: int, first_seed: int, report: Report | None, stop: StopAsked) -> Pool | None:
    def say(done: int, total: int) -> None:
        if report is not None:
            report("data", done / total, f"{done} of {total} pictures")

    return make_pool(folder, count, first_seed, options.sizes.picture_px, processes=options.processes, report=say, stop=stop)
