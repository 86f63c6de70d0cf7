"""The training set as the denoiser sees it: scaled latents of the pool's pictures and the tokens of their captions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

from backend.train.journal import Report, quiet
from backend.train.pool import Pool, StopAsked
from backend.train.train_autoencoder import as_pictures


@dataclass
class Latents:
    """Scaled latents [N, C, h, w] float16 and tokens [N, L] int16, row for row."""

    latents: Tensor
    tokens: Tensor

    def on(self, device: str) -> Latents:
        """The same on a device, moved there once: 4 KB a picture at the shipped sizes."""
        return Latents(self.latents.to(device), self.tokens.to(device))


class LatentFacts(msgspec.Struct, frozen=True):
    encoder: str  # sha256 of the encoder's weights
    count: int
    first_seed: int
    source: str = ""


def weights_hash(module: torch.nn.Module) -> str:
    """sha256 over a module's parameters, in name order."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Padded token ids [N, L] int16; captions longer than the limit are cut."""
    rows = tokenizer(captions, padding="max_length", truncation=True, max_length=tokenizer.model_max_length)["input_ids"]
    return torch.tensor(np.asarray(rows, dtype=np.int16))


@torch.no_grad()
def encode_pool(
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    pool: Pool,
    path: Path,
    device: str,
    report: Report = quiet,
    stop: StopAsked = lambda: False,
) -> Latents | None:
    """Posterior means of the pool's pictures times the scaling factor; kept at `path` for the same encoder and pool.

    On the CPU, whatever `device` encodes. None where `stop` became true first.
    """
    wanted = LatentFacts(weights_hash(vae.encoder), pool.facts.count, pool.facts.first_seed, pool.facts.source)
    facts = path.with_suffix(".json")
    tokens = tokenize(tokenizer, pool.captions)
    if facts.exists() and path.exists() and msgspec.json.decode(facts.read_bytes(), type=LatentFacts) == wanted:
        return Latents(torch.from_numpy(np.load(path)), tokens)
    parts = []
    for start in range(0, pool.facts.count, 128):
        mean = vae.encode(as_pictures(pool.pictures[start : start + 128], device)).latent_dist.mean
        parts.append((mean * vae.config.scaling_factor).half().cpu())
        if start % 2560 == 0:
            report("encode", start / pool.facts.count, f"{start} of {pool.facts.count} pictures")
            if stop():
                return None
    latents = torch.cat(parts).contiguous()  # as it will be read back: another memory layout rounds differently
    path.parent.mkdir(parents=True, exist_ok=True)
    facts.unlink(missing_ok=True)
    np.save(path, latents.numpy())
    facts.write_bytes(msgspec.json.encode(wanted))
    return Latents(latents, tokens)
