"""Wavefront OBJ with its polygons as they are: n-gons, one UV map, colours, objects, materials."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backend.assets.check import check_face_count, check_finite
from backend.errors import UserError


@dataclass
class ObjFile:
    """`vertices` [V,3] float32 as written; `colours` [V,3] as written (display values) or None; `loop_vertex` [L], `polygon_start` [P];
    `loop_uv` [L,2] or None where a corner lacks one; `polygon_object` [P], `polygon_material` [P] index into their names; `libraries`
    names of its material files."""

    vertices: np.ndarray
    colours: np.ndarray | None
    loop_vertex: np.ndarray
    polygon_start: np.ndarray
    loop_uv: np.ndarray | None
    polygon_object: np.ndarray
    object_names: list[str]
    polygon_material: np.ndarray
    material_names: list[str]
    libraries: list[str]


@dataclass
class ObjMaterial:
    """Base colour `diffuse` (linear, as common exporters write it) and the picture that multiplies it, if any."""

    diffuse: tuple[float, float, float] = (1.0, 1.0, 1.0)
    picture: str = ""


@dataclass
class _Reader:
    """What has been read so far, line by line."""

    name: str
    positions: list[list[str]] = field(default_factory=list)
    uvs: list[list[str]] = field(default_factory=list)
    loop_vertex: list[int] = field(default_factory=list)
    loop_uv: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)
    object_names: list[str] = field(default_factory=list)
    material_names: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    object_now: int = -1
    material_now: int = -1

    def polygon(self, corners: list[str], line: int) -> None:
        if len(corners) < 3:
            raise UserError(f"{self.name}, line {line}: a face needs at least 3 corners, got {len(corners)}.", "Export it again.")
        if self.object_now < 0:
            self.object_now = _number("", self.object_names)
        self.start.append(len(self.loop_vertex))
        self.objects.append(self.object_now)
        self.materials.append(self.material_now)
        for corner in corners:
            parts = corner.split("/")
            self.loop_vertex.append(self._index(parts[0], len(self.positions), "vertex", line))
            has_uv = len(parts) > 1 and parts[1]
            self.loop_uv.append(self._index(parts[1], len(self.uvs), "texture coordinate", line) if has_uv else -1)

    def _index(self, text: str, count: int, what: str, line: int) -> int:
        index = int(text)
        index = index - 1 if index > 0 else count + index
        if not 0 <= index < count:
            raise UserError(f"{self.name}, line {line}: a face has {what} {text}, but only {count} came before it.", "Export it again.")
        return index


def read_obj(data: bytes, name: str) -> ObjFile:
    """Everything of an OBJ that concerns surfaces. Raises UserError, with the line where there is one, for what is not understood.

    Faces must follow their vertices, as every exporter writes them. Curves, points, lines and smoothing groups are passed over.
    """
    check_face_count(data.count(b"\nf "), name)
    reader = _Reader(name)
    text = data.decode("utf-8", errors="replace").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), 1):
        key, _, rest = line.strip().partition(" ")
        try:
            if key == "v":
                reader.positions.append(rest.split())
            elif key == "vt":
                reader.uvs.append(rest.split()[:2])
            elif key == "f":
                reader.polygon(rest.split(), number)
            elif key in ("o", "g"):
                reader.object_now = _number(rest.strip(), reader.object_names)
            elif key == "usemtl":
                reader.material_now = _number(rest.strip(), reader.material_names)
            elif key == "mtllib":
                reader.libraries.append(rest.strip())
        except ValueError as error:
            raise UserError(f"{name}, line {number}: {error}.", "Export it again.") from error
    positions = _floats(reader.positions, 3, name, "vertex")
    check_finite(positions, name)
    colours = _floats(reader.positions, 6, name, "vertex")[:, 3:] if reader.positions and len(reader.positions[0]) >= 6 else None
    uvs = _floats(reader.uvs, 2, name, "texture coordinate")
    loop_uv = np.asarray(reader.loop_uv, dtype=np.int64)
    return ObjFile(
        vertices=positions,
        colours=colours,
        loop_vertex=np.asarray(reader.loop_vertex, dtype=np.int64),
        polygon_start=np.asarray(reader.start, dtype=np.int64),
        loop_uv=uvs[loop_uv] if len(loop_uv) and loop_uv.min() >= 0 else None,
        polygon_object=np.asarray(reader.objects, dtype=np.int64),
        object_names=[n or f"part {i}" for i, n in enumerate(reader.object_names)],
        polygon_material=np.asarray(reader.materials, dtype=np.int64),
        material_names=reader.material_names,
        libraries=reader.libraries,
    )


def read_materials(data: bytes) -> dict[str, ObjMaterial]:
    """Materials of an MTL file by name; lines that are not understood are passed over, since colours are only a start."""
    materials: dict[str, ObjMaterial] = {}
    now = ObjMaterial()
    for line in data.decode("utf-8", errors="replace").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            now = materials.setdefault(rest.strip(), ObjMaterial())
        elif key == "Kd":
            try:
                r, g, b = (float(v) for v in rest.split()[:3])
            except ValueError:
                continue
            now.diffuse = (r, g, b)
        elif key == "map_Kd":
            now.picture = rest.strip()
    return materials


def beside(folder: Path, name: str) -> Path | None:
    """A file that an OBJ or MTL names, if it exists in or below `folder`; nothing outside is ever opened."""
    target = (folder / name.replace("\\", "/")).resolve()
    return target if target.is_relative_to(folder.resolve()) and target.is_file() else None


def _number(name: str, names: list[str]) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)


def _floats(rows: list[list[str]], width: int, name: str, what: str) -> np.ndarray:
    short = next((i for i, row in enumerate(rows) if len(row) < width), None)
    if short is not None:
        raise UserError(f"{name}: {what} {short + 1} has {len(rows[short])} numbers, expected {width}.", "Export it again.")
    try:
        return np.array([row[:width] for row in rows], dtype=np.float32).reshape(-1, width)
    except ValueError as error:
        raise UserError(f"{name}: a {what} is not a number: {error}.", "Export it again.") from error
