"""Networks out of a folder of the Stable Diffusion layout, with one sentence for everything that can be wrong with it.

Nothing here opens a connection: only files of the folder are read, and only safetensors (no pickles).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from backend.priors.layout import check_folder, config, damaged, weights_of


@dataclass(frozen=True)
class Networks:
    """What a Stable-Diffusion-like folder holds; frozen, in evaluation mode."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any  # a DDIMScheduler of the folder's configuration
    files: tuple[Path, ...]  # the weights that were read


def load_networks(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Everything in `folder`, on `device` in `dtype`.

    Errors: UserError for a folder that is missing or of another layout, ResourceError for one that is incomplete or damaged.
    """
    check_folder(folder)
    vae_class = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}[config(folder, "vae")["_class_name"]]
    unet, unet_files = _network(folder, "unet", lambda **more: UNet2DConditionModel.from_pretrained(dtype=dtype, **more))
    vae, vae_files = _network(folder, "vae", lambda **more: vae_class.from_pretrained(dtype=dtype, **more))
    text, text_files = _network(folder, "text_encoder", lambda **more: CLIPTextModel.from_pretrained(dtype=dtype, **more))
    for network in (unet, vae, text):
        network.requires_grad_(False).eval().to(device)
    if device.type == "cuda" or dtype == torch.bfloat16:  # bf16 convolutions run without transposes in this layout
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    with _telling_damage(folder / "tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    with _telling_damage(folder / "scheduler"):
        scheduler = DDIMScheduler.from_config(config(folder, "scheduler"))
    return Networks(unet, vae, text, tokenizer, scheduler, (*unet_files, *vae_files, *text_files))


_HASHES: dict[tuple[str, int, int], str] = {}


def fingerprint(files: Sequence[Path]) -> str:
    """sha256 over the files' own sha256, in order of their names. A file is read again only if its size or time changed."""
    total = hashlib.sha256()
    for path in sorted(files):
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
        if key not in _HASHES:
            with path.open("rb") as file:
                _HASHES[key] = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.parent.name}/{path.name} {_HASHES[key]}\n".encode())
    return total.hexdigest()


def _network(folder: Path, part: str, load: Callable[..., Any]) -> tuple[Any, list[Path]]:
    files, variant = weights_of(folder, part)
    with _telling_damage(folder / part):
        network, found = load(
            pretrained_model_name_or_path=folder / part,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    # The libraries fill what a file lacks with random numbers and log a line; a prior of random numbers is no prior.
    if found["missing_keys"] or found["mismatched_keys"]:
        absent = sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"])))
        raise damaged(folder / part, f"{len(absent)} tensors such as {absent[0]} are missing or of the wrong shape")
    return network, files


@contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    """Whatever a library raises while it reads `path`, silently, as the sentence for a damaged folder; memory that runs out stays that."""
    try:
        with quietly():
            yield
    except Exception as error:  # on files that are JSON but not theirs, the libraries raise anything from KeyError to a bare Exception
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise
        raise damaged(path, error) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps both libraries from printing bars and remarks while they load; the settings are the process's, so they are put back."""
    before = [(log, log.is_progress_bar_enabled(), log.get_verbosity()) for log in (transformers_logging, diffusers_logging)]
    for log, _, _ in before:
        log.disable_progress_bar()
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log, bar, verbosity in before:
            log.set_verbosity(verbosity)
            if bar:
                log.enable_progress_bar()
