"""A preview event as a small picture on disk."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend.colour import srgb_to_linear
from backend.geometry.contract import Mesh
from backend.refine.events import Preview
from backend.render.sheet import look_around

VIEWS = 4
SIDE_PX = 160


def write_preview(preview: Preview, out: Path) -> Path:
    """`out/previews/step_NNNNNN.png`: the surface from four sides; written whole or not at all."""
    path = out / "previews" / f"step_{preview.step:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    low, high = preview.vertices.min(0), preview.vertices.max(0)
    unit = (preview.vertices - (low + high) / 2) * (1.6 / max(float((high - low).max()), 1e-9))
    colours = srgb_to_linear(torch.from_numpy(preview.colours.astype(np.float32) / 255))
    mesh = Mesh(torch.from_numpy(unit.astype(np.float32)), torch.from_numpy(preview.faces.astype(np.int64)))
    pictures = look_around(mesh, vertex_colours=colours, views=VIEWS, size_px=SIDE_PX)
    temporary = path.with_suffix(".partial")
    Image.fromarray(np.concatenate(list(pictures), axis=1)).save(temporary, format="png")
    os.replace(temporary, path)
    return path
