"""Texture mode's promise: the artist's file with a new picture and nothing else touched."""

import copy
import re
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from backend.assets.gltf import join_glb, split_glb
from backend.assets.write import encode_png
from backend.errors import UserError

MATERIAL = "sketchbridge"


class RetexturedObj(NamedTuple):
    """Three files to be stored side by side under these names."""

    obj: bytes
    mtl: bytes
    png: bytes
    mtl_name: str
    png_name: str


def retexture_glb(data: bytes, picture: np.ndarray, name: str = "the file", *, uv_map: str = "TEXCOORD_0") -> bytes:
    """The GLB with `picture` [H,W,3] uint8 as the base colour of every primitive, looked up in `uv_map`.

    The binary chunk keeps every byte and gets the PNG behind them; vertices, indices and all UV maps are untouched. Base colour
    factors become white; a COLOR_0 that would tint the picture is kept under the name _COLOR_0. Raises UserError if the file is
    damaged, or a surface lacks the map.
    """
    document, binary = split_glb(data, name)
    document = copy.deepcopy(document)
    match = re.fullmatch(r"TEXCOORD_(\d+)", uv_map)
    if match is None:
        raise UserError(f"{uv_map!r} is not a UV map of a GLB: expected TEXCOORD_0, TEXCOORD_1, ...", "Name one of the file's maps.")
    png = encode_png(picture)
    try:
        texture = _add_picture(document, binary, len(png))
        _use_picture(document, texture, int(match.group(1)), name)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{name} has a damaged description: {type(error).__name__} {error}.", "Export it again.") from error
    padded = binary + b"\0" * (-len(binary) % 4)
    return join_glb(document, padded + png)


def _add_picture(document: dict[str, Any], binary: bytes, size: int) -> int:
    """Describe a PNG of `size` bytes behind the padded binary chunk; index of the new texture."""
    start = len(binary) + -len(binary) % 4
    buffers = document.setdefault("buffers", [])
    own = next((i for i, buffer in enumerate(buffers) if "uri" not in buffer), None)
    if own is None:
        buffers.insert(0, {"byteLength": 0})  # only the first buffer may be the binary chunk
        for view in document.get("bufferViews", []):
            view["buffer"] += 1
        own = 0
    buffers[own]["byteLength"] = start + size
    views = document.setdefault("bufferViews", [])
    views.append({"buffer": own, "byteOffset": start, "byteLength": size})
    images = document.setdefault("images", [])
    images.append({"name": MATERIAL, "mimeType": "image/png", "bufferView": len(views) - 1})
    textures = document.setdefault("textures", [])
    textures.append({"source": len(images) - 1})
    return len(textures) - 1


def _use_picture(document: dict[str, Any], texture: int, coordinate: int, name: str) -> None:
    """Give every primitive a copy of its material whose base colour is the new texture."""
    materials = document.setdefault("materials", [])
    renewed: dict[int, int] = {}
    lacking = 0
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            if primitive.get("mode", 4) < 4:
                continue  # points and lines show no picture
            attributes = primitive["attributes"]
            lacking += f"TEXCOORD_{coordinate}" not in attributes
            old = primitive.get("material", -1)
            if old not in renewed:
                materials.append(_with_texture(materials[old] if old >= 0 else {"name": MATERIAL}, texture, coordinate))
                renewed[old] = len(materials) - 1
            primitive["material"] = renewed[old]
            if "COLOR_0" in attributes:
                attributes["_COLOR_0"] = attributes.pop("COLOR_0")
    if not renewed:
        raise UserError(f"{name} holds no surface: expected at least one triangle, but it has no faces.", "Export a mesh with faces.")
    if lacking:
        raise UserError(f"{name} has {lacking} surfaces without the UV map TEXCOORD_{coordinate}.", "Unwrap them first.")


def _with_texture(material: dict[str, Any], texture: int, coordinate: int) -> dict[str, Any]:
    result = copy.deepcopy(material)
    base = result.setdefault("pbrMetallicRoughness", {"metallicFactor": 0.0, "roughnessFactor": 0.5})
    base["baseColorTexture"] = {"index": texture, "texCoord": coordinate}
    base.pop("baseColorFactor", None)
    # These would show instead of the base colour, or without light.
    extensions = result.get("extensions", {})
    for key in ("KHR_materials_pbrSpecularGlossiness", "KHR_materials_unlit"):
        extensions.pop(key, None)
    if not extensions:
        result.pop("extensions", None)
    return result


def retexture_obj(data: bytes, picture: np.ndarray, stem: str, name: str = "the file") -> RetexturedObj:
    """The OBJ with every line as it was but those that name materials, an MTL of one material, and the picture [H,W,3] uint8.

    `stem` names the new files. Raises UserError if the file has no UV coordinates.
    """
    stem = PurePath(stem).name
    if not stem or any(c.isspace() for c in stem):
        raise UserError(f"{stem!r} cannot name a material file: expected a name without spaces.", "Choose another name.")
    if not re.search(rb"(?m)^[ \t]*vt[ \t]", data):
        raise UserError(f"{name} has no UV coordinates (no vt lines).", "Unwrap it first.")
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    lines = [line for line in data.splitlines(keepends=True) if not re.match(rb"[ \t]*(mtllib|usemtl)(\s|$)", line)]
    first_face = next((i for i, line in enumerate(lines) if re.match(rb"[ \t]*f\s", line)), len(lines))
    mtl_name, png_name = f"{stem}.mtl", f"{stem}.png"
    lines.insert(first_face, f"usemtl {MATERIAL}".encode() + newline)
    lines.insert(0, f"mtllib {mtl_name}".encode() + newline)
    mtl = f"newmtl {MATERIAL}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {png_name}\n"
    return RetexturedObj(b"".join(lines), mtl.encode(), encode_png(picture), mtl_name, png_name)
