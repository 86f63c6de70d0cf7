"""A mesh file -> polygons and every UV map, for texture mode, which promises to touch neither."""

from pathlib import Path

import numpy as np

from backend.assets.check import check_face_count, check_mesh
from backend.assets.gltf import open_gltf
from backend.assets.gltf_scene import face_count, primitives
from backend.assets.mesh import PolygonMesh
from backend.assets.obj import read_obj
from backend.assets.read import check_file, check_mesh_indices, read_mesh
from backend.assets.triangulate import triangulate
from backend.errors import SketchBridgeError, UserError, first_line


def read_polygons(path: Path | str) -> PolygonMesh:
    """Polygons of an OBJ (n-gons, UV map "UVMap") or the triangles of any other file; of a GLB, maps "TEXCOORD_0", "TEXCOORD_1", ...

    A map is there if every polygon has it. `active_uv` is the map that the file's base colour picture uses, else the first, else "".
    In our axes. Raises UserError as `read_mesh` does.
    """
    path = Path(path)
    check_file(path)
    try:
        if path.suffix.lower() == ".obj":
            mesh = _from_obj(path)
        elif path.suffix.lower() in (".glb", ".gltf"):
            mesh = _from_gltf(path)
        else:
            triangles = read_mesh(path)
            mesh = _of_triangles(triangles.vertices, triangles.faces)
    except SketchBridgeError:
        raise
    except Exception as error:  # readers of foreign bytes fail in every way there is
        raise UserError(f"{path.name} could not be read as {path.suffix[1:].upper()}: {first_line(error)}.", "Export it again.") from error
    check_mesh(mesh.vertices, triangulate(mesh).faces, path.name)
    for name, uv in mesh.uv_maps.items():
        if not np.isfinite(uv).all():
            raise UserError(f"{path.name} has UV coordinates in {name} that are not numbers.", "Unwrap it again.")
    return mesh


def _from_obj(path: Path) -> PolygonMesh:
    obj = read_obj(path.read_bytes(), path.name)
    maps = {} if obj.loop_uv is None else {"UVMap": obj.loop_uv}
    return PolygonMesh(obj.vertices, obj.loop_vertex, obj.polygon_start, maps, "UVMap" if maps else "")


def _from_gltf(path: Path) -> PolygonMesh:
    gltf = open_gltf(path)
    check_face_count(face_count(gltf), path.name)
    pieces = [p for p in primitives(gltf) if len(p.faces)]
    if not pieces:
        return _of_triangles(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int64))
    offset = np.cumsum([0] + [len(p.vertices) for p in pieces])
    for p in pieces:
        check_mesh_indices(p.faces, len(p.vertices), path.name)
    vertices = np.concatenate([p.vertices for p in pieces])
    mesh = _of_triangles(vertices, np.concatenate([p.faces + start for p, start in zip(pieces, offset[:-1], strict=True)]))
    shared = set.intersection(*(set(p.uv_maps) for p in pieces))
    mesh.uv_maps = {name: np.concatenate([p.uv_maps[name][p.faces].reshape(-1, 2) for p in pieces]) for name in sorted(shared)}
    used = [p.uv_name for p in pieces if p.uv_name in shared]
    mesh.active_uv = used[0] if used else next(iter(mesh.uv_maps), "")
    return mesh


def _of_triangles(vertices: np.ndarray, faces: np.ndarray) -> PolygonMesh:
    return PolygonMesh(vertices, faces.reshape(-1).astype(np.int64), 3 * np.arange(len(faces), dtype=np.int64))
