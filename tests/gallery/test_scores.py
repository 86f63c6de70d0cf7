"""Assets are judged once, again when something their scores depend on changes, and their scores stay when nothing is judged."""

import json

import pytest

from backend.gallery import make
from backend.gallery.collect import collect
from backend.gallery.scores import JUDGED_FILE, Scorer, score_all
from tests.gallery.folder import finish, job, jobs_of, write_ball, write_plan


@pytest.fixture
def batch(tmp_path):
    entries = [*jobs_of(["a red apple"], ["sds", "bridge"], [0]), job("flat", prompt="a red apple", mode="image")]
    write_plan(tmp_path, entries)
    for entry in entries:
        finish(tmp_path, entry)
    return tmp_path


def scored(out, **options):
    batch, scorer = collect(out), Scorer(views=6, **options)
    score_all(batch, scorer, lambda job: None, lambda: False)
    return batch, scorer.judged


def test_nothing_is_judged_twice(batch):
    first, judged = scored(batch)
    assert judged == 2  # not the picture
    row = first.rows[0]
    assert 0.0 <= row["judge_noun_share"] <= 1.0 and row["judge_colour_share"] == 1.0
    assert row["judge_ig"] == pytest.approx((row["judge_iv_nats"] - row["judge_iq_nats"]) / row["judge_iq_nats"])
    assert first.rows[2]["judge_noun_share"] is None
    again, judged = scored(batch)
    assert judged == 0 and again.rows == first.rows
    kept, judged = scored(batch, only_kept=True)
    assert judged == 0 and kept.rows == first.rows


def test_a_changed_asset_or_prompt_is_judged_anew(batch):
    before, _ = scored(batch)
    write_ball(batch / "jobs" / "a-red-apple-sds-0" / "asset.glb", (30, 60, 220))
    after, judged = scored(batch)
    assert judged == 1 and after.rows[0]["judge_colour_share"] < before.rows[0]["judge_colour_share"]
    report = batch / "jobs" / "a-red-apple-bridge-0" / "report.json"
    report.write_text(report.read_text().replace("a red apple", "a blue apple"))
    after, judged = scored(batch)
    assert judged == 1 and after.rows[1]["judge_colour_share"] == 0.0


@pytest.mark.parametrize("damage", ["", "[]", '{"key": {}, "scores": 3}', "truncated"])
def test_damaged_scores_are_made_again(batch, damage):
    whole, _ = scored(batch)
    path = batch / "jobs" / "a-red-apple-sds-0" / JUDGED_FILE
    path.write_text(path.read_text()[:-40] if damage == "truncated" else damage)
    mended, judged = scored(batch)
    assert judged == 1 and mended.rows == whole.rows
    assert json.loads(path.read_text())["scores"]["judge_colour_share"] == 1.0


def test_a_missing_judge_is_a_note_and_not_the_end(batch, tmp_path):
    told, judged = scored(batch, weights=tmp_path / "nowhere.safetensors")
    assert judged == 0 and told.rows[0]["trouble"] is None
    assert any("not judged" in note and "nowhere.safetensors" in note for note in told.notes)


def test_a_folder_without_a_clip_model_is_a_note(batch, tmp_path):
    told, _ = scored(batch, clip_folder=tmp_path)
    assert any("CLIP" in note for note in told.notes) and told.rows[0]["clip_similarity"] is None


def test_an_asset_that_cannot_be_judged_says_so(batch):
    (batch / "jobs" / "a-red-apple-sds-0" / "asset.glb").write_bytes(b"glTF")
    told, judged = scored(batch)
    assert judged == 1 and "asset.glb" in told.rows[0]["trouble"] and told.rows[0]["judge_ig"] is None


def test_judging_can_be_stopped_and_goes_on_later(batch):
    asked = []
    result = make(batch, stop=lambda: len(asked) > 0, tell=lambda told: asked.append(told.what))
    assert result.judged == 1 and "The judging was stopped: 1 assets have no scores yet." in result.batch.notes
    assert result.files[2].exists() and make(batch).judged == 1
