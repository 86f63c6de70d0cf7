"""Parts of the training: teacher, losses, schedules, tokenizer, pool."""

import math

import numpy as np
import pytest
import torch

from backend.train.autoencoder import PatchTeacher, build_autoencoder, chroma_l1, reconstruction_loss
from backend.train.checkpoints import Average, load_state, save_state
from backend.train.denoiser import build_denoiser, build_scheduler, loss_weights, signal_levels, stratified_timesteps
from backend.train.options import Sizes
from backend.train.pool import make_pool, open_pool
from backend.train.progress import Progress, child_seed, cosine_rate, ema_decay
from backend.train.train_denoiser import batch_rows
from backend.train.words import learn_merges, save_tokenizer
from backend.zoo.captions import CORRUPTIONS, DOMAIN, QUALITY, VOCABULARY


@pytest.fixture(scope="module")
def coloured():
    """Pictures whose patches have few degrees of freedom: smooth ramps in random colours."""
    g = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 1, 16)
    a, b, c = (torch.rand(64, 3, 1, 1, generator=g) * 2 - 1 for _ in range(3))
    return (a + b * ramp[None, None, :, None] + c * ramp[None, None, None, :]) / 3


def test_teacher_reconstructs_what_lies_in_its_span(coloured):
    # constant, ramp down and ramp across per colour: nine axes hold all of it
    teacher = PatchTeacher.fit(coloured, 4, 9)
    codes = teacher.encode(coloured)
    assert codes.shape == (64, 9, 4, 4)
    assert codes.square().mean().item() == pytest.approx(1.0, rel=0.02)
    torch.testing.assert_close(teacher.decode(codes), coloured, atol=2e-3, rtol=0)


def test_teacher_matches_an_independent_principal_component_analysis():
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.normal(size=(40, 3, 8, 8)).astype(np.float32)).cumsum(3)
    teacher = PatchTeacher.fit(pictures, 4, 8)
    rows = pictures.reshape(40, 3, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 48).numpy()
    _, spread, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    cosines = np.abs((teacher.axes.numpy() * axes[:8]).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=2e-3)
    ratio = teacher.scale[0] / teacher.scale[7]
    assert float(ratio) == pytest.approx(math.sqrt(spread[7] / spread[0]), rel=1e-3)  # sd^-1/2, up to one common factor


def test_teacher_refuses_too_many_channels(coloured):
    with pytest.raises(ValueError, match="12"):
        PatchTeacher.fit(coloured, 2, 13)


def test_chroma_loss_sees_a_lost_axis(coloured):
    grey = coloured.mean(1, keepdim=True).expand_as(coloured)
    red_green_lost = coloured.clone()
    red_green_lost[:, :2] = coloured[:, :2].mean(1, keepdim=True)
    brighter = coloured + 0.2  # all luminance, no colour
    assert chroma_l1(coloured, coloured) == 0
    assert chroma_l1(brighter, coloured) < 1e-6
    assert chroma_l1(red_green_lost, coloured) > 0.03
    assert chroma_l1(grey, coloured) > 0.05
    assert reconstruction_loss(red_green_lost, coloured) > chroma_l1(red_green_lost, coloured)


def test_autoencoder_shape_and_explicit_scale():
    vae = build_autoencoder(Sizes())
    assert vae.config.scaling_factor == 1.0
    mean = vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mean
    assert mean.shape == (1, 8, 16, 16)
    assert vae.decode(mean).sample.shape == (1, 3, 64, 64)


def test_denoiser_is_small_enough_to_ship():
    unet = build_denoiser(Sizes())
    assert unet.config.sample_size == 16
    assert 2 * sum(p.numel() for p in unet.parameters()) < 15e6


def test_schedule_is_stable_diffusions():
    alpha, sigma = signal_levels()
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(1000))
    assert float(alpha[-1] ** 2) == pytest.approx(0.0047, abs=2e-4)
    config = build_scheduler().config
    assert (config.clip_sample, config.set_alpha_to_one, config.steps_offset) == (False, False, 1)


def test_loss_weights_are_capped_and_floored_and_rise_with_the_noise():
    alpha, sigma = signal_levels()
    snr = (alpha / sigma) ** 2
    weights = loss_weights(alpha, sigma, 5.0, 0.2, 4.0)
    assert float(weights.min()) == pytest.approx(0.2)
    between = (snr >= 1) & (snr < 5)
    torch.testing.assert_close(weights[between], torch.ones(int(between.sum())))
    low = (snr < 1) & (snr > 1 / 16)
    torch.testing.assert_close(weights[low], (sigma / alpha)[low])
    torch.testing.assert_close(weights[snr < 1 / 16], torch.full((int((snr < 1 / 16).sum()),), 4.0))
    assert float(loss_weights(alpha, sigma, 5.0, 0.2, 1.0).max()) == pytest.approx(1.0)


