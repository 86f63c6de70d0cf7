"""Assets for a page: GLBs of a fraction of the size, for looking at rather than for further work.

Positions in 16 bits, normals in 8 and UVs in 16 (glTF extension KHR_mesh_quantization), one JPEG of bounded size, no normal map.
Surfaces of very many faces are decimated and keep their colours at the vertices.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from backend.assets.axes import to_gltf
from backend.assets.gltf import join_glb
from backend.assets.mesh import TriangleMesh
from backend.assets.read import read_mesh
from backend.assets.write import ROUGHNESS, vertex_normals
from backend.colour import srgb_to_linear
from backend.errors import SketchBridgeError, UserError, first_line

MOST_FACES = 40_000
TEXTURE_PX, JPEG_QUALITY = 512, 88
CLAY = 0.6
_BYTE, _UNSIGNED_SHORT, _UNSIGNED_INT = 5120, 5123, 5125
_VERTICES, _INDICES = 34962, 34963


def small_glb(path: Path, most_faces: int = MOST_FACES, texture_px: int = TEXTURE_PX) -> bytes:
    """The asset at `path` as a small GLB. Errors: UserError where the file cannot be read or has no faces."""
    try:
        mesh = read_mesh(path)
        if not len(mesh.faces):
            raise UserError(f"{path.name} has no faces.")
        return encode_small(mesh, most_faces, texture_px)
    except SketchBridgeError:
        raise
    except Exception as error:  # files of any kind may lie in a batch's folder, and one of them must not end the report
        raise UserError(f"{path.name} cannot be shown: {first_line(error)}.") from error


def encode_small(mesh: TriangleMesh, most_faces: int = MOST_FACES, texture_px: int = TEXTURE_PX) -> bytes:
    """A small GLB of a mesh: textured where it has one texture and few enough faces, else with colours at its vertices."""
    document = _Document()
    if mesh.uv is not None and mesh.texture is not None and len(mesh.faces) <= most_faces:
        corner = mesh.faces.ravel()
        pairs = np.column_stack([corner, (mesh.uv.reshape(-1, 2).clip(0, 1) * 65535).round()]).astype(np.int64)
        unique, faces = np.unique(pairs, axis=0, return_inverse=True)
        uv = np.column_stack([unique[:, 1], 65535 - unique[:, 2]]).astype(np.uint16)  # glTF counts from the top
        document.surface(mesh.vertices[unique[:, 0]], faces.reshape(-1, 3))
        document.attribute("TEXCOORD_0", uv, _UNSIGNED_SHORT, normalised=True)
        document.texture(mesh.texture, texture_px)
    else:
        vertices, faces, colours = _coloured(mesh, most_faces)
        document.surface(vertices, faces)
        document.attribute("COLOR_0", (colours.clip(0, 1) * 65535).round().astype(np.uint16), _UNSIGNED_SHORT, normalised=True)
    return document.encode()


def _coloured(mesh: TriangleMesh, most_faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [V,3], faces [F,3] and linear colours [V,3] of at most about `most_faces` faces; clay where there are no colours."""
    colours = np.full((len(mesh.vertices), 3), CLAY, np.float32) if mesh.colours is None else np.nan_to_num(mesh.colours, nan=CLAY)
    if mesh.uv is not None and mesh.texture is not None:
        height, width = mesh.texture.shape[:2]
        at = np.zeros((len(mesh.vertices), 2), np.float32)
        at[mesh.faces.ravel()] = mesh.uv.reshape(-1, 2)
        column = (at[:, 0] * width).astype(int).clip(0, width - 1)
        row = ((1 - at[:, 1]) * height).astype(int).clip(0, height - 1)
        colours = np.asarray(srgb_to_linear(mesh.texture[row, column, :3] / 255.0), np.float32)
    if len(mesh.faces) <= most_faces:
        return mesh.vertices, mesh.faces, colours
    # Vertices doubled along UV seams would come apart.
    points, welded = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = welded.ravel()[mesh.faces].astype(np.int32)
    vertices, faces = fast_simplification.simplify(points.astype(np.float32), faces, target_count=most_faces)[:2]
    nearest = cKDTree(mesh.vertices).query(vertices)[1]
    return vertices, faces.astype(np.int64), colours[nearest]


@dataclass
class _Document:
    """A glTF document of one mesh as it grows, and its binary chunk."""

    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)
    material: dict[str, Any] = field(default_factory=lambda: {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS})
    node: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    indices: int = -1
    binary: bytearray = field(default_factory=bytearray)

    def surface(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Positions, normals and faces; the node scales the positions' whole numbers back."""
        points = to_gltf(np.asarray(vertices, np.float64))
        low = points.min(0)
        scale = max(float((points.max(0) - low).max()), 1e-12) / 65535
        self.node = {"mesh": 0, "translation": low.tolist(), "scale": [scale] * 3}
        self.attribute("POSITION", ((points - low) / scale).round().astype(np.uint16), _UNSIGNED_SHORT, bounds=True)
        normals = (to_gltf(vertex_normals(vertices, faces)) * 127).round().astype(np.int8)
        self.attribute("NORMAL", normals, _BYTE, normalised=True)
        wide = len(vertices) > 65535
        flat = faces.astype(np.uint32 if wide else np.uint16).ravel()
        view = self._view(flat.tobytes(), target=_INDICES)
        self.accessors.append(
            {"bufferView": view, "componentType": _UNSIGNED_INT if wide else _UNSIGNED_SHORT, "count": flat.size, "type": "SCALAR"}
        )
        self.indices = len(self.accessors) - 1

    def attribute(self, name: str, values: np.ndarray, component: int, *, normalised: bool = False, bounds: bool = False) -> None:
        """One value [V,k] per vertex, each at a multiple of four bytes as the format asks."""
        width = values.shape[1]
        padding = -(width * values.itemsize) % 4 // values.itemsize
        rows = np.pad(values, ((0, 0), (0, padding)))
        view = self._view(rows.tobytes(), target=_VERTICES, byteStride=rows.shape[1] * rows.itemsize)
        accessor = {"bufferView": view, "componentType": component, "count": len(values), "type": f"VEC{width}"}
        if normalised:
            accessor["normalized"] = True
        if bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(accessor)
        self.attributes[name] = len(self.accessors) - 1

    def texture(self, picture: np.ndarray, most_px: int) -> None:
        """A picture [H,W,3] uint8 display values as the base colour."""
        image = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
        image.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
        self.images.append({"bufferView": self._view(buffer.getvalue()), "mimeType": "image/jpeg"})
        self.material["baseColorTexture"] = {"index": 0}

    def encode(self) -> bytes:
        primitive = {"attributes": self.attributes, "indices": self.indices, "material": 0}
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "SketchBridge"},
            "extensionsUsed": ["KHR_mesh_quantization"],
            "extensionsRequired": ["KHR_mesh_quantization"],
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [self.node],
            "meshes": [{"primitives": [primitive]}],
            "materials": [{"pbrMetallicRoughness": self.material, "doubleSided": True}],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.binary)}],
        }
        if self.images:
            document |= {"images": self.images, "samplers": [{}], "textures": [{"source": 0, "sampler": 0}]}
        return join_glb(document, bytes(self.binary))

    def _view(self, data: bytes, **more: int) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **more})
        self.binary += data + b"\0" * (-len(data) % 4)
        return len(self.views) - 1
