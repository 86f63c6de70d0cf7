"""A user's folder: copies and captions, a tiny training on it, its export, and a training that goes on from there."""

import json
import shutil

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import UserError
from backend.priors.card import read_card
from backend.train.cards import nouns_of, own_card, zoo_card
from backend.train.checkpoints import load_state
from backend.train.options import Sizes, TrainOptions
from backend.train.own_pictures import read_own_pictures, training_pool
from backend.train.pool import make_pool
from backend.train.release import read_release
from backend.train.run import train_prior
from backend.zoo.captions import CORRUPTIONS

TINY = Sizes(picture_px=32, vae_widths=(8, 8, 8), unet_widths=(16, 32), unet_groups=8, text_width=32, text_layers=1)
THINGS = ("gnome", "teapot")
COLOURS = {"red": (200, 30, 30), "grün": (30, 160, 40), "blue": (30, 40, 200)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 captioned pictures of several sizes: one thing left of the middle, every second with a view in its metadata."""
    out = tmp_path_factory.mktemp("garden")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(24):
        height, width = (40, 56) if i % 3 else (90, 70)
        colour = list(COLOURS)[i % 3]
        picture = np.full((height, width, 3), 240, np.uint8)
        picture[height // 4 : -height // 4, 6 : width // 2] = COLOURS[colour] + rng.integers(-9, 9, 3)
        Image.fromarray(picture).save(out / f"{i:02d}.png")
        lines.append({"file_name": f"{i:02d}.png", "text": f"a {colour} garden-{THINGS[i % 2]} with a hat"})
        lines[-1] |= {"view": "side view"} if i % 4 < 2 else {}
    (out / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return out


def options(tmp, folder, **changes) -> TrainOptions:
    given = {
        "out": str(tmp / "out"), "work": str(tmp / "work"), "pictures": str(folder), "images": 64, "validation_images": 16, "processes": 1,
        "batch": 8, "vae_batch": 4, "steps": 20, "vae_steps": 4, "bf16": False, "threads": 1, "sizes": TINY, "sheet_samples": 1,
    } | changes  # fmt: skip
    return TrainOptions(**given)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    tmp = tmp_path_factory.mktemp("trained")
    return tmp, train_prior(options(tmp, folder))


def test_copies_are_remade_and_told_apart(folder, tmp_path):
    own = read_own_pictures(folder, 32, 0)
    assert len(own.training) == 22 and len(own.held_out) == 2 and not set(own.training) & set(own.held_out)
    pool = training_pool(tmp_path / "a", own, 220, 5)
    again = training_pool(tmp_path / "b", own, 220, 5)
    np.testing.assert_array_equal(pool.pictures, again.pictures)
    assert pool.captions == again.captions
    other = training_pool(tmp_path / "c", own, 220, 6)
    assert not np.array_equal(pool.pictures, other.pictures)
    spoilt = [any(f", {mark}" in caption for mark in (*CORRUPTIONS, "painting")) for caption in pool.captions]
    assert 0.06 < np.mean(spoilt) < 0.27
    viewed = [bool(own.exemplars[own.training[i % 22]].view) for i in range(220)]
    assert not any("view" in caption for caption, has in zip(pool.captions, viewed, strict=True) if not has)
    assert 0.6 < np.mean(["side view" in caption for caption, has in zip(pool.captions, viewed, strict=True) if has]) < 0.95
    # never mirrored: the thing stays left of the middle
    clean = np.asarray(pool.pictures)[~np.array(spoilt)].astype(float)
    dark = 255 - clean.min(-1)
    assert (dark[:, :, :16].sum((1, 2)) > dark[:, :, 16:].sum((1, 2))).all()


def test_the_zoo_follows_the_folder(folder, tmp_path):
    own = read_own_pictures(folder, 32, 0)
    zoo = make_pool(tmp_path / "zoo", 6, 100, 32, processes=1)
    pool = training_pool(tmp_path / "mixed", own, 10, 0, zoo=zoo)
    assert pool.facts.count == 16
    np.testing.assert_array_equal(pool.pictures[10:], zoo.pictures)
    assert pool.captions[10:] == zoo.captions
    assert training_pool(tmp_path / "stopped", own, 10, 0, stop=lambda: True) is None


def test_the_card_is_read_from_the_captions(folder):
    card = own_card(read_own_pictures(folder, 32, 0))
    assert "hat" not in card.nouns and all(any(thing in noun for noun in card.nouns) for thing in THINGS)
    assert set(card.colours) == {"red", "blue"}
    assert "flower" not in card.vocabulary and {"grün", "blurry", "sharp", "side"} <= set(card.vocabulary)
    assert card.clay_word == "" and card.view_words == zoo_card().view_words
    assert card.background.white_share > 0.9
    mixed = own_card(read_own_pictures(folder, 32, 0), [zoo_card()])
    assert {"gnome", "flower"} <= set(mixed.nouns) and mixed.clay_word == "clay"


def test_nouns_stand_before_what_follows_them():
    captions = ["A photo of a red garden gnome with a blue hat", "the old lighthouse at night, front view", "spotted beetle"]
    assert nouns_of(captions) == ["gnome", "lighthouse", "beetle"]


def test_a_folder_trains_and_its_export_loads(trained, folder):
    from diffusers import DiffusionPipeline

    from backend.priors.diffusers_prior import DiffusersPrior

    tmp, result = trained
    assert result.is_finished and result.samples == 160
    assert result.denoiser["held_out"] < 3 and "recognised_caption" in result.denoiser
    prior = DiffusersPrior.load(tmp / "out")
    assert prior.image_size_px == 32 and prior.unknown_words("a grün gnome, zebra") == ["zebra"]
    assert len(prior.tokenizer.tokenize("grün teapot")) == 2
    pipeline = DiffusionPipeline.from_pretrained(tmp / "out", local_files_only=True).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a red gnome", num_inference_steps=2, output_type="np").images.shape == (1, 32, 32, 3)
    readme = (tmp / "out" / "README.md").read_text()
    assert "24 captioned" in readme and "samples.png" in readme and str(folder.parent) not in readme
    assert (tmp / "out" / "samples.png").stat().st_size < 400_000
    record = json.loads((tmp / "out" / "training.json").read_text())
    assert record["pictures"] == folder.name and [leg["samples"] for leg in record["history"]] == [160]


def test_a_training_goes_on_from_an_export(trained, folder, tmp_path):
    """Fresh optimiser, warm-up, the average from the loaded weights, samples summed; on the zoo's words as new ones."""
    tmp, _ = trained
    first = read_release(str(tmp / "out"))
    before = load_state(tmp / "work" / "denoiser.ckpt")
    shutil.copytree(tmp / "out", tmp_path / "out")  # its export replaces what it starts from
    go_on = options(tmp_path, folder, start=str(tmp_path / "out"), sizes=Sizes(), mix_zoo=0.25, steps=0)
    assert go_on.peak_rate == 3e-4
    train_prior(go_on)  # no step: what was loaded is what is averaged, live and exported
    loaded = load_state(tmp_path / "work" / "denoiser.ckpt")
    for name, value in before["average_unet"].items():
        torch.testing.assert_close(loaded["average_unet"][name], value, atol=2e-3, rtol=2e-3)
        assert torch.equal(loaded["average_unet"][name], loaded["unet"][name])
    assert not loaded["optimiser"]["state"]
    vocabularies = [json.loads((place / "tokenizer" / "vocab.json").read_text()) for place in (tmp / "out", tmp_path / "out")]
    table = "embeddings.token_embedding.weight"
    old, new = (next(v for k, v in s["average_text"].items() if k.endswith(table)) for s in (before, loaded))
    row = vocabularies[0]["gnome</w>"], vocabularies[1]["gnome</w>"]
    assert "rocket</w>" in vocabularies[1] and "rocket</w>" not in vocabularies[0]
    torch.testing.assert_close(new[row[1]], old[row[0]], atol=1e-3, rtol=1e-3)

    assert not [file for file in (tmp_path / "out").rglob("config.json") if "_name_or_path" in file.read_text()]  # a path of this machine

    result = train_prior(msgspec.structs.replace(go_on, steps=2))
    assert result.samples == 16 and any("flower" in note for note in result.notes)
    release = read_release(str(tmp_path / "out"))
    assert [leg.samples for leg in release.history] == [160, 16]
    assert release.sizes == first.sizes == TINY
    assert "176 samples" in (tmp_path / "out" / "README.md").read_text()
    moved = load_state(tmp_path / "work" / "denoiser.ckpt")
    furthest = max(float((moved["average_unet"][k] - v).abs().max()) for k, v in loaded["average_unet"].items())
    assert 0 < furthest < 2.5 * 2 / 150 * 3e-4  # two warm-up steps of Adam move a weight by at most their rates

    with pytest.raises(UserError, match="other seed"):
        train_prior(msgspec.structs.replace(go_on, seed=1))


def test_unusable_folders_are_one_sentence(folder, tmp_path):
    empty, bare, broken, few = (tmp_path / name for name in ("empty", "bare", "broken", "few"))
    for place, count in ((empty, 0), (bare, 20), (broken, 20), (few, 1)):
        place.mkdir()
        for i in range(count):
            Image.new("RGB", (8, 8)).save(place / f"{i}.png")
            if place != bare:
                (place / f"{i}.txt").write_text("a red mug")
    (broken / "7.png").write_bytes((broken / "7.png").read_bytes()[:30])
    for place, message in ((empty, "no PNG"), (bare, "no caption"), (broken, "7.png.*could not be read"), (few, "needs at least 20")):
        with pytest.raises(UserError, match=message):
            train_prior(options(tmp_path, place))
    with pytest.raises(UserError, match="no folder of pictures"):
        train_prior(options(tmp_path, tmp_path / "none"))
    with pytest.raises(UserError, match="no exported prior"):
        train_prior(options(tmp_path, folder, start=str(empty)))
    with pytest.raises(UserError, match="mix_zoo"):
        train_prior(options(tmp_path, folder, mix_zoo=1.0))
    assert not (tmp_path / "work").exists()


def test_a_release_without_a_history_tells_it_in_its_readme(trained, tmp_path):
    old = tmp_path / "old"
    (old / "unet").mkdir(parents=True)
    (old / "README.md").write_text("| training | 279,840 samples in 89 minutes (two CPU cores), finished |")
    (old / "training.json").write_text(json.dumps({"images": 110000, "rate": 0.001, "vae_minutes": 9.5, "device": "cpu"}))
    release = read_release(str(old))
    assert [(leg.samples, leg.minutes, leg.images) for leg in release.history] == [(279_840, 89.0, 110_000)]
    assert "110,000" in release.autoencoder
    assert read_card(old).name == "old"
