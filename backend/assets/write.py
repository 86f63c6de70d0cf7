"""Finished assets to files, in the axes each format wants."""

import io
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from backend.assets.atomic import replace_file
from backend.assets.axes import to_gltf

ROUGHNESS = 0.8


def png_bytes(pixels: np.ndarray) -> bytes:
    """A picture [H,W,3] uint8 display values, row 0 at the top, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_png(path: Path | str, pixels: np.ndarray) -> Path:
    """The same as a file. Raises ResourceError as `replace_file` does."""
    return replace_file(path, png_bytes(pixels))


def write_glb(
    path: Path | str,
    vertices: np.ndarray,  # [V, 3] our axes
    faces: np.ndarray,  # [F, 3]
    uv: np.ndarray,  # [V, 2] origin bottom-left
    base_colour: np.ndarray,  # [S, S, 3] uint8 display values
    *,
    normals: np.ndarray | None = None,  # [V, 3] our axes
    normal_map: np.ndarray | None = None,  # [S, S, 3] uint8, tangent space, +Y up
    roughness: float = ROUGHNESS,
    name: str = "asset",
) -> Path:
    """One textured primitive as binary glTF, +Y up, not metallic. Raises ResourceError as `replace_file` does."""
    material = trimesh.visual.material.PBRMaterial(
        name=name,
        baseColorTexture=Image.fromarray(base_colour),
        normalTexture=None if normal_map is None else Image.fromarray(normal_map),
        metallicFactor=0.0,
        roughnessFactor=roughness,
    )
    mesh = trimesh.Trimesh(
        to_gltf(vertices),
        faces,
        vertex_normals=None if normals is None else to_gltf(normals),
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,
    )
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name=name, geom_name=name)
    return replace_file(path, scene.export(file_type="glb", include_normals=normals is not None))
