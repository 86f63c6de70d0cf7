"""CLIP similarity of pictures and captions, with a CLIP model that the user has as a folder.

Pictures are prepared here, as the folder's preprocessor_config.json says, so that nothing beyond transformers is needed.
Source: Radford et al. 2021, arXiv 2103.00020; the distance of ESD's table is one minus this similarity (arXiv 2401.00909, table 1).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.errors import ResourceError, UserError, first_line

PREPROCESSOR = "preprocessor_config.json"
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BATCH = 32
_MODES = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers


@dataclass(frozen=True)
class Preparation:
    """How pictures become the model's input: resized by the shorter side, cut to a square, normalised per channel."""

    size_px: int
    crop_px: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    mode: str

    def __call__(self, rgb: Tensor) -> Tensor:
        """[N,3,H,W] display values -> [N,3,crop,crop]."""
        height, width = rgb.shape[-2:]
        scale = self.size_px / min(height, width)
        size = (max(self.crop_px, round(height * scale)), max(self.crop_px, round(width * scale)))
        smooth = self.mode != "nearest"
        # `antialias` filters as Pillow's resize does, which the models were trained with.
        resized = F.interpolate(rgb, size, mode=self.mode, antialias=True, align_corners=False) if smooth else F.interpolate(rgb, size)
        top, left = (size[0] - self.crop_px) // 2, (size[1] - self.crop_px) // 2
        square = resized[..., top : top + self.crop_px, left : left + self.crop_px].clamp(0, 1)
        mean, deviation = (torch.tensor(v, device=rgb.device).view(1, 3, 1, 1) for v in (self.mean, self.deviation))
        return (square - mean) / deviation


class ClipSimilarity:
    """A CLIP model with its tokenizer; see `load_clip`."""

    def __init__(self, model: Any, tokenizer: Any, prepare: Preparation, device: torch.device | str) -> None:
        self.model, self.tokenizer, self.prepare, self.device = model, tokenizer, prepare, torch.device(device)

    @torch.no_grad()
    def __call__(self, pictures: Tensor, captions: Sequence[str]) -> Tensor:
        """Cosine similarity of each picture [N,3,H,W] (display values 0..1) with its caption, or with the only one: [N]."""
        if len(captions) not in (1, len(pictures)):
            raise ValueError(f"one caption or one per picture is needed, got {len(captions)} for {len(pictures)} pictures")
        words = list(dict.fromkeys(captions))
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(words, padding=True, truncation=True, max_length=longest, return_tensors="pt").to(self.device)
        seen, text = [], torch.empty(0)
        for part in pictures.split(BATCH):
            found = self.model(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                pixel_values=self.prepare(part.to(self.device, torch.float32)),
            )
            seen.append(F.normalize(found.image_embeds, dim=-1))
            text = F.normalize(found.text_embeds, dim=-1)
        rows = [words.index(caption) for caption in captions]
        similarity: Tensor = (torch.cat(seen) * text[rows]).sum(-1)
        return similarity


def load_clip(folder: str | Path, device: torch.device | str = "cpu") -> ClipSimilarity:
    """The CLIP model in a folder in the layout of transformers; no network access.

    Errors: UserError for a folder that is missing or holds no CLIP model; ResourceError for damaged weights.
    """
    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise UserError(f"There is no CLIP model in '{folder}'.", "Give a folder with config.json, weights and a tokenizer.")
    kind = _read_json(folder / "config.json").get("model_type")
    if kind != "clip":
        raise UserError(f"The model in '{folder}' is of the kind '{kind}', not 'clip'.", "Give a folder with a CLIP model.")
    from transformers import CLIPModel, CLIPTokenizer

    try:
        model: Any = CLIPModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # foreign readers fail in every way there is
        raise ResourceError(f"The CLIP model in '{folder}' could not be loaded: {first_line(error)}.", "Download it again.") from error
    model = model.to(device).eval().requires_grad_(False)
    return ClipSimilarity(model, tokenizer, _preparation(folder, model.config.vision_config.image_size), device)


def _preparation(folder: Path, image_size: int) -> Preparation:
    """From the folder's file; without one, CLIP's own values at the model's picture size."""
    path = folder / PREPROCESSOR
    config = _read_json(path) if path.is_file() else {}
    try:
        crop = _side(config.get("crop_size"), image_size) if config.get("do_center_crop", True) else image_size
        return Preparation(
            size_px=_side(config.get("size"), image_size),
            crop_px=crop,
            mean=tuple(float(v) for v in config.get("image_mean", MEAN)),
            deviation=tuple(float(v) for v in config.get("image_std", DEVIATION)),
            mode=_MODES.get(config.get("resample", 3), "bicubic"),
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"'{path}' is not understood: {first_line(error)}.", "Take the file that came with the model.") from error


def _side(value: Any, otherwise: int) -> int:
    """A size as the several generations of the file write it: 224, {"shortest_edge": 224}, {"height": 224, "width": 224}."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("shortest_edge", "height") if key in value), otherwise)
    return int(otherwise if value is None else value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' could not be read as JSON.", "Take the file that came with the model.") from error
    return found if isinstance(found, dict) else {}
