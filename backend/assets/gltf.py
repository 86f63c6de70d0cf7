"""glTF 2.0 files as a JSON document and its buffers: the container, accessors and images, and nothing of what they mean."""

import base64
import binascii
import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.errors import UserError

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENT = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def split_glb(data: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    """JSON document and binary chunk (empty if absent) of a GLB. Raises UserError for anything that is not a whole GLB 2.0."""
    if len(data) < 20:
        raise UserError(f"{name} is not a GLB file: it has only {len(data)} bytes.", "Export it again.")
    magic, version, length = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != 2:
        raise UserError(f"{name} is not a GLB 2.0 file: its first bytes are {data[:8]!r}.", "Export it again as glTF binary.")
    if length > len(data):
        raise UserError(f"{name} is cut off: its header promises {length:,} bytes and it has {len(data):,}.", "Copy or export it again.")
    document, binary, at = None, b"", 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        chunk = data[at + 8 : at + 8 + size]
        if len(chunk) < size:
            raise UserError(f"{name} is cut off: a chunk promises {size:,} bytes and has {len(chunk):,}.", "Copy or export it again.")
        if kind == _JSON and document is None:
            document = parse_json(chunk, name)
        elif kind == _BIN and not binary:
            binary = chunk
        at += 8 + size
    if document is None:
        raise UserError(f"{name} has no JSON chunk, so it describes nothing.", "Export it again.")
    return document, binary


def join_glb(document: dict[str, Any], binary: bytes) -> bytes:
    """A GLB of a document and its binary chunk; both are padded to four bytes as the format asks."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), _JSON) + text
    if binary:
        chunks += struct.pack("<II", len(binary), _BIN) + binary
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks


def parse_json(text: bytes, name: str) -> dict[str, Any]:
    """The document of a glTF file. Raises UserError if it is not a JSON object."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} has a damaged description: {error}.", "Export it again.") from error
    if not isinstance(document, dict):
        raise UserError(f"{name} has a damaged description: expected a JSON object, got {type(document).__name__}.", "Export it again.")
    return document


@dataclass
class Gltf:
    """A document with the folder that its relative addresses refer to (None: no files but its own) and its binary chunk."""

    document: dict[str, Any]
    binary: bytes
    folder: Path | None
    name: str

    def items(self, kind: str) -> list[Any]:
        """A top-level list (`nodes`, `meshes`, ...), empty where the document has none."""
        return list(self.document.get(kind, []))

    def accessor(self, index: int) -> np.ndarray:
        """Values [n,k] of an accessor: float32 if stored or declared as such (normalised integers), else its integer type."""
        accessor = self.items("accessors")[index]
        dtype = np.dtype(_COMPONENT[accessor["componentType"]]).newbyteorder("<")
        count, width = int(accessor["count"]), _WIDTH[accessor["type"]]
        if count < 0:
            raise ValueError(f"an accessor has {count} elements")
        if "bufferView" in accessor:
            values = self._strided(accessor["bufferView"], int(accessor.get("byteOffset", 0)), dtype, count, width)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in accessor:
            at, new, changed = accessor["sparse"]["indices"], accessor["sparse"]["values"], int(accessor["sparse"]["count"])
            index_type = np.dtype(_COMPONENT[at["componentType"]]).newbyteorder("<")
            where = self._strided(at["bufferView"], int(at.get("byteOffset", 0)), index_type, changed, 1)
            values = values.copy()
            values[where[:, 0]] = self._strided(new["bufferView"], int(new.get("byteOffset", 0)), dtype, changed, width)
        if accessor.get("normalized") and dtype.kind in "iu":
            most = float(2 ** (8 * dtype.itemsize - (dtype.kind == "i")) - 1)
            return np.asarray(np.maximum(values.astype(np.float32) / most, -1.0), dtype=np.float32)
        return values

    def image(self, index: int) -> Image.Image:
        """A decoded picture (RGB). Raises ValueError or OSError where it is damaged."""
        entry = self.items("images")[index]
        data = self._view(entry["bufferView"]) if "bufferView" in entry else self._fetch(entry["uri"])
        return Image.open(io.BytesIO(data)).convert("RGB")

    def _strided(self, view: int, offset: int, dtype: np.dtype[Any], count: int, width: int) -> np.ndarray:
        row = dtype.itemsize * width
        stride = int(self.items("bufferViews")[view].get("byteStride", row)) or row
        data = self._view(view)
        if count and (offset < 0 or offset + (count - 1) * stride + row > len(data)):
            raise ValueError(f"an accessor of {count} elements reaches beyond its buffer of {len(data)} bytes")
        if count == 0:
            return np.zeros((0, width), dtype)
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))

    def _view(self, index: int) -> bytes:
        view = self.items("bufferViews")[index]
        start, size = int(view.get("byteOffset", 0)), int(view["byteLength"])
        data = self._buffer(int(view["buffer"]))
        if start < 0 or size < 0 or start + size > len(data):
            raise ValueError(f"a buffer view reaches beyond its buffer of {len(data)} bytes")
        return data[start : start + size]

    def _buffer(self, index: int) -> bytes:
        entry = self.items("buffers")[index]
        return self._fetch(entry["uri"]) if "uri" in entry else self.binary

    def _fetch(self, uri: str) -> bytes:
        """Bytes of a data address, or of a file beside the document; nothing outside its folder is ever opened."""
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except binascii.Error as error:
                raise ValueError("an embedded buffer is damaged") from error
        if self.folder is None:
            raise ValueError(f"it refers to another file, {uri!r}")
        target = (self.folder / uri).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise ValueError(f"it refers to a file outside its folder, {uri!r}")
        if not target.is_file():
            raise ValueError(f"the file {uri!r} that belongs to it is missing")
        return target.read_bytes()


def open_gltf(path: Path) -> Gltf:
    """A `.glb` or `.gltf` file, not yet decoded. Raises UserError if the container is damaged or needs an unknown extension."""
    data = path.read_bytes()
    if path.suffix.lower() == ".glb":
        document, binary = split_glb(data, path.name)
    else:
        document, binary = parse_json(data, path.name), b""
    needed = [str(e) for e in document.get("extensionsRequired", []) if e in _CANNOT_READ]
    if needed:
        raise UserError(f"{path.name} is compressed with {', '.join(needed)}, which cannot be read.", "Export it without compression.")
    return Gltf(document, binary, path.parent, path.name)


_CANNOT_READ = {"KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu"}
