"""The exported folder: an ordinary `StableDiffusionPipeline` in half precision with a machine-readable card and a README.

Every file is written elsewhere first and renamed into place with mode 0644, so that a reader never sees half a file.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import msgspec
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from backend import views
from backend.priors.card import BackgroundCard, CameraCard, LightCard, PriorCard
from backend.train.denoiser import build_scheduler
from backend.train.words import save_tokenizer
from backend.zoo.captions import CLAY, CORRUPTIONS, DOMAIN, PATTERN_WORDS, QUALITY, VOCABULARY
from backend.zoo.catalogue import NOUNS
from backend.zoo.palette import COLOURS

EXAMPLE_PROMPTS = (
    "a red flower", "a red mushroom with white spots", "a green cactus", "a blue vase", "a striped orange fish",
    "a brown chair", "a white rocket", "a red cottage", "a purple tree", "a spotted yellow mug",
)  # fmt: skip
_TEXT_PREFIX = "text_model."


def make_card(notes: str) -> PriorCard:
    """The card of the starter: its words, guidance, cameras, lights and backgrounds."""
    return PriorCard(
        name="SketchBridge starter",
        licence="Apache-2.0",
        vocabulary=VOCABULARY,
        nouns=NOUNS,
        colours=COLOURS,
        patterns=PATTERN_WORDS,
        example_prompts=EXAMPLE_PROMPTS,
        view_words=views.VIEW_WORDS,
        front_within_deg=45.0,
        overhead_above_deg=60.0,
        clay_word=CLAY,
        target_suffix=f", {QUALITY}",
        source_descriptors=", " + ", ".join(CORRUPTIONS),
        negative="blurry, noisy, pixelated, foggy, hazy, malformed, bad structure",
        domain_words=(DOMAIN,),
        sds_guidance=15.0,
        texture_guidance=15.0,
        guidance=5.0,
        sdi_guidance=6.0,
        sdi_inversion_guidance=-4.0,
        jsd_guidance=9.0,
        jsd_inversion_guidance=-9.0,
        bridge_k=3.0,
        bridge_rate_scale=0.3,
        colour_rate=1.0,
        geometry_rate=1.0,
        picture_rate=0.02,
        critic_rate=1e-3,
        camera=CameraCard(
            elevation_deg=(-10.0, 45.0), low_elevation_deg=(-45.0, -10.0), high_elevation_deg=(60.0, 85.0), low_share=0.08,
            high_share=0.12, fov_deg=(25.0, 48.0), fill=(0.65, 0.95),
        ),
        light=LightCard(ambient=(0.15, 0.75), key=(0.25, 0.85), key_within_deg=60.0, albedo_share=0.15, clay_share=0.15),
        background=BackgroundCard(white_share=0.25, grey_share=0.25, grey=(0.3, 0.75)),
        notes=notes,
    )  # fmt: skip


def _half(module, build):
    copy = build.from_config(module.config)
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
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def export_folder(
    out: Path,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    *,
    notes: str,
    readme: str,
    extra: dict[str, bytes] | None = None,
) -> int:
    """Write the folder and return its size in bytes; files of an earlier export are replaced one by one.

    `extra` holds further files by name, placed beside the card.
    """
    out.mkdir(parents=True, exist_ok=True)
    waiting = Path(tempfile.mkdtemp(prefix=".starter-", dir=out.parent))
    try:
        pipeline = StableDiffusionPipeline(
            vae=_half(vae, AutoencoderKL), text_encoder=text_encoder, tokenizer=tokenizer, unet=_half(unet, UNet2DConditionModel),
            scheduler=build_scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipeline.save_pretrained(waiting, safe_serialization=True)
        for part in ("text_encoder", "tokenizer"):
            shutil.rmtree(waiting / part)
        _save_text_encoder(text_encoder, waiting / "text_encoder")
        save_tokenizer(waiting / "tokenizer", tokenizer.model_max_length)
        card = msgspec.json.format(msgspec.json.encode(make_card(notes)), indent=2)
        (waiting / "sketchbridge.json").write_bytes(card + b"\n")
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
