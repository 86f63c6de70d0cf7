"""The triangles of a glTF scene, node by node, in our axes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.assets.axes import from_gltf
from backend.assets.gltf import Gltf
from backend.colour import srgb_to_linear

TRIANGLES, STRIP, FAN = 4, 5, 6


@dataclass
class Primitive:
    """One piece of surface with one material.

    `vertices` [V,3] float32 world positions in our axes; `faces` [F,3] int64 into them; `uv_maps` name -> [V,2], origin bottom-left;
    `colours` [V,3] linear or None where nothing says a colour; `image` index of its base colour picture, -1 for none; `uv_name` the
    map that picture uses; `scalars` name -> [V] float32, the file's own one-number vertex attributes (names that begin with "_").
    """

    node: str
    vertices: np.ndarray
    faces: np.ndarray
    uv_maps: dict[str, np.ndarray]
    colours: np.ndarray | None
    image: int
    uv_name: str
    scalars: dict[str, np.ndarray]


def face_count(gltf: Gltf) -> int:
    """Faces of all nodes, from the accessors' counts alone."""
    meshes, accessors = gltf.items("meshes"), gltf.items("accessors")
    total = 0
    for _, mesh, _ in _placed(gltf):
        for primitive in meshes[mesh]["primitives"]:
            index = primitive.get("indices", primitive.get("attributes", {}).get("POSITION"))
            corners = int(accessors[index]["count"]) if index is not None else 0
            mode = primitive.get("mode", TRIANGLES)
            total += corners // 3 if mode == TRIANGLES else max(0, corners - 2) if mode in (STRIP, FAN) else 0
    return total


def primitives(gltf: Gltf) -> Iterator[Primitive]:
    """Every triangle primitive of the default scene; points and lines are left out. Damage raises ValueError, KeyError or IndexError."""
    meshes = gltf.items("meshes")
    for name, mesh, matrix in _placed(gltf):
        for primitive in meshes[mesh]["primitives"]:
            attributes = primitive.get("attributes", {})
            mode = primitive.get("mode", TRIANGLES)
            if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in attributes:
                continue
            local = gltf.accessor(attributes["POSITION"]).astype(np.float64)
            world = from_gltf(local @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
            corner = np.arange(len(world)) if "indices" not in primitive else gltf.accessor(primitive["indices"])[:, 0].astype(np.int64)
            faces = _triangles(corner, mode)
            if np.linalg.det(matrix[:3, :3]) < 0:
                faces = faces[:, ::-1].copy()  # a mirrored node shows its faces from the other side
            uv_maps = {}
            for key in sorted(k for k in attributes if k.startswith("TEXCOORD_")):
                uv = gltf.accessor(attributes[key]).astype(np.float32)
                uv_maps[key] = np.stack([uv[:, 0], 1 - uv[:, 1]], 1)
            own = {key: gltf.accessor(attributes[key]) for key in attributes if key.startswith("_")}
            scalars = {key: values[:, 0].astype(np.float32) for key, values in own.items() if values.shape[1] == 1}
            yield _coloured(gltf, primitive, Primitive(name, world, faces, uv_maps, None, -1, "", scalars))


def _coloured(gltf: Gltf, entry: dict[str, Any], primitive: Primitive) -> Primitive:
    """Start colours: base colour factor (linear) x COLOR_0 (linear) x picture (display values) at the vertices."""
    colour = np.ones((len(primitive.vertices), 3), dtype=np.float32)
    said = False
    if "material" in entry:
        base = gltf.items("materials")[entry["material"]].get("pbrMetallicRoughness", {})
        colour = colour * np.asarray(base.get("baseColorFactor", [1, 1, 1, 1])[:3], dtype=np.float32)
        said = True
        if "baseColorTexture" in base:
            reference = base["baseColorTexture"]
            primitive.image = int(gltf.items("textures")[reference["index"]].get("source", -1))
            primitive.uv_name = f"TEXCOORD_{reference.get('texCoord', 0)}"
            if primitive.image >= 0 and primitive.uv_name in primitive.uv_maps:
                pixels = np.asarray(gltf.image(primitive.image))
                colour = colour * sample_linear(pixels, primitive.uv_maps[primitive.uv_name])
    key = entry["attributes"].get("COLOR_0")
    if key is not None:
        stored = gltf.accessor(key)
        if stored.dtype.kind in "iu":  # some writers forget to say that it is normalised
            stored = stored / np.iinfo(stored.dtype).max
        colour = colour * stored[:, :3].astype(np.float32)
        said = True
    primitive.colours = np.clip(colour, 0, 1).astype(np.float32) if said else None
    return primitive


def sample_linear(pixels: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Linear colours [P,3] float32 of the nearest texels of a picture [H,W,3] uint8 (row 0 at the top), repeated outside 0..1."""
    height, width = pixels.shape[:2]
    uv = np.nan_to_num(uv)
    u, v = np.where((uv >= 0) & (uv <= 1), uv, uv % 1.0).T  # the border 1 is a place of its own, not 0
    x = np.minimum((u * width).astype(int), width - 1)
    y = np.minimum(((1 - v) * height).astype(int), height - 1)
    return np.asarray(srgb_to_linear(pixels[y, x].astype(np.float32) / 255), dtype=np.float32)


def _triangles(corner: np.ndarray, mode: int) -> np.ndarray:
    if mode == TRIANGLES:
        return corner[: len(corner) // 3 * 3].reshape(-1, 3)
    if len(corner) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    if mode == FAN:
        return np.stack([np.full(len(corner) - 2, corner[0]), corner[1:-1], corner[2:]], 1)
    faces = np.stack([corner[:-2], corner[1:-1], corner[2:]], 1)
    faces[1::2] = faces[1::2, [1, 0, 2]]
    return faces


def _placed(gltf: Gltf) -> Iterator[tuple[str, int, np.ndarray]]:
    """Name, mesh and world matrix [4,4] of every node with a mesh, in the scene's order; each node once, so loops end."""
    nodes = gltf.items("nodes")
    scenes = gltf.items("scenes")
    if scenes:
        roots = list(scenes[gltf.document.get("scene", 0)].get("nodes", []))
    else:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in range(len(nodes)) if i not in children]
    stack = [(index, np.eye(4)) for index in reversed(roots)]
    seen: set[int] = set()
    while stack:
        index, parent = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        node = nodes[index]
        world = parent @ _local(node)
        if "mesh" in node:
            mesh = int(node["mesh"])
            yield str(node.get("name") or gltf.items("meshes")[mesh].get("name") or f"part {index}"), mesh, world
        stack.extend((child, world) for child in reversed(node.get("children", [])))


def _local(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.asarray(node["matrix"], dtype=np.float64).reshape(4, 4).T  # stored by columns
    x, y, z, w = (float(v) for v in node.get("rotation", (0, 0, 0, 1)))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.asarray(node.get("scale", (1, 1, 1)), dtype=np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix
