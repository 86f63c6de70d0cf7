"""The exported folder: an ordinary `StableDiffusionPipeline` in half precision with a machine-readable card and a README.

Every file is written elsewhere first and renamed into place with mode 0644, so that a reader never sees half a file. The folder is put
together from its parts: diffusers' pipeline class would load every loader it has to do the same.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import diffusers
import msgspec
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

from backend.priors.card import CARD_FILE, PriorCard
from backend.train.denoiser import build_scheduler
from backend.train.words import TOKENIZER_FILES

_TEXT_PREFIX = "text_model."
_PATH = "_name_or_path"  # where on this machine a part was loaded from
_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def _half(module, build):
    copy = build.from_config({name: value for name, value in module.config.items() if name != _PATH})
    copy.load_state_dict(module.state_dict())
    return copy.eval().half()


def _save_text_encoder(text_encoder: CLIPTextModel, folder: Path) -> None:
    """Half-precision weights whose keys carry the `text_model.` prefix: what earlier versions and other loaders expect."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for key, value in text_encoder.state_dict().items():
        name = key if key.startswith(_TEXT_PREFIX) else _TEXT_PREFIX + key
        weights[name] = value.half().contiguous().cpu() if value.is_floating_point() else value.cpu()
    weights.pop(_TEXT_PREFIX + "embeddings.position_ids", None)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = text_encoder.config.to_dict() | {"architectures": ["CLIPTextModel"], "dtype": "float32"}  # what a pipeline loads it as
    config.pop("torch_dtype", None)
    config.pop(_PATH, None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def export_folder(
    out: Path,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: Path,
    *,
    card: PriorCard,
    readme: str,
    extra: dict[str, bytes] | None = None,
) -> int:
    """Write the folder and return its size in bytes; files of an earlier export are replaced one by one.

    `tokenizer` is the folder with its files. `extra` holds further files by name, placed beside the card.
    """
    out.mkdir(parents=True, exist_ok=True)
    waiting = Path(tempfile.mkdtemp(prefix=".starter-", dir=out.parent))
    try:
        _half(vae, AutoencoderKL).save_pretrained(waiting / "vae", safe_serialization=True)
        _half(unet, UNet2DConditionModel).save_pretrained(waiting / "unet", safe_serialization=True)
        build_scheduler().save_pretrained(waiting / "scheduler")
        (waiting / "model_index.json").write_text(json.dumps(_INDEX, indent=2) + "\n")
        _save_text_encoder(text_encoder, waiting / "text_encoder")
        (waiting / "tokenizer").mkdir()
        for name in TOKENIZER_FILES:
            shutil.copyfile(tokenizer / name, waiting / "tokenizer" / name)
        (waiting / CARD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
        (waiting / "README.md").write_text(readme)
        for name, content in (extra or {}).items():
            (waiting / name).write_bytes(content)
        total = 0
        for file in sorted(p for p in waiting.rglob("*") if p.is_file()):
            target = out / file.relative_to(waiting)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.chmod(0o644)
            total += file.stat().st_size
            os.replace(file, target)
        return total
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
