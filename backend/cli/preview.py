"""A preview event as a small picture on disk."""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from backend.assets.write import write_png
from backend.colour import srgb_to_linear
from backend.geometry.contract import Mesh
from backend.geometry.normalise import fit_domain, move
from backend.refine.events import Preview
from backend.render.cameras import orbit
from backend.render.rasterizer import choose_rasterizer
from backend.render.sheet import render_sheet

AZIMUTH_DEG = (0.0, 90.0, 180.0, 270.0)
SIDE_PX = 160


def write_preview(preview: Preview, out: Path) -> Path:
    """`out/previews/step_NNNNNN.png`: the surface from four sides, front first; of pictures, the pictures."""
    path = out / "previews" / f"step_{preview.step:06d}.png"
    if preview.picture is not None:
        return write_png(path, preview.picture)
    if not len(preview.faces):
        return write_png(path, np.full((SIDE_PX, SIDE_PX * len(AZIMUTH_DEG), 3), 255, np.uint8))
    vertices = move(preview.vertices, fit_domain(preview.vertices).to_domain)
    colours = srgb_to_linear(torch.from_numpy(preview.colours.astype(np.float32) / 255))
    nearest = cKDTree(vertices)

    def colour(points: Tensor) -> Tensor:
        return colours[torch.from_numpy(nearest.query(points.numpy())[1])]

    mesh = Mesh(torch.from_numpy(vertices), torch.from_numpy(preview.faces.astype(np.int64)))
    cameras = orbit(AZIMUTH_DEG, 15.0, 35.0, 0.9, radius=float(np.linalg.norm(vertices, axis=1).max()))
    pictures = render_sheet(mesh, colour, choose_rasterizer("auto", "cpu"), cameras=cameras, size_px=SIDE_PX)
    return write_png(path, np.concatenate(list(pictures), axis=1))
