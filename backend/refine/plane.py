"""A picture as an upright plane before the front camera, so that whoever shows meshes can show it."""

import numpy as np
import torch
from torch.nn import functional

from backend.geometry.normalise import LONGEST_SIDE

MOST_VERTICES = 5000


def grid(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture [H,W,3] uint8 as vertices [V,3] float32, faces [F,3] int32 and vertex colours [V,3] uint8: one vertex a pixel.

    Pictures of more than 5000 pixels are averaged down. Domain units, longest side 1.6, in the plane y = 0, seen from -Y.
    """
    height, width = picture.shape[:2]
    if height * width > MOST_VERTICES:
        scale = (MOST_VERTICES / (height * width)) ** 0.5
        size = max(2, int(height * scale)), max(2, int(width * scale))
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
        pixels = functional.interpolate(pixels, size, mode="area")[0].permute(1, 2, 0)
        picture = (pixels + 0.5).to(torch.uint8).numpy()
        height, width = size
    x, z = _extent(height, width)
    across, up = np.meshgrid(np.linspace(-x, x, width), np.linspace(z, -z, height))
    vertices = np.stack([across, np.zeros_like(across), up], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    top_left, top_right = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    bottom_left, bottom_right = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([bottom_left, bottom_right, top_right], -1), np.stack([bottom_left, top_right, top_left], -1)])
    return vertices, faces, np.ascontiguousarray(picture.reshape(-1, 3))


def quad(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same plane of two triangles for a texture: vertices [4,3] float32, faces [2,3] int64, UVs [4,2], origin bottom-left."""
    x, z = _extent(height, width)
    vertices = np.array([[-x, 0, -z], [x, 0, -z], [x, 0, z], [-x, 0, z]], np.float32)
    return vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int64), np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


def _extent(height: int, width: int) -> tuple[float, float]:
    """Half the sides along x and z."""
    longest = max(height, width)
    return LONGEST_SIDE / 2 * width / longest, LONGEST_SIDE / 2 * height / longest
