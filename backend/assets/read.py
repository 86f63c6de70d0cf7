"""A mesh file -> triangles in our axes, with start colours and named parts."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual import ColorVisuals

from backend.assets.axes import from_gltf
from backend.assets.check import MOST_BYTES, check_face_count, check_mesh
from backend.assets.gltf import open_gltf
from backend.assets.gltf_scene import face_count, primitives, sample_linear
from backend.assets.mesh import PolygonMesh, TriangleMesh
from backend.assets.obj import ObjFile, ObjMaterial, beside, read_materials, read_obj
from backend.assets.triangulate import triangulate
from backend.colour import srgb_to_linear
from backend.errors import SketchBridgeError, UserError, first_line

FORMATS = (".glb", ".gltf", ".obj", ".ply", ".stl")


def read_mesh(path: Path | str, *, y_up: bool | None = None) -> TriangleMesh:
    """All triangles of a GLB, glTF, OBJ, PLY or STL file, in our axes, with node transforms applied.

    `part` and `part_names` are the nodes or objects of the file. `colours` come from vertex colours, base colour factors and
    pictures sampled at the vertices: NaN where nothing says one, None if nowhere; `scalars` are vertex attributes of glTF (names that
    begin with "_") and PLY; `uv` and `texture` are there where every face has a
    UV and all use one picture. glTF is +Y up; the other formats are read as +Z up unless `y_up` says otherwise. Raises UserError,
    in one sentence, for a file that is missing, damaged, empty, not finite, out of range, without size or over two million faces.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    check_file(path)
    readers: dict[str, Callable[[Path], TriangleMesh]] = {
        ".glb": _read_gltf,
        ".gltf": _read_gltf,
        ".obj": _read_obj,
        ".ply": _read_scan,
        ".stl": _read_scan,
    }
    try:
        mesh = readers[suffix](path)
    except SketchBridgeError:
        raise
    except MemoryError as error:
        raise UserError(f"{path.name} needs more memory than there is.", "Simplify it first.") from error
    except Exception as error:  # readers of foreign bytes fail in every way there is
        raise UserError(f"{path.name} could not be read as {suffix[1:].upper()}: {first_line(error)}.", "Export it again.") from error
    if y_up and suffix not in (".glb", ".gltf"):
        mesh.vertices = from_gltf(mesh.vertices)
    check_mesh(mesh.vertices, mesh.faces, path.name)
    return mesh


def check_file(path: Path) -> None:
    """Raises UserError if the file is missing, empty, too large, or of a kind that is not a mesh."""
    if not path.exists():
        raise UserError(f"There is no file at {path}.", "Check the path.")
    if not path.is_file():
        raise UserError(f"{path} is a folder, expected a mesh file.", f"Name a file ending in {', '.join(FORMATS)}.")
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path.name} is not a mesh file: expected {', '.join(FORMATS)}, got {path.suffix or 'no ending'}.", "Export it.")
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path.name} is empty: it has 0 bytes.", "Export it again.")
    if size > MOST_BYTES:
        raise UserError(f"{path.name} has {size >> 20} MiB, more than the {MOST_BYTES >> 20} MiB that can be read.", "Simplify it first.")


def _read_gltf(path: Path) -> TriangleMesh:
    gltf = open_gltf(path)
    check_face_count(face_count(gltf), path.name)
    pieces = [p for p in primitives(gltf) if len(p.faces)]
    if not pieces:
        return _nothing()
    names = list(dict.fromkeys(p.node for p in pieces))
    offset = np.cumsum([0] + [len(p.vertices) for p in pieces])
    for p in pieces:  # before the parts are joined, where a wrong index would point into a neighbour
        check_mesh_indices(p.faces, len(p.vertices), path.name)
    colours = [np.full_like(p.vertices, np.nan) if p.colours is None else p.colours for p in pieces]
    coloured = any(p.colours is not None for p in pieces)
    images = {p.image for p in pieces}
    image = images.pop() if len(images) == 1 else -1
    all_uv = all(p.uv_maps for p in pieces)
    scalars = dict.fromkeys(key for p in pieces for key in p.scalars)

    def corner_uv(piece_index: int) -> np.ndarray:
        piece = pieces[piece_index]
        uv = piece.uv_maps.get(piece.uv_name, next(iter(piece.uv_maps.values())))
        return np.asarray(uv[piece.faces])

    return TriangleMesh(
        vertices=np.concatenate([p.vertices for p in pieces]),
        faces=np.concatenate([p.faces + start for p, start in zip(pieces, offset[:-1], strict=True)]).astype(np.int64),
        colours=np.concatenate(colours) if coloured else None,
        part=np.concatenate([np.full(len(p.faces), names.index(p.node)) for p in pieces]).astype(np.int64),
        part_names=names,
        uv=np.concatenate([corner_uv(i) for i in range(len(pieces))]).astype(np.float32) if all_uv else None,
        texture=np.asarray(gltf.image(image)) if image >= 0 else None,
        scalars={key: np.concatenate([p.scalars.get(key, np.zeros(len(p.vertices), np.float32)) for p in pieces]) for key in scalars},
    )


def check_mesh_indices(faces: np.ndarray, vertex_count: int, name: str) -> None:
    """Raises UserError if a face [F,3] names a vertex that is not there."""
    if len(faces) and (faces.min() < 0 or faces.max() >= vertex_count):
        raise UserError(f"{name} has a face with vertex {faces.max()}, but its vertices are 0 to {vertex_count - 1}.", "Export it again.")


