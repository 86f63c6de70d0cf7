"""Networks out of a folder of the Stable Diffusion layout, with one sentence for everything that can be wrong with it.

Nothing here opens a connection: only files of the folder are read, and only safetensors (no pickles).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from backend.errors import ResourceError, UserError, first_line
from backend.priors.conversions import PARAMETRISATIONS

NETWORKS = ("unet", "vae", "text_encoder")
PARTS = (*NETWORKS, "tokenizer", "scheduler")
_USE_SD = "Use a model of the Stable Diffusion 1 or 2 layout."


@dataclass(frozen=True)
class Networks:
    """What a Stable-Diffusion-like folder holds; frozen, in evaluation mode."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: dict[str, Any]  # the scheduler's configuration
    files: tuple[Path, ...]  # the weights that were read


def load_networks(folder: Path, device: torch.device, dtype: torch.dtype) -> Networks:
    """Everything in `folder`, on `device` in `dtype`.

    Errors: UserError for a folder that is missing or of another layout, ResourceError for one that is incomplete or damaged.
    """
    if not folder.is_dir():
        raise UserError(f"There is no prior in '{folder}'.", "Give a folder that exists, or 'starter'.")
    refuse_layout(folder, str(folder))
    kind = str(_config(folder, "vae").get("_class_name"))
    vae_class = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}.get(kind)
    if vae_class is None:
        raise UserError(f"The prior '{folder}' has an image encoder of the kind {kind}; AutoencoderKL and AutoencoderTiny can be used.")
    unet, unet_files = _network(folder, "unet", lambda **more: UNet2DConditionModel.from_pretrained(dtype=dtype, **more))
    vae, vae_files = _network(folder, "vae", lambda **more: vae_class.from_pretrained(dtype=dtype, **more))
    text, text_files = _network(folder, "text_encoder", lambda **more: CLIPTextModel.from_pretrained(dtype=dtype, **more))
    for network in (unet, vae, text):
        network.requires_grad_(False).eval().to(device)
    if device.type == "cuda":  # bf16 convolutions run without transposes in this layout
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    try:
        with quietly():
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError) as error:
        raise _damaged(folder / "tokenizer", error) from error
    return Networks(unet, vae, text, tokenizer, _config(folder, "scheduler"), (*unet_files, *vae_files, *text_files))


def refuse_layout(folder: Path, name: str) -> None:
    """UserError unless the configurations in `folder` are those of a text-to-image model like Stable Diffusion 1 or 2."""
    index = _json(folder / "model_index.json") if (folder / "model_index.json").exists() else {}
    kind = str(index.get("_class_name", "folder"))
    if "text_encoder_2" in index or "transformer" in index or (folder / "text_encoder_2").exists():
        raise UserError(f"'{name}' is a {kind}, whose denoiser wants more than one text encoder.", _USE_SD)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise UserError(f"'{name}' is not a text-to-image model of the Stable Diffusion layout: it has no {', '.join(missing)}.")
    unet, vae, text = (_config(folder, part) for part in NETWORKS)
    if unet.get("addition_embed_type") or unet.get("class_embed_type") or unet.get("num_class_embeds"):
        raise UserError(f"The denoiser of '{name}' wants more conditions than a text.", _USE_SD)
    channels = unet.get("in_channels"), unet.get("out_channels"), vae.get("latent_channels", 4)
    if len(set(channels)) != 1:
        raise UserError(
            f"'{name}' is not a plain text-to-image model: its denoiser takes {channels[0]} channels and returns {channels[1]}, and its"
            f" image encoder makes {channels[2]}.",
            "Inpainting and depth models cannot be used.",
        )
    if text.get("hidden_size") != unet.get("cross_attention_dim"):
        raise UserError(
            f"The parts of '{name}' do not fit: its text encoder is {text.get('hidden_size')} wide, its denoiser expects"
            f" {unet.get('cross_attention_dim')}."
        )
    prediction = _config(folder, "scheduler").get("prediction_type", "epsilon")
    if prediction not in PARAMETRISATIONS:
        raise UserError(f"The denoiser of '{name}' predicts '{prediction}'; known are {', '.join(PARAMETRISATIONS)}.")


def weight_files(names: Sequence[str], what: str) -> tuple[list[str], str | None]:
    """The safetensors files to read out of the names in one part's folder, and their variant ("fp16", or None).

    The full-precision file if there is one, else its shards, else the same of the fp16 variant. ResourceError if there is none.
    """
    stems = ("diffusion_pytorch_model", "model")
    for variant in (None, "fp16"):
        mark = f".{variant}" if variant else ""
        for stem in stems:
            if f"{stem}{mark}.safetensors" in names:
                return [f"{stem}{mark}.safetensors"], variant
            shards = sorted(n for n in names if n.startswith(f"{stem}{mark}-") and "-of-" in n and n.endswith(".safetensors"))
            if shards:
                return shards, variant
    raise ResourceError(f"The {what} has no weights in safetensors form.", "Convert them, or download the model again.")


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
    names, variant = weight_files([path.name for path in (folder / part).iterdir()], f"{part} of '{folder}'")
    files = [folder / part / name for name in names]
    try:
        for path in files:
            with safe_open(path, framework="pt"):
                pass  # a file cut short is found here, by its length
        with quietly():
            network, found = load(
                pretrained_model_name_or_path=folder / part,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _damaged(folder / part, error) from error
    # The libraries fill what a file lacks with random numbers and log a line; a prior of random numbers is no prior.
    if found["missing_keys"] or found["mismatched_keys"]:
        absent = sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"])))
        raise _damaged(folder / part, f"{len(absent)} tensors such as {absent[0]} are missing or of the wrong shape")
    return network, files


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


def _config(folder: Path, part: str) -> dict[str, Any]:
    return _json(folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json"))


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(data, dict):
        raise _damaged(path, "not a JSON object")
    return data


def _damaged(path: Path, problem: BaseException | str) -> ResourceError:
    line = first_line(problem) if isinstance(problem, BaseException) else problem
    return ResourceError(f"The prior's '{path}' is damaged or incomplete: {line}.", "Copy or download the folder again.")
