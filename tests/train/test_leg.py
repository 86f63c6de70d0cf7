"""Whose checkpoints a work folder holds: none goes on as another training."""

import msgspec
import pytest

from backend.errors import UserError
from backend.train.leg import CHECKPOINTS, FILE, WORDS, begin_leg
from backend.train.options import TrainOptions

MINE = TrainOptions(seed=1)


def begin(work, **changes):
    return begin_leg(msgspec.structs.replace(MINE, **changes), work, "", None, None)


@pytest.fixture
def work(tmp_path):
    """A folder with a training begun as `MINE`, and its checkpoints."""
    begin(tmp_path)
    for name in CHECKPOINTS:
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / WORDS).mkdir()
    (tmp_path / WORDS / "vocab.json").write_text("{}")
    return tmp_path


def test_the_same_command_keeps_what_is_there(work):
    before = (work / FILE).read_bytes()
    assert begin(work).seed == 1
    assert all((work / name).read_bytes() == b"weights" for name in CHECKPOINTS)
    assert (work / FILE).read_bytes() == before


def test_a_new_training_leaves_nothing_of_the_old_one_to_go_on_from(work):
    """Stopped before its first checkpoint, and then called again without --no-resume."""
    begin(work, seed=2, resume=False)
    assert not any((work / name).exists() for name in (*CHECKPOINTS, WORDS))
    assert begin(work, seed=2).seed == 2


@pytest.mark.parametrize("changes", [{"seed": 2}, {"batch": 8}, {"vae": "starter"}, {"mix_zoo": 0.3}, {"start": "starter"}])
def test_another_training_is_refused(work, changes):
    with pytest.raises(UserError, match=f"with other {next(iter(changes)).replace('_', '-')}") as raised:
        begin(work, **changes)
    assert "--no-resume" in str(raised.value)
    assert all((work / name).exists() for name in CHECKPOINTS)


def test_checkpoints_of_an_unknown_training_are_refused(work):
    (work / FILE).unlink()
    with pytest.raises(UserError, match=FILE):
        begin(work)
    assert all((work / name).exists() for name in CHECKPOINTS)
