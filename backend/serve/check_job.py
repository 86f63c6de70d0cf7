"""Is this job one that can run? Everything that can be said before a worker is started, cheapest first."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from backend.distill.read_parameters import parse_parameters
from backend.priors.card import PriorCard
from backend.refine.image_jobs import fill_in
from backend.serve.capabilities import OfferedPrior, check_preset
from backend.serve.faults import Refused
from protocol.errors import UserError
from protocol.framing import array_bytes
from protocol.job import RefineJob, Steer, job_from
from protocol.messages import ArraySpec, Limits, Submit
from protocol.strict import nearest

Layout = dict[str, tuple[str, tuple[int, ...], bool]]
"""Array name -> (element type, shape of one entry with 0 for any length, needed)."""

INPUTS: dict[str, Layout] = {
    "sketch": {
        "vertices": ("float32", (3,), True),
        "faces": ("int32", (3,), True),
        "colours": ("float32", (3,), False),
        "keep": ("float32", (), False),
    },
    "texture": {
        "vertices": ("float32", (3,), True),
        "corner_vertex": ("int32", (), True),
        "polygon_start": ("int32", (), True),
        "uv": ("float32", (2,), False),
    },
    "prompt": {},
    "image": {"picture": ("uint8", (0, 3), False)},
    "illusion": {},
}
_SAME_LENGTH = {"colours": "vertices", "keep": "vertices", "uv": "corner_vertex"}
_BLOCK = 2**22


def read_job(submit: Submit, offered: Mapping[str, OfferedPrior], limits: Limits) -> RefineJob:
    """The job of a submission. Errors: UserError in one sentence; Refused("too_large") beyond the limits."""
    try:
        data = msgspec.msgpack.decode(submit.job)
        _check_finite(data, "the job")
    except (msgspec.MsgspecError, RecursionError):
        raise Refused("malformed", "The job cannot be read.", "Send it as a map of settings.") from None
    if not isinstance(data, dict):
        raise UserError(f"The job should be a map of settings, but it is a {type(data).__name__}.", "Send its settings by name.")
    job = job_from(data)
    if job.mode == "image":  # what the picture is called is the client's own affair, but not whether there is one
        job = msgspec.structs.replace(job, sketch="picture" if submit.inputs else "")
    job = fill_in(job)
    for text in job.prompts or (job.prompt,):
        check_prompt(text, limits)
    _check_other_texts(job, limits)
    if job.prior not in offered:
        raise UserError(f"This server has no prior '{job.prior}'.", nearest(job.prior, list(offered)))
    card = offered[job.prior].card
    if not job.stages:
        check_preset(job.preset, job.mode, card)
    check_settings(job, card)
    if job.budget.texture_px > limits.texture_px:
        raise Refused("too_large", f"A texture of {job.budget.texture_px} px is more than {limits.texture_px}.", "Ask for a smaller one.")
    check_inputs(job.mode, submit.inputs, limits)
    return job


def check_settings(job: RefineJob, card: PriorCard) -> None:
    """What a job says about methods, stages, keep mask and placement, whoever is to run it.

    Errors: UserError for an unknown method or parameter, and for what the mode cannot do.
    """
    if job.method:
        parse_parameters(job.method, job.parameters, card)
    elif job.parameters:
        raise UserError("Parameters were given without a method.", "Name the method they belong to.")
    for stage in job.stages:
        parse_parameters(stage.method, stage.parameters, card)
        if job.mode == "texture" and stage.optimise == "geometry":
            raise UserError(f"Stage '{stage.name}' moves the shape, which mode 'texture' leaves alone.", "Let it optimise colour.")
    if job.keep and job.mode != "sketch":
        raise UserError(f"Mode '{job.mode}' cannot keep parts as they are.", "Leave the keep mask out, or use mode sketch.")
    if len(job.placement) not in (0, 16):
        raise UserError(f"The placement should be 16 numbers, but has {len(job.placement)}.", "Give a row-major 4x4 matrix.")


def check_prompt(prompt: str, limits: Limits) -> None:
    """Errors: UserError for an empty or too long prompt."""
    if not prompt.strip():
        raise UserError("The prompt is empty.", "Say in a few words what it is.")
    if len(prompt) > limits.prompt_characters:
        raise UserError(f"The prompt has {len(prompt)} characters, but at most {limits.prompt_characters} are taken.", "Shorten it.")


def _check_other_texts(job: RefineJob, limits: Limits) -> None:
    for name, text in (("source prompt", job.source_prompt), ("domain", job.domain)):
        if len(text) > limits.prompt_characters:
            raise UserError(f"The {name} has {len(text)} characters, but at most {limits.prompt_characters} are taken.", "Shorten it.")
    if job.debias:  # it names a folder or a download, which a client does not choose
        raise UserError("This server takes no 'debias': it would load a model that the client names.", "Leave it out, or run it locally.")


def check_steer(command: Steer, limits: Limits) -> None:
    """Errors: UserError for a command that changes nothing or has an unusable prompt."""
    if command.prompt is None and command.slack is None:
        raise UserError("The steering changes nothing.", "Give a prompt or a slack.")
    if command.prompt is not None:
        check_prompt(command.prompt, limits)
    if command.slack is not None and not math.isfinite(command.slack):
        raise UserError("The slack is not a number.", "Give a share between 0 and 1.")


def check_inputs(mode: str, inputs: tuple[ArraySpec, ...], limits: Limits) -> None:
    """The declared arrays against what the mode takes. Errors: UserError, or Refused("too_large") beyond the limits."""
    layout = INPUTS[mode]
    given: dict[str, ArraySpec] = {}
    for spec in inputs:
        if spec.name not in layout:
            hint = nearest(spec.name, list(layout)) if layout else "Send none."
            raise UserError(f"Mode '{mode}' takes no array '{spec.name}'.", hint)
        if spec.name in given:
            raise UserError(f"The array '{spec.name}' is described twice.", "Describe each array once.")
        given[spec.name] = spec
        dtype, entry, _ = layout[spec.name]
        shaped = len(spec.shape) == 1 + len(entry) and all(there in (given, 0) for given, there in zip(spec.shape[1:], entry, strict=True))
        if spec.dtype != dtype or not shaped:
            wanted = f"[{','.join(['n', *(str(length or 'm') for length in entry)])}]"
            raise UserError(f"The array '{spec.name}' should be {wanted} {dtype}, but is {list(spec.shape)} {spec.dtype}.", "Send it so.")
        if len(spec.digest) != 64 or set(spec.digest) - set("0123456789abcdef"):
            raise UserError(f"The array '{spec.name}' has no digest.", "Give the SHA-256 of its bytes in hexadecimal digits.")
    for name, (_, _, needed) in layout.items():
        if needed and name not in given:
            raise UserError(f"Mode '{mode}' needs the array '{name}'.", "Send it with the job.")
    for spec in inputs:
        if not all(spec.shape):
            raise UserError(f"The array '{spec.name}' is empty.", "Draw or select something with faces, or leave it out.")
    for name, like in _SAME_LENGTH.items():
        if name in given and given[name].shape[0] != given[like].shape[0]:
            counts = f"{given[name].shape[0]} values for {given[like].shape[0]} of '{like}'"
            raise UserError(f"The array '{name}' has {counts}.", "Send one value for each.")
    total = sum(array_bytes(spec) for spec in inputs)
    if total > limits.upload_bytes:
        raise Refused("too_large", f"The arrays have {total:,} bytes, more than {limits.upload_bytes:,}.", "Send a simpler mesh.")
    if "vertices" in layout:
        _check_size(mode, given, limits)


def _check_size(mode: str, given: dict[str, ArraySpec], limits: Limits) -> None:
    if mode == "sketch":
        faces = given["faces"].shape[0]
    else:
        faces = max(0, given["corner_vertex"].shape[0] - 2 * given["polygon_start"].shape[0])
    if faces > limits.faces:
        raise Refused("too_large", f"The mesh has {faces:,} faces, but at most {limits.faces:,} are taken.", "Decimate it first.")
    if given["vertices"].shape[0] < 3 or faces < 1:
        raise UserError("The mesh is empty.", "Draw or select something with faces.")


def check_arrays(inputs: tuple[ArraySpec, ...], paths: Mapping[str, Path]) -> None:
    """The values of complete arrays, read from `paths` by name: finite, and indices within their range.

    Colours may be NaN where they are unknown, but not infinite. Errors: UserError naming the array.
    """
    arrays = {spec.name: _mapped(spec, paths[spec.name]) for spec in inputs}
    for name, array in arrays.items():
        for block in _blocks(array):
            if block.dtype.kind == "f" and not (~np.isinf(block) if name == "colours" else np.isfinite(block)).all():
                raise UserError(f"The array '{name}' holds values that are not finite.", "Repair the mesh.")
    count = len(arrays["vertices"]) if "vertices" in arrays else 0
    for name in ("faces", "corner_vertex"):
        for block in _blocks(arrays[name]) if name in arrays else ():
            if block.min() < 0 or block.max() >= count:
                raise UserError(f"The array '{name}' points beyond the {count} vertices.", "Repair the mesh.")
    if "polygon_start" in arrays:
        starts, corners = arrays["polygon_start"].astype(np.int64), len(arrays["corner_vertex"])
        sizes = np.diff(np.append(starts, corners))
        if starts[0] != 0 or sizes.min() < 3:
            raise UserError("The array 'polygon_start' does not split the corners into polygons of three and more.", "Repair the mesh.")


def content_of(job: RefineJob, inputs: tuple[ArraySpec, ...]) -> str:
    """SHA-256 of everything that a run depends on."""
    return hashlib.sha256(msgspec.msgpack.encode((job, inputs))).hexdigest()


def _mapped(spec: ArraySpec, path: Path) -> np.ndarray[Any, Any]:
    return np.memmap(path, np.dtype(spec.dtype).newbyteorder("<"), "r", shape=spec.shape)


def _blocks(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Pieces of bounded size, so that checking a large array takes little memory."""
    for start in range(0, len(array), _BLOCK):
        yield array[start : start + _BLOCK]


def _check_finite(value: object, where: str) -> None:
    """Not-a-number passes every range check, since no comparison with it holds; so it is looked for first."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"The setting '{where}' should be a finite number, but it is {value}.", "Correct that setting.")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_finite(item, str(key))
    elif isinstance(value, list):
        for item in value:
            _check_finite(item, where)
