"""The end of a run in texture mode: only the picture is new. Vertices, polygons and UV maps of the given mesh stay as they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from backend.appearance.bake import bake
from backend.assets.atomic import write_bytes
from backend.assets.mesh import PolygonMesh
from backend.assets.polygon_obj import polygon_obj
from backend.assets.retexture import retexture_glb, retexture_obj
from backend.assets.triangulate import Triangulation
from backend.assets.uv_layout import uv_layout
from backend.assets.write import write_png
from backend.geometry.unwrap import unwrap
from backend.refine.export import UNWRAP_MEMORY_BYTES, Exported, go_on_unless
from backend.refine.inputs import Original
from backend.refine.subject import Subject
from backend.render.rasterizer import TensorPipeline
from protocol.job import RefineJob

NEW_MAP = "SketchBridge"


def export_texture(
    subject: Subject,
    rasterizer: TensorPipeline,
    job: RefineJob,
    out: Path | None,
    original: Original | None,
    should_stop: Callable[[], bool],
) -> Exported:
    """The baked picture in the mesh's active UV map, or in a new map where it has none; the given file with that picture.

    Files: `texture.png`, and `asset.glb` or `asset.obj` where the mesh came as such a file. Notes say what is wrong with the map.
    Errors: Cancelled once `should_stop` says yes.
    """
    assert subject.polygons is not None and subject.triangles is not None
    polygons, triangles = subject.polygons, subject.triangles
    notes: list[str] = []
    if polygons.active_uv:
        loop_uv = polygons.uv_maps[polygons.active_uv]
    else:
        loop_uv, how = unwrap_polygons(polygons, triangles, job.budget.unwrap_s, job.budget.texture_px, should_stop)
        notes.append(f"The mesh has no UV map, so one named '{NEW_MAP}' was made ({how}).")
    uv = loop_uv[triangles.corner].astype(np.float32)
    if polygons.active_uv:
        notes += uv_layout(uv).notes()
    mesh = subject.still()
    device = mesh.vertices.device
    go_on_unless(should_stop)
    maps = bake(mesh.vertices, mesh.faces, torch.from_numpy(uv).to(device), subject.colour, job.budget.texture_px, rasterizer=rasterizer)
    paintable = bool(polygons.active_uv)
    exported = Exported(
        polygons.vertices, triangles.faces, uv, maps.base_colour, None, mesh, triangles.faces, polygons.vertices, paintable,
        loop_uv=None if polygons.active_uv else loop_uv, notes=notes,
    )  # fmt: skip
    if out is not None:
        exported.files = _write(polygons, loop_uv, maps.base_colour, out, original)
    return exported


def unwrap_polygons(
    polygons: PolygonMesh, triangles: Triangulation, deadline_s: float, texture_px: int, should_stop: Callable[[], bool]
) -> tuple[np.ndarray, str]:
    """One UV per polygon corner [L,2], and how it was made.

    xatlas works on triangles; where it cuts through a polygon, corners would need two places, and every polygon then gets a square
    of its own.
    """
    charts = unwrap(
        polygons.vertices,
        triangles.faces,
        deadline_s=deadline_s,
        memory_bytes=UNWRAP_MEMORY_BYTES,
        texture_px=texture_px,
        should_stop=should_stop,
    )
    corners = triangles.corner.ravel()
    placed = charts.uv[charts.faces].reshape(-1, 2)
    loop_uv = np.zeros((len(polygons.loop_vertex), 2), np.float32)
    loop_uv[corners] = placed
    if np.abs(loop_uv[corners] - placed).max(initial=0.0) < 1e-6:
        return loop_uv, "by charts"
    return _polygon_squares(polygons), "a square for each polygon, which is not made for painting"


def _polygon_squares(polygons: PolygonMesh) -> np.ndarray:
    """[L,2]: each polygon laid flat in its own plane and fitted into a cell of a square grid, with a gutter."""
    ends = np.append(polygons.polygon_start[1:], len(polygons.loop_vertex))
    side = int(np.ceil(np.sqrt(len(ends))))
    result = np.zeros((len(polygons.loop_vertex), 2), np.float32)
    for index, (start, end) in enumerate(zip(polygons.polygon_start, ends, strict=True)):
        points = polygons.vertices[polygons.loop_vertex[start:end]].astype(np.float64)
        flat = points - points.mean(0)
        _, _, axes = np.linalg.svd(flat)
        normal = np.cross(points - points[0], np.roll(points, -1, 0) - points[0]).sum(0)
        # A frame turned against the polygon's winding would mirror the picture.
        across = axes[1] if np.dot(np.cross(axes[0], axes[1]), normal) >= 0 else -axes[1]
        plane = np.stack([flat @ axes[0], flat @ across], 1)
        plane = (plane - plane.min(0)) / max(float(np.ptp(plane, axis=0).max()), 1e-12)
        result[start:end] = (np.array([index % side, index // side]) + 0.1 + 0.8 * plane) / side
    return result


def _write(polygons: PolygonMesh, loop_uv: np.ndarray, picture: np.ndarray, out: Path, original: Original | None) -> list[Path]:
    files = [write_png(out / "texture.png", picture)]
    suffix = Path(original.name).suffix.lower() if original is not None else ""
    if original is not None and polygons.active_uv and suffix == ".glb":
        data = retexture_glb(original.data, picture, original.name, uv_map=polygons.active_uv)
        files.append(write_bytes(out / "asset.glb", data))
    elif polygons.active_uv and suffix == ".obj" and original is not None:
        new = retexture_obj(original.data, picture, "asset", original.name)
        for name, data in ((new.png_name, new.png), (new.mtl_name, new.mtl), ("asset.obj", new.obj)):
            files.append(write_bytes(out / name, data))
    else:
        for name, data in polygon_obj(polygons, loop_uv, picture, "asset").items():
            files.append(write_bytes(out / name, data))
    return files
