"""Small meshes and files for the assets tests."""

from pathlib import Path
from typing import Any

import numpy as np

from backend.assets.gltf import join_glb

TRIPOD = np.array(
    # An arm of length 3 along +X, 2 along +Y, 1 along +Z: no turn or mirror maps it onto itself.
    [[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 1]],
    dtype=np.float32,
)
TRIPOD_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def glb(primitives: list[dict[str, Any]], *, nodes: list[dict[str, Any]] | None = None, extra: dict[str, Any] | None = None) -> bytes:
    """A GLB with one mesh per primitive. A primitive is attribute name -> array, "indices" -> array, "material" -> index, "mode"."""
    binary, views, accessors, meshes = b"", [], [], []

    def add(values: np.ndarray, normalized: bool = False) -> int:
        nonlocal binary
        kinds = {"f": 5126, "B": 5121, "H": 5123, "I": 5125, "b": 5120, "h": 5122}
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes})
        shape = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[1 if values.ndim == 1 else values.shape[1]]
        accessors.append({"bufferView": len(views) - 1, "componentType": kinds[values.dtype.char], "count": len(values), "type": shape})
        if normalized:
            accessors[-1]["normalized"] = True
        binary += values.tobytes() + b"\0" * (-values.nbytes % 4)
        return len(accessors) - 1

    for primitive in primitives:
        entry: dict[str, Any] = {"attributes": {}}
        for key, value in primitive.items():
            if key == "indices":
                entry["indices"] = add(np.asarray(value))
            elif key in ("material", "mode"):
                entry[key] = value
            else:
                entry["attributes"][key] = add(np.asarray(value), np.asarray(value).dtype.kind in "iu")
        meshes.append({"primitives": [entry]})
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes or meshes)))}],
        "nodes": nodes or [{"mesh": i, "name": f"node {i}"} for i in range(len(meshes))],
        "meshes": meshes,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return join_glb(document | (extra or {}), binary)


def triangle_glb(**extra: Any) -> bytes:
    """A GLB of one triangle."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    return glb([{"POSITION": positions, "indices": np.array([0, 1, 2], dtype=np.uint16)} | extra])


def save(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path
