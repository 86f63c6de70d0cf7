"""What a server's words must fulfil before anybody uses them: finite numbers, indices in range, sizes that fit together."""

import math

import msgspec
import numpy as np

from protocol.framing import BadMessage, Message, array_bytes
from protocol.messages import ArraySpec, Artefact, JobState
from protocol.version import PREVIEW_VERTICES, UPLOAD_BYTES

PREVIEW_ARRAYS = {"vertices": ("float32", 3), "colours": ("uint8", 3), "faces": ("int32", 3)}


def check_state(state: JobState) -> None:
    """Errors: BadMessage for a share, a time or a rate that is none."""
    for name, value, largest in (("fraction", state.fraction, 1.0), ("eta_s", state.eta_s, math.inf), ("rate", state.rate, math.inf)):
        if value is not None and not (math.isfinite(value) and 0.0 <= value <= largest):
            raise BadMessage(f"The state of a job has the {name} {value}, which cannot be.")


def check_preview(message: Message) -> None:
    """Errors: BadMessage for arrays of another type or shape than a preview has, or with values that are not finite."""
    arrays = message.arrays
    for name, (dtype, columns) in PREVIEW_ARRAYS.items():
        array = arrays.get(name)
        if array is None and name == "faces":
            continue
        if array is None or str(array.dtype) != dtype or array.ndim != 2 or array.shape[1] != columns:
            came = "none" if array is None else f"{array.dtype} {list(array.shape)}"
            raise BadMessage(f"A preview's '{name}' should be {dtype} [n, {columns}], but it is {came}.")
    vertices, colours = arrays["vertices"], arrays["colours"]
    if not 0 < len(vertices) <= PREVIEW_VERTICES or len(colours) != len(vertices):
        raise BadMessage(f"A preview has {len(vertices)} vertices and {len(colours)} colours; 1 to {PREVIEW_VERTICES} of each are taken.")
    if not np.isfinite(vertices).all():
        raise BadMessage("A preview has vertices that are not finite.")


def check_indices(faces: np.ndarray, vertices: int, what: str) -> None:
    """Errors: BadMessage where an index names no vertex."""
    if faces.size and (faces.min() < 0 or faces.max() >= vertices):
        raise BadMessage(f"{what} names the vertex {faces.min() if faces.min() < 0 else faces.max()}, but there are {vertices}.")


def check_artefact(artefact: Artefact) -> None:
    """Errors: BadMessage for one that is too large, or whose size is not that of its shape."""
    if artefact.bytes > UPLOAD_BYTES:
        raise BadMessage(f"'{artefact.name}' is declared with {artefact.bytes} bytes; at most {UPLOAD_BYTES} are taken.", "too_large")
    if artefact.dtype:
        try:
            spec = msgspec.convert({"name": artefact.name, "dtype": artefact.dtype, "shape": artefact.shape}, ArraySpec)
        except msgspec.ValidationError as error:
            raise BadMessage(f"'{artefact.name}' is declared with a shape that no array has: {error}.") from None
        if array_bytes(spec) != artefact.bytes:
            raise BadMessage(f"'{artefact.name}' is declared with {artefact.bytes} bytes, but its shape has {array_bytes(spec)}.")
        columns = {"vertices": ("float32", 3), "faces": ("int32", 3), "loop_uv": ("float32", 2)}.get(artefact.name)
        if columns is not None and (artefact.dtype, artefact.shape[1:]) != (columns[0], (columns[1],)):
            raise BadMessage(f"'{artefact.name}' should be {columns[0]} [n, {columns[1]}], but is {artefact.dtype} {list(artefact.shape)}.")


def check_values(artefact: Artefact, raw: bytes, vertices: int) -> None:
    """A part of an array (whole elements). Errors: BadMessage for a number that is not finite, or an index of no vertex."""
    if artefact.dtype == "float32" and not np.isfinite(np.frombuffer(raw, "<f4")).all():
        raise BadMessage(f"'{artefact.name}' of the result has values that are not finite.")
    if artefact.name == "faces" and artefact.dtype == "int32":
        check_indices(np.frombuffer(raw, "<i4"), vertices, "'faces' of the result")
