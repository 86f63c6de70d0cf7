"""What a person sees of a training: curves, sheets, bars; and where it may stop."""

import io
import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from backend.evaluate.wanted import wanted_of
from backend.train.console import Pace
from backend.train.curves import draw_curves
from backend.train.denoiser import stratified_timesteps
from backend.train.journal import Journal
from backend.train.pool import make_pool
from backend.train.progress import StopSignal
from backend.train.sample_sheet import MOST_BYTES, pair_prompts, sheet_png
from backend.train.sampling import GRID_PROMPTS, grid_of
from backend.zoo.captions import PATTERN_WORDS
from backend.zoo.catalogue import HELD_OUT_PAIRS, NOUNS


def test_the_grid_shows_all_nouns_and_patterns_and_some_pairs_never_trained_on():
    asked = [wanted_of(prompt) for prompt in GRID_PROMPTS]
    assert {w.noun for w in asked} == set(NOUNS)
    assert {w.pattern for w in asked} >= set(PATTERN_WORDS)
    held = [(w.noun, w.colour) in HELD_OUT_PAIRS for w in asked]
    assert [sum(held[i : i + 8]) for i in range(0, len(held), 8)] == [0, 0, 0, 0, 0, 8, 0]


def test_grids_of_other_captions_are_whole_rows():
    assert grid_of(["a", "b", "a"]) == ("a", "b")
    assert len(grid_of([str(i) for i in range(30)])) == 24
    assert len(grid_of([str(i) for i in range(300)])) == 40


def test_the_sheet_is_labelled_and_small():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 64, 64, 3), dtype=np.uint8)
    content = sheet_png(pair_prompts(), noise // 64 * 64)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (2 * 8 * 64 + 8, 8 * (64 + 14))
        assert np.asarray(image.convert("L"))[:14].min() < 100  # words stand there
    smooth = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[None, None, :, None, None], (16, 8, 64, 64, 3))
    assert len(sheet_png(pair_prompts(), smooth)) < MOST_BYTES


def test_curves_are_drawn_from_records(tmp_path):
    journal = Journal(tmp_path, "denoiser", anew=True)
    for step in range(50, 2000, 50):
        journal.write(step, {"loss": 1 / step, "error": 2 / step, "samples_per_s": 90})
    journal.write(2000, {"held_out": 0.01, "held_out_low_t": 0.02, "held_out_high_t": 0.005})
    journal.draw()
    with Image.open(tmp_path / "denoiser.png") as image:
        assert image.width > 900
    draw_curves([{"step": 1, "other": 2.0}], "vae", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert not Journal(tmp_path, "denoiser", anew=True).path.exists()


def test_the_remaining_time_follows_the_pace_since_resuming():
    pace = Pace()
    pace.update(0.5, 100.0)
    assert pace.left_s is None
    pace.update(0.6, 110.0)
    assert pace.left_s == pytest.approx(40.0)


def test_a_call_stops_after_its_minutes():
    with StopSignal(0.001) as stop:
        assert not stop.is_set
        time.sleep(0.07)
        assert stop.is_set
    with StopSignal() as stop:
        assert not stop.is_set


def test_picture_making_stops_and_starts_anew(tmp_path):
    done = []
    assert make_pool(tmp_path, 300, 0, 16, processes=1, report=lambda a, b: done.append(a), stop=lambda: bool(done)) is None
    assert done == [256] and not (tmp_path / "pool.json").exists()


@pytest.mark.gpu
def test_draws_of_a_step_stay_on_the_device():
    generator = torch.Generator("cuda").manual_seed(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        t = stratified_timesteps(32, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert t.device.type == "cuda" and torch.equal(t.cpu() * 32 // 1000, torch.arange(32))


def test_records_are_lines_of_json(tmp_path):
    Journal(tmp_path, "vae").write(3, {"loss": 0.5})
    assert json.loads((tmp_path / "vae.jsonl").read_text())["loss"] == 0.5