def _read_obj(path: Path) -> TriangleMesh:
    obj = read_obj(path.read_bytes(), path.name)
    cut = triangulate(PolygonMesh(obj.vertices, obj.loop_vertex, obj.polygon_start))
    check_face_count(len(cut.faces), path.name)
    uv = None if obj.loop_uv is None else obj.loop_uv[cut.corner]
    pictures = _obj_pictures(path, obj)
    material = obj.polygon_material[cut.polygon]
    used = {int(m) for m in np.unique(material)}
    picture = pictures[used.pop()][1] if len(used) == 1 and -1 not in used else None
    return TriangleMesh(
        vertices=obj.vertices,
        faces=cut.faces,
        colours=_obj_colours(obj, cut.faces, uv, material, pictures),
        part=obj.polygon_object[cut.polygon],
        part_names=obj.object_names,
        uv=uv,
        texture=picture,
    )


def _obj_pictures(path: Path, obj: ObjFile) -> list[tuple[ObjMaterial | None, np.ndarray | None]]:
    """Material and decoded picture of every material name; a file that is missing or damaged only costs its colours."""
    known: dict[str, ObjMaterial] = {}
    for library in obj.libraries:
        file = beside(path.parent, library)
        if file is not None:
            known |= read_materials(file.read_bytes())
    result: list[tuple[ObjMaterial | None, np.ndarray | None]] = []
    for name in obj.material_names:
        material = known.get(name)
        file = beside(path.parent, material.picture) if material and material.picture else None
        pixels = None
        if file is not None:
            try:
                pixels = np.asarray(Image.open(file).convert("RGB"))
            except (OSError, ValueError):
                pixels = None
        result.append((material, pixels))
    return result


def _obj_colours(
    obj: ObjFile,
    faces: np.ndarray,
    uv: np.ndarray | None,
    material: np.ndarray,
    pictures: list[tuple[ObjMaterial | None, np.ndarray | None]],
) -> np.ndarray | None:
    """Vertex colours where written (display values), else the mean over the corners of material colour x picture, NaN where unknown."""
    if obj.colours is not None:
        shown = obj.colours / 255 if obj.colours.max(initial=0) > 1 else obj.colours
        return np.asarray(srgb_to_linear(shown), dtype=np.float32)
    if not any(known for known, _ in pictures):
        return None
    corner = np.ones((len(faces), 3, 3), dtype=np.float32)
    said = np.zeros(len(faces), dtype=bool)
    for index, (known, pixels) in enumerate(pictures):
        of_it = np.flatnonzero(material == index)
        if known is None or len(of_it) == 0:
            continue
        said[of_it] = True
        corner[of_it] = np.clip(known.diffuse, 0, 1)
        if pixels is not None and uv is not None:
            corner[of_it] *= sample_linear(pixels, uv[of_it].reshape(-1, 2)).reshape(-1, 3, 3)
    vertex = faces[said].ravel()
    uses = np.bincount(vertex, minlength=len(obj.vertices))[:, None]
    total = np.stack([np.bincount(vertex, corner[said][:, :, c].ravel(), len(obj.vertices)) for c in range(3)], 1)
    return np.where(uses > 0, total / np.maximum(uses, 1), np.nan).astype(np.float32)


def _read_scan(path: Path) -> TriangleMesh:
    """PLY and STL: one part, PLY vertex colours as display values."""
    data = path.read_bytes()
    suffix = path.suffix.lower()
    check_face_count(_promised_faces(data, suffix), path.name)
    mesh = trimesh.load(io.BytesIO(data), file_type=suffix[1:], process=False)
    if not isinstance(mesh, trimesh.Trimesh):
        return _nothing()
    colours = None
    if isinstance(mesh.visual, ColorVisuals) and mesh.visual.kind == "vertex":
        colours = np.asarray(srgb_to_linear(np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.float32) / 255), dtype=np.float32)
    faces = np.asarray(mesh.faces, dtype=np.int64)
    part = np.zeros(len(faces), dtype=np.int64)
    vertices = np.asarray(mesh.vertices, dtype=np.float32)
    return TriangleMesh(vertices, faces, colours, part, [path.stem], scalars=_own_scalars(mesh, len(vertices)))


def _own_scalars(mesh: trimesh.Trimesh, count: int) -> dict[str, np.ndarray]:
    """Float vertex properties of a PLY that have no common meaning, by name."""
    rows = mesh.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    if not isinstance(rows, np.ndarray) or rows.dtype.names is None or len(rows) != count:
        return {}
    common = {"x", "y", "z", "nx", "ny", "nz", "s", "t", "u", "v", "red", "green", "blue", "alpha"}
    own = [name for name in rows.dtype.names if name not in common and rows.dtype[name].kind == "f" and rows[name].ndim == 1]
    return {name: rows[name].astype(np.float32) for name in own}


def _promised_faces(data: bytes, suffix: str) -> int:
    """Face count from the header: of a PLY, of a binary STL; an ASCII STL's facets are counted."""
    if suffix == ".stl":
        if len(data) >= 84:
            count = int.from_bytes(data[80:84], "little")
            if 84 + 50 * count == len(data) or not data.lstrip().startswith(b"solid"):
                return count
        return data.count(b"facet normal")
    for line in data[:65536].split(b"end_header")[0].splitlines():
        words = line.split()
        if words[:2] == [b"element", b"face"] and len(words) == 3:
            return int(words[2])
    return 0


def _nothing() -> TriangleMesh:
    return TriangleMesh(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int64))
