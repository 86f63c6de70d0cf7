"""Finished assets -> files: textured GLB, plain OBJ and PLY, PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from backend.assets.atomic import write_bytes
from backend.assets.axes import to_gltf
from backend.colour import linear_to_srgb

ROUGHNESS = 0.8


@dataclass
class TexturedPart:
    """One piece of a GLB with its own picture, in our axes.

    `vertices` [V,3]; `faces` [F,3]; `uv` [V,2] origin bottom-left; `base_colour` [H,W,3] or [H,W,4] uint8 display values, row 0 at the
    top; `normals` [V,3] unit, or None (computed by area); `normal_map` [H,W,3] uint8 tangent space, or None; `roughness`, `metallic` 0..1.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    base_colour: np.ndarray
    normals: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    roughness: float = ROUGHNESS
    metallic: float = 0.0
    name: str = "asset"


def write_glb(
    path: Path | str,
    vertices: np.ndarray,  # [V, 3] our axes
    faces: np.ndarray,  # [F, 3]
    uv: np.ndarray,  # [V, 2] origin bottom-left
    base_colour: np.ndarray,  # [H, W, 3] uint8 display values, row 0 at the top
    *,
    normals: np.ndarray | None = None,
    normal_map: np.ndarray | None = None,
    roughness: float = ROUGHNESS,
    metallic: float = 0.0,
    name: str = "asset",
) -> Path:
    """A GLB of one primitive with positions, normals, UVs and pictures; turned to glTF's axes. Raises as `write_glb_parts`."""
    part = TexturedPart(vertices, faces, uv, base_colour, normals, normal_map, roughness, metallic, name)
    return write_glb_parts(path, [part])


def write_glb_parts(path: Path | str, parts: Sequence[TexturedPart]) -> Path:
    """A GLB in which every part is a mesh with a material and a picture of its own.

    Raises ValueError on shapes that do not fit, ResourceError if the file cannot be written; nothing half-written is left.
    """
    scene = trimesh.Scene()
    for part in parts:
        _check(part)
        material = trimesh.visual.material.PBRMaterial(
            name=part.name,
            baseColorTexture=Image.fromarray(np.ascontiguousarray(part.base_colour)),
            normalTexture=None if part.normal_map is None else Image.fromarray(np.ascontiguousarray(part.normal_map)),
            metallicFactor=float(part.metallic),
            roughnessFactor=float(part.roughness),
        )
        normals = vertex_normals(part.vertices, part.faces) if part.normals is None else part.normals
        mesh = trimesh.Trimesh(
            to_gltf(np.asarray(part.vertices, dtype=np.float64)),
            np.asarray(part.faces, dtype=np.int64),
            vertex_normals=to_gltf(np.asarray(normals, dtype=np.float64)),
            visual=trimesh.visual.TextureVisuals(uv=np.asarray(part.uv, dtype=np.float64), material=material),
            process=False,
        )
        scene.add_geometry(mesh, node_name=part.name, geom_name=part.name)
    data = trimesh.exchange.gltf.export_glb(scene, include_normals=True)
    return write_bytes(path, bytes(data))


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [V,3] float32 by area, the same for all vertices at one position, so that UV seams do not show; +Z where no face is."""
    points = np.asarray(vertices, dtype=np.float64)
    a, b, c = points[faces].transpose(1, 0, 2)
    normal = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    _, place = np.unique(points, axis=0, return_inverse=True)
    corner = place.ravel()[faces.ravel()]
    total = np.stack([np.bincount(corner, normal[:, axis], len(points)) for axis in range(3)], 1)[place.ravel()]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-30, total / np.maximum(length, 1e-30), [0.0, 0.0, 1.0]).astype(np.float32)


def write_obj(path: Path | str, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """The bare shape as OBJ, in our axes (+Z up)."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in np.asarray(vertices, dtype=np.float64).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (np.asarray(faces) + 1).tolist()]
    return write_bytes(path, ("\n".join(lines) + "\n").encode())


def write_ply(path: Path | str, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None) -> Path:
    """The shape as binary PLY, in our axes (+Z up), with `colours` [V,3] linear written as display values."""
    fields = [("position", "<f4", 3)]
    header = [f"element vertex {len(vertices)}", *(f"property float {axis}" for axis in "xyz")]
    if colours is not None:
        fields.append(("colour", "u1", 3))
        header += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    points = np.zeros(len(vertices), dtype=np.dtype(fields))
    points["position"] = vertices
    if colours is not None:
        points["colour"] = np.round(255 * np.asarray(linear_to_srgb(np.asarray(colours)))).astype(np.uint8)
    triangles = np.zeros(len(faces), dtype=np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    triangles["count"], triangles["corners"] = 3, faces
    head = "\n".join(["ply", "format binary_little_endian 1.0", *header, "end_header", ""]).encode()
    return write_bytes(path, head + points.tobytes() + triangles.tobytes())


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG of a picture [H,W], [H,W,3] or [H,W,4] uint8 display values, row 0 at the top."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"a picture must be uint8 [H,W,C], got {pixels.dtype} {list(pixels.shape)}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path | str, pixels: np.ndarray) -> Path:
    """A picture [H,W,C] uint8 display values, row 0 at the top, as PNG."""
    return write_bytes(path, encode_png(pixels))


def _check(part: TexturedPart) -> None:
    vertices, faces, uv = np.shape(part.vertices), np.shape(part.faces), np.shape(part.uv)
    if len(vertices) != 2 or vertices[1] != 3 or len(faces) != 2 or faces[1] != 3 or uv != (vertices[0], 2) or faces[0] == 0:
        raise ValueError(f"expected vertices [V,3], faces [F,3] (F > 0) and uv [V,2], got {vertices}, {faces}, {uv}")
    for picture in (part.base_colour, part.normal_map):
        if picture is not None and (picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4)):
            raise ValueError(f"a picture must be uint8 [H,W,3], got {picture.dtype} {list(picture.shape)}")
