"""glTF's axes (+Y up, +Z front) and ours (+Z up, -Y front)."""

import numpy as np


def from_gltf(vectors: np.ndarray) -> np.ndarray:
    """Positions or normals [...,3] in our axes: (x, y, z) -> (x, -z, y). A rotation, so faces keep their winding."""
    return np.stack([vectors[..., 0], -vectors[..., 2], vectors[..., 1]], -1)


def to_gltf(vectors: np.ndarray) -> np.ndarray:
    """Positions or normals [...,3] in glTF's axes: (x, y, z) -> (x, z, -y)."""
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], -1)
