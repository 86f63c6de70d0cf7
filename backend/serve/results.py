"""What a finished run leaves for its client: arrays and files in the job's `result` folder, with their digests."""

import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from backend.assets.atomic import write_bytes
from backend.assets.write import write_png
from backend.refine.report import write_report
from backend.refine.result import Result
from backend.serve.orders import RESULT_FOLDER, Ended
from protocol.framing import array_spec
from protocol.messages import Artefact

MANIFEST = "manifest.json"
"""Written last, and only then is there a result."""

RENAMED = {"texture.png": "base_colour.png"}


def write_results(result: Result, folder: Path) -> tuple[Artefact, ...]:
    """Every artefact that `protocol.messages.Artefact` lists for the job's mode, each a file of its name in `folder`'s `result`.

    The files that the run itself wrote are moved there. Errors: ResourceError where the disk refuses.
    """
    exported = result.exported
    assert exported is not None
    into = folder / RESULT_FOLDER
    arrays: dict[str, np.ndarray] = {}
    files: list[Path] = []
    if result.job.mode == "texture":
        if exported.loop_uv is not None:
            arrays["loop_uv"] = exported.loop_uv.astype("<f4")
    else:
        arrays["vertices"] = exported.welded_vertices.astype("<f4")
        arrays["faces"] = exported.welded.astype("<i4")
        arrays["loop_uv"] = exported.uv[exported.faces].reshape(-1, 2).astype("<f4")
        files.append(write_png(into / "base_colour.png", exported.base_colour))
        if exported.normal_map is not None:
            files.append(write_png(into / "normal.png", exported.normal_map))
    into.mkdir(parents=True, exist_ok=True)
    for path in exported.files:
        files.append(into / RENAMED.get(path.name, path.name))
        os.replace(path, files[-1])
    files.append(write_report(result, into))
    described = [_array(write_bytes(into / name, array.tobytes()), array) for name, array in arrays.items()]
    return (*described, *(artefact_of(path) for path in files))


def write_manifest(ended: Ended, folder: Path) -> None:
    """From now on the job is finished, whoever hears of it."""
    write_bytes(folder / RESULT_FOLDER / MANIFEST, msgspec.json.encode(ended))


def read_manifest(folder: Path) -> Ended | None:
    """How the job in `folder` ended, if it did in an attempt that nobody heard of."""
    path = folder / RESULT_FOLDER / MANIFEST
    return msgspec.json.decode(path.read_bytes(), type=Ended) if path.is_file() else None


def _array(path: Path, array: np.ndarray) -> Artefact:
    spec = array_spec(path.name, array)
    return artefact_of(path, spec.dtype, spec.shape)


def artefact_of(path: Path, dtype: Literal["", "float32", "int32", "uint8"] = "", shape: tuple[int, ...] = ()) -> Artefact:
    """The file in words, its digest read from the disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artefact(name=path.name, bytes=path.stat().st_size, digest=digest, dtype=dtype, shape=shape)