def test_timesteps_are_stratified():
    t = stratified_timesteps(40, torch.Generator().manual_seed(0))
    assert torch.equal(t // 25, torch.arange(40))


def test_rates():
    assert cosine_rate(1.0, 0.0, 0, warm_steps=100, last=0.05) == pytest.approx(0.01)
    assert cosine_rate(1.0, 0.5, 500, warm_steps=100, last=0.0) == pytest.approx(0.5)
    assert cosine_rate(1.0, 1.0, 500, warm_steps=100, last=0.05) == pytest.approx(0.05)
    assert ema_decay(0, 0.999) == pytest.approx(0.05)
    assert ema_decay(10**6, 0.999) == 0.999


def test_progress_by_steps_and_by_time():
    progress = Progress(minutes=100, steps=4)
    progress.start_clock()
    for _ in range(3):
        progress.advance()
    assert progress.fraction == 0.75
    assert not progress.is_done
    timed = Progress(minutes=1, steps=None)
    timed.restore({"step": 7, "spent_s": 59.99})
    assert not timed.is_done
    timed.restore({"step": 7, "spent_s": 60.0})
    assert timed.is_done


def test_named_seeds_do_not_shift():
    assert child_seed(0, "vae draws") == child_seed(0, "vae draws")
    assert len({child_seed(s, n) for s in (0, 1) for n in ("a", "b")}) == 4


def test_every_row_once_per_epoch():
    rows = torch.cat([batch_rows(3, step, 8, 33) for step in range(4)])
    assert len(set(rows.tolist())) == 32
    assert not torch.equal(batch_rows(3, 0, 8, 33), batch_rows(3, 4, 8, 33))
    with pytest.raises(ValueError, match="34"):
        batch_rows(0, 0, 34, 33)


def test_average_follows():
    layer = torch.nn.Linear(2, 1, bias=False)
    average = Average(layer)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.update(layer, 0.75)
    torch.testing.assert_close(average.values["weight"], before + 0.25)


def test_state_round_trip(tmp_path):
    assert load_state(tmp_path / "none") is None
    save_state(tmp_path / "a" / "state", {"x": torch.arange(3), "n": 2})
    assert load_state(tmp_path / "a" / "state")["x"].tolist() == [0, 1, 2]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["state"]


def test_merges_end_in_whole_words():
    merges = learn_merges(("red", "bed"))
    assert merges[-1][0] + merges[-1][1] in ("red</w>", "bed</w>")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), 64)


def test_every_word_is_one_token(tokenizer):
    split = [w for w in VOCABULARY if len(tokenizer.tokenize(w)) != 1]
    assert split == ["3d"]  # CLIP isolates digits: two tokens, both known
    assert len(tokenizer(", ".join(CORRUPTIONS)).input_ids) == 2 + 2 * len(CORRUPTIONS) - 1 + 1  # commas, and "bad structure"
    longest = f"a photo of a striped orange mushroom with white stripes, overhead view, {', '.join(CORRUPTIONS)}, {DOMAIN}, {QUALITY}"
    assert len(tokenizer(longest).input_ids) <= 64


def test_no_input_is_unknown(tokenizer):
    for text in ("zebra", "Ünïcödé ☃ 漢字", "a\x00b\ttab", "ПРИВЕТ"):
        ids = tokenizer(text).input_ids[1:-1]
        assert ids
        assert tokenizer.eos_token_id not in ids
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert tokenizer("A RED Apple").input_ids == tokenizer("a red apple").input_ids


def test_pool_is_made_once_and_reopened(tmp_path):
    pool = make_pool(tmp_path, 6, 100, 32, processes=1)
    assert pool.pictures.shape == (6, 32, 32, 3)
    assert all(pool.captions)
    changed = (tmp_path / "pictures.npy").stat().st_mtime_ns
    again = make_pool(tmp_path, 6, 100, 32, processes=1)
    assert (tmp_path / "pictures.npy").stat().st_mtime_ns == changed
    np.testing.assert_array_equal(open_pool(tmp_path).pictures, again.pictures)
    other = make_pool(tmp_path, 4, 101, 32, processes=1)
    np.testing.assert_array_equal(other.pictures[0], pool.pictures[1] if pool.pictures.shape[0] == 4 else other.pictures[0])
