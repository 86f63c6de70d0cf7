# SPDX-License-Identifier: GPL-3.0-or-later
"""What arrives is checked as arrays before anything in Blender changes. Every function here raises UserError or returns clean arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.errors import UserError
from protocol.version import FACES

from ..ports import Asset

REACH = 4.0
"""No coordinate of a result lies farther out: the domain ends at 1."""

PNG_START = b"\x89PNG\r\n\x1a\n"
TEXTURE_PX = 8192
HINT = "Retry the job; if it happens again, use Copy Report."


@dataclass(frozen=True)
class Result:
    """A checked result. Shape: vertices [V,3], faces [F,3], uv [F*3,2]; texture alone: no vertices and no faces, uv [L,2] or None.

    `images` maps "base_colour.png" and "normal.png" to bytes that start as a PNG should. `dropped`: faces without area left out.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None
    images: dict[str, bytes]
    dropped: int = 0


def check_surface(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Vertices [V,3] finite and near the domain, faces [F,3] within range and not too many."""
    if (
        not isinstance(vertices, np.ndarray)
        or vertices.ndim != 2
        or vertices.shape[1] != 3
        or vertices.dtype.kind != "f"
        or not len(vertices)
    ):
        raise UserError(f"The result's vertices have the shape {np.shape(vertices)}; a table of three numbers each was expected.", HINT)
    if not isinstance(faces, np.ndarray) or faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        raise UserError(f"The result's faces have the shape {np.shape(faces)}; a table of three vertices each was expected.", HINT)
    if len(faces) > FACES or len(vertices) > 3 * FACES:
        raise UserError(f"The result has {len(faces):,} faces; at most {FACES:,} are taken.", "Lower the number of faces.")
    if not np.isfinite(vertices).all():
        raise UserError("The result has coordinates that are not numbers.", HINT)
    if np.abs(vertices).max() > REACH:
        raise UserError("The result reaches far outside the space it was made in.", HINT)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise UserError(f"A face names vertex {faces.max() if faces.max() >= len(vertices) else faces.min()} of {len(vertices)}.", HINT)


def check_colours(colours: np.ndarray, count: int) -> None:
    """Colours [V,3] uint8."""
    if not isinstance(colours, np.ndarray) or colours.shape != (count, 3) or colours.dtype != np.uint8:
        raise UserError(f"The preview's colours have the shape {np.shape(colours)}; one per vertex was expected.", HINT)


def check_shape_result(asset: Asset) -> Result:
    """A new surface with its map and pictures."""
    arrays = asset.arrays
    missing = [name for name in ("vertices", "faces", "loop_uv") if name not in arrays]
    if missing:
        raise UserError(f"The result came without {', '.join(missing)}.", HINT)
    vertices, faces, uv = arrays["vertices"], arrays["faces"], arrays["loop_uv"]
    check_surface(vertices, faces)
    _check_uv(uv, len(faces) * 3)
    real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    if not real.any():
        raise UserError("No face of the result has an area.", HINT)
    uv = uv.reshape(-1, 3, 2)[real].reshape(-1, 2)
    return Result(vertices, faces[real].astype(np.int64), uv, _images(asset), int((~real).sum()))


def check_texture_result(asset: Asset, corners: int) -> Result:
    """Pictures for a mesh of so many corners, with a map if one was made."""
    uv = asset.arrays.get("loop_uv")
    if uv is not None:
        _check_uv(uv, corners, "The mesh was changed since the job began: ")
    return Result(np.zeros((0, 3)), np.zeros((0, 3), np.int64), uv, _images(asset))


def _check_uv(uv: np.ndarray, corners: int, lead: str = "The result is broken: ") -> None:
    if not isinstance(uv, np.ndarray) or uv.dtype.kind != "f" or uv.shape != (corners, 2):
        raise UserError(f"{lead}UV map of the shape {np.shape(uv)} for {corners} corners.", HINT)
    if not np.isfinite(uv).all() or np.abs(uv).max() > 1e6:
        raise UserError("The result's UV map has coordinates that are not numbers.", HINT)


def _images(asset: Asset) -> dict[str, bytes]:
    if "base_colour.png" not in asset.files:
        raise UserError("The result came without its base colour.", HINT)
    images = {name: asset.files[name] for name in ("base_colour.png", "normal.png") if name in asset.files}
    for name, data in images.items():
        size = [int.from_bytes(data[start : start + 4], "big") for start in (16, 20)]
        if data[:8] != PNG_START or data[12:16] != b"IHDR" or not all(0 < side <= TEXTURE_PX for side in size):
            raise UserError(f"'{name}' of the result is no picture that can be read.", HINT)
    return images
