"""What a folder of the Stable Diffusion layout must hold, and one sentence for everything that can be wrong with it. No torch.

Only configurations and the headers of the weights are read, so that an unusable model is refused before anything is started.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from safetensors import SafetensorError, safe_open

from backend.errors import ResourceError, UserError, first_line

Parametrisation = Literal["epsilon", "v_prediction", "sample"]
PARAMETRISATIONS: tuple[str, ...] = get_args(Parametrisation)

NETWORKS = ("unet", "vae", "text_encoder")
PARTS = (*NETWORKS, "tokenizer", "scheduler")
IMAGE_ENCODERS = ("AutoencoderKL", "AutoencoderTiny")
_USE_SD = "Use a model of the Stable Diffusion 1 or 2 layout."


def check_folder(folder: Path) -> None:
    """Everything about `folder` that can be told without loading it.

    Errors: UserError for a folder that is missing or of another layout, ResourceError for one that is incomplete or damaged: a
    configuration that is not JSON, a weights file that is missing, empty or cut short.
    """
    if not folder.is_dir():
        raise UserError(f"There is no prior in '{folder}'.", "Give a folder that exists, or 'starter'.")
    refuse_layout(folder, str(folder))
    for part in NETWORKS:
        for file in weights_of(folder, part)[0]:
            _check_weights(file)


def refuse_layout(folder: Path, name: str) -> None:
    """UserError unless the configurations in `folder` are those of a text-to-image model like Stable Diffusion 1 or 2."""
    index = _json(folder / "model_index.json") if (folder / "model_index.json").exists() else {}
    kind = str(index.get("_class_name", "folder"))
    if "text_encoder_2" in index or "transformer" in index or (folder / "text_encoder_2").exists():
        raise UserError(f"'{name}' is a {kind}, whose denoiser wants more than one text encoder.", _USE_SD)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise UserError(
            f"'{name}' is not a text-to-image model of the Stable Diffusion layout: it has no {', '.join(missing)}.",
            "Give the folder of a model, or exemplar:FOLDER for one of captioned pictures.",
        )
    unet, vae, text = (config(folder, part) for part in NETWORKS)
    if vae.get("_class_name") not in IMAGE_ENCODERS:
        raise UserError(
            f"The prior '{name}' has an image encoder of the kind {vae.get('_class_name')}; {' and '.join(IMAGE_ENCODERS)} can be used."
        )
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
    prediction = config(folder, "scheduler").get("prediction_type", "epsilon")
    if prediction not in PARAMETRISATIONS:
        raise UserError(f"The denoiser of '{name}' predicts '{prediction}'; known are {', '.join(PARAMETRISATIONS)}.")


def weights_of(folder: Path, part: str) -> tuple[list[Path], str | None]:
    """The files of `weight_files` in one part of a folder, and their variant."""
    names, variant = weight_files([path.name for path in (folder / part).iterdir()], f"{part} of '{folder}'")
    return [folder / part / name for name in names], variant


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


def config(folder: Path, part: str) -> dict[str, Any]:
    """The configuration of one part, as it stands in its file."""
    return _json(folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json"))


def damaged(path: Path, problem: Exception | str) -> ResourceError:
    """The error for a file or folder that `problem` was met in."""
    said = problem if isinstance(problem, str) else problem.strerror if isinstance(problem, OSError) and problem.strerror else None
    line = said or first_line(problem)  # type: ignore[arg-type]  # a text says something
    return ResourceError(f"The prior's '{path}' is damaged or incomplete: {line}.", "Copy or download the folder again.")


def _check_weights(path: Path) -> None:
    try:
        with safe_open(path, framework="np"):
            pass  # a file cut short is found here, by its length
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(data, dict):
        raise damaged(path, "not a JSON object")
    return data
