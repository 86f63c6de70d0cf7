"""CLIP similarity with a folder, on a CLIP of a few thousand random parameters made here."""

import json

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from backend.errors import ResourceError, UserError
from backend.evaluate.clip_similarity import MEAN, Preparation, load_clip
from tests.priors.tiny import write_tiny_folder

SIDE = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = CLIPTokenizer.from_pretrained(write_tiny_folder(tmp_path_factory.mktemp("prior")) / "tokenizer")
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = CLIPConfig(
        text_config={**sizes, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 12},
        vision_config={**sizes, "image_size": SIDE, "patch_size": 10},
        projection_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    preprocessor = {
        "crop_size": {"height": SIDE, "width": SIDE}, "size": {"shortest_edge": SIDE}, "do_center_crop": True, "resample": 3,
        "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


@pytest.fixture(scope="module")
def rgb():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_it_is_the_cosine_of_the_models_own_embeddings(folder, rgb):
    clip = load_clip(folder)
    mean, deviation = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    pixels = (rgb - mean[:, None, None]) / deviation[:, None, None]
    captions = ["red mug", "blue", "red mug"]
    with torch.no_grad():
        model = CLIPModel.from_pretrained(folder).eval()
        for i, caption in enumerate(captions):
            tokens = clip.tokenizer([caption], return_tensors="pt")
            logits = model(input_ids=tokens["input_ids"], pixel_values=pixels[i : i + 1]).logits_per_image
            expected = float(logits / model.logit_scale.exp())
            assert float(clip(rgb, captions)[i]) == pytest.approx(expected, abs=1e-5)


def test_one_caption_stands_for_all_pictures(folder, rgb):
    clip = load_clip(folder)
    torch.testing.assert_close(clip(rgb, ["red"]), clip(rgb, ["red"] * 3))
    with pytest.raises(ValueError, match="caption"):
        clip(rgb, ["red", "blue"])


def test_a_caption_beyond_the_models_length_is_cut(folder, rgb):
    assert torch.isfinite(load_clip(folder)(rgb, ["red blue mug view front side " * 5])).all()


def test_the_preparation_agrees_with_pillow():
    """Bicubic with the filter widened, the middle cut out, normalised."""
    import numpy as np
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    small = Image.fromarray(picture).resize((40, 30), Image.Resampling.BICUBIC).crop((5, 0, 35, 30))
    expected = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255
    prepare = Preparation(30, 30, (0.0,) * 3, (1.0,) * 3, "bicubic")
    found = prepare(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)[0]
    # Pillow rounds to bytes after each axis.
    torch.testing.assert_close(found, expected, atol=1.6 / 255, rtol=0)


def test_without_a_preprocessor_file_clips_own_numbers_hold(folder, tmp_path):
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    prepare = load_clip(tmp_path).prepare
    assert (prepare.size_px, prepare.crop_px, prepare.mean) == (SIDE, SIDE, MEAN)


def test_folders_that_are_no_clip_are_one_sentence(folder, tmp_path):
    with pytest.raises(UserError, match="no CLIP model"):
        load_clip(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="'bert', not 'clip'"):
        load_clip(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ResourceError, match="could not be loaded"):
        load_clip(tmp_path)
