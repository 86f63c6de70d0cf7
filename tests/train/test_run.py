"""A whole training, tiny: resumed equals uninterrupted, and the exported folder is an ordinary one."""

import json
import os
import stat
from pathlib import Path

import msgspec
import pytest
import torch
from typer.testing import CliRunner

from backend.cli.main import app
from backend.errors import NumericalError, UserError
from backend.priors.card import PriorCard
from backend.train import train_denoiser as loop
from backend.train.checkpoints import load_state
from backend.train.options import Sizes, TrainOptions
from backend.train.run import train_prior

TINY = Sizes(vae_widths=(8, 8, 8), unet_widths=(16, 32), unet_groups=8, text_width=32, text_layers=1)


def tiny(tmp: Path, **changes) -> TrainOptions:
    options = {
        "out": str(tmp / "out"), "work": str(tmp / "work"), "images": 48, "validation_images": 16, "processes": 1, "batch": 8,
        "vae_batch": 4, "steps": 20, "vae_steps": 8, "bf16": False, "threads": 1, "sizes": TINY, "sheet_samples": 1,
    } | changes  # fmt: skip
    return TrainOptions(**options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One finished tiny training: its folder and result."""
    tmp = tmp_path_factory.mktemp("whole")
    lines = []
    result = train_prior(tiny(tmp), report=lambda stage, fraction, line: lines.append(stage))
    return tmp, result, lines


def test_the_result_counts(whole):
    tmp, result, lines = whole
    assert result.is_finished
    assert result.samples == 160
    assert result.size_bytes == sum(p.stat().st_size for p in (tmp / "out").rglob("*") if p.is_file())
    assert {"psnr_db", "chroma_l1", "linear_psnr_db"} <= set(result.autoencoder)
    assert result.denoiser["held_out"] < 3
    assert 0 <= result.denoiser["recognised_noun"] <= 1
    assert "denoiser" in lines


def test_ten_and_ten_is_twenty(whole, tmp_path, monkeypatch):
    """Interrupted after ten steps of twenty and resumed: the same bits as in one go, autoencoder included."""
    tmp, _, _ = whole
    options = tiny(tmp_path)

    class StopAfterTen(loop.Progress):
        def advance(self):
            super().advance()
            if self.budget_steps == 20 and self.step == 10:
                os.kill(os.getpid(), 15)  # as an operator would: the loop sees it before the next step

    with monkeypatch.context() as patch:
        patch.setattr(loop, "Progress", StopAfterTen)
        first = train_prior(options)
    assert not first.is_finished
    assert first.samples == 80
    second = train_prior(options)
    assert second.is_finished
    for name in ("vae.ckpt", "denoiser.ckpt"):
        a, b = load_state(tmp / "work" / name), load_state(tmp_path / "work" / name)
        _assert_same(a, b, skip={"spent_s"})


def _assert_same(a, b, skip):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a.keys() - skip:
            _assert_same(a[key], b[key], skip)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, list | tuple):
        for x, y in zip(a, b, strict=True):
            _assert_same(x, y, skip)
    else:
        assert a == b


def test_the_folder_is_an_ordinary_pipeline(whole, monkeypatch):
    from diffusers import DiffusionPipeline, StableDiffusionPipeline

    tmp, _, _ = whole
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pipeline = DiffusionPipeline.from_pretrained(tmp / "out", local_files_only=True)
    assert type(pipeline) is StableDiffusionPipeline
    pipeline.set_progress_bar_config(disable=True)
    pipeline = pipeline.to(torch.float32)
    picture = pipeline("a red flower, front view", num_inference_steps=2, output_type="np").images
    assert picture.shape == (1, 64, 64, 3)
    assert pipeline.tokenizer.model_max_length == pipeline.text_encoder.config.max_position_embeddings == 64
    assert pipeline.text_encoder.config.eos_token_id == pipeline.tokenizer.eos_token_id
    assert pipeline.vae.config.scaling_factor not in (0.18215, 1.0)
    state = load_state(tmp / "work" / "denoiser.ckpt")
    for module, saved in ((pipeline.unet, state["average_unet"]), (pipeline.text_encoder, state["average_text"])):
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                torch.testing.assert_close(value, saved[name], atol=2e-3, rtol=2e-3)


def test_the_files_others_expect(whole):
    from safetensors import safe_open

    out = whole[0] / "out"
    for name in ("model_index.json", "sketchbridge.json", "README.md", "training.json", "expected.json", "tokenizer/vocab.json",
                 "tokenizer/merges.txt", "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):  # fmt: skip
        assert (out / name).is_file(), name
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in out.rglob("*") if p.is_file())
    assert [p for p in out.parent.iterdir() if p.name.startswith(".starter-")] == []
    index = json.loads((out / "model_index.json").read_text())
    assert index["safety_checker"] == [None, None]
    assert index["requires_safety_checker"] is False
    with safe_open(out / "text_encoder" / "model.safetensors", "pt") as file:
        assert all(key.startswith("text_model.") for key in file.keys())  # noqa: SIM118
        assert file.get_tensor("text_model.embeddings.token_embedding.weight").dtype is torch.float16
    card = msgspec.json.decode((out / "sketchbridge.json").read_bytes(), type=PriorCard)
    assert card.clay_word == "clay"
    assert card.sds_guidance == 15.0
    assert set(card.target_suffix.replace(",", " ").split()) <= set(card.vocabulary)
    assert set(card.source_descriptors.replace(",", " ").split()) <= set(card.vocabulary)
    assert set(card.negative.replace(",", " ").split()) <= set(card.vocabulary)
    assert str(whole[0]) not in (out / "training.json").read_text() + (out / "README.md").read_text()
    assert "| views | front view " in (out / "README.md").read_text()


def test_exporting_again_replaces_in_place(whole):
    tmp, _, _ = whole
    before = (tmp / "out" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    result = train_prior(tiny(tmp))  # finished already: reads its checkpoints and exports again
    assert result.is_finished
    assert (tmp / "out" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == before


def test_stages_stop_where_asked(tmp_path):
    assert train_prior(tiny(tmp_path, stage="data")).is_finished
    assert (tmp_path / "work" / "training" / "pool.json").exists()
    assert not (tmp_path / "work" / "vae.ckpt").exists()
    assert train_prior(tiny(tmp_path, stage="vae", vae_steps=2)).autoencoder["psnr_db"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"), [({"batch": 0}, "batch"), ({"batch": 64}, "images"), ({"device": "cuda"}, "cuda"), ({"threads": 0}, "threads")]
)
def test_bad_options_are_one_sentence(tmp_path, changes, message):
    if changes == {"device": "cuda"} and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(UserError, match=message):
        train_prior(tiny(tmp_path, **changes))


def test_an_autoencoder_is_not_trained_on_below_its_denoiser(tmp_path):
    train_prior(tiny(tmp_path, steps=2, vae_steps=2))
    before = (tmp_path / "work" / "vae.ckpt").read_bytes()
    with pytest.raises(UserError, match="trained on the autoencoder as it is"):
        train_prior(tiny(tmp_path, steps=4, vae_steps=4))
    assert (tmp_path / "work" / "vae.ckpt").read_bytes() == before


@pytest.mark.parametrize("part", ["vae", "denoiser"])
def test_a_lost_loss_is_never_kept(tmp_path, part):
    """Far fewer steps than lie between two lines of the journal."""
    train_prior(tiny(tmp_path, steps=2, vae_steps=2, stage="vae" if part == "vae" else "all"))
    path = tmp_path / "work" / f"{part}.ckpt"
    before = path.read_bytes()
    lost = {"vae_steps": 6, "vae_rate": 1e30, "stage": "vae"} if part == "vae" else {"vae_steps": 2, "steps": 6, "rate": 1e30}
    with pytest.raises(NumericalError, match="not finite"):
        train_prior(tiny(tmp_path, **lost))
    assert path.read_bytes() == before


def test_a_device_that_is_not_one_is_told_before_any_picture_is_made(tmp_path):
    result = CliRunner().invoke(
        app, ["train-prior", "--device", "toaster", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 2 and "toaster" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "work").exists()
