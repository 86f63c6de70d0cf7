"""The end of a run: clean, unwrap, bake, draw, write."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from backend.appearance.bake import BakedMaps, bake
from backend.assets.write import write_glb, write_png
from backend.errors import Cancelled
from backend.geometry.clean import clean
from backend.geometry.contract import Mesh
from backend.geometry.normalise import move
from backend.geometry.unwrap import unwrap
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.render.sheet import render_sheet, sheet_cameras, tile
from protocol.job import RefineJob

UNWRAP_MEMORY_BYTES = 4 * 2**30
SHEET_PX = 160


@dataclass
class Exported:
    """The finished asset: arrays in the sketch's own coordinates, pictures, and where the files lie."""

    vertices: np.ndarray  # [V,3] float32
    faces: np.ndarray  # [F,3] int64
    uv: np.ndarray  # [V,2], origin bottom-left (texture mode: [F,3,2])
    base_colour: np.ndarray  # [S,S,3] uint8 display, row 0 at the top
    normal_map: np.ndarray | None  # [S,S,3] uint8, tangent space
    mesh: Mesh  # the final surface in the domain, before clean-up
    welded: np.ndarray  # [F,3] int64, the faces with seams closed, over `welded_vertices`
    welded_vertices: np.ndarray  # [V',3] float32
    paintable: bool  # whether the unwrap is fit for painting by hand
    loop_uv: np.ndarray | None = None  # texture mode, where a map was made: [L,2] per polygon corner
    pictures: dict[str, np.ndarray] = field(default_factory=dict)  # row title -> [n,S,S,3] uint8
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def export_asset(subject: Subject, studio: Studio, job: RefineJob, out: Path | None, should_stop: Callable[[], bool]) -> Exported:
    """The surface cleaned, unwrapped and baked; `asset.glb` in `out` unless that is None.

    Errors: Cancelled once `should_stop` says yes; it is asked between these and all through the unwrapping.
    """
    fine = subject.still()
    device = fine.vertices.device
    cleaned = clean(fine.vertices.cpu().numpy(), fine.faces.cpu().numpy(), job.budget.faces, protect=subject.kept_points())
    charts = unwrap(
        cleaned.vertices,
        cleaned.faces,
        deadline_s=job.budget.unwrap_s,
        memory_bytes=UNWRAP_MEMORY_BYTES,
        texture_px=job.budget.texture_px,
        should_stop=should_stop,
    )
    corners = charts.uv[charts.faces]
    go_on_unless(should_stop)
    maps: BakedMaps = bake(
        torch.from_numpy(cleaned.vertices).to(device),
        torch.from_numpy(charts.vertex_map[charts.faces]).to(device),
        torch.from_numpy(corners).to(device),
        subject.colour,
        job.budget.texture_px,
        project_to=(fine.vertices, fine.faces),
        rasterizer=studio.rasterizer,
    )
    go_on_unless(should_stop)
    welded_vertices = move(cleaned.vertices, subject.to_scene)
    placed = welded_vertices[charts.vertex_map]
    notes = [*cleaned.notes, *([charts.note] if charts.note else [])]
    exported = Exported(
        placed, charts.faces, charts.uv, maps.base_colour, maps.normal, fine, cleaned.faces, welded_vertices, charts.paintable, notes=notes
    )
    if out is not None:
        exported.files.append(write_glb(out / "asset.glb", placed, charts.faces, charts.uv, maps.base_colour, normal_map=maps.normal))
    return exported


def go_on_unless(should_stop: Callable[[], bool]) -> None:
    """Cancelled if `should_stop` says yes."""
    if should_stop():
        raise Cancelled("The export was stopped.")


def write_sheet(exported: Exported, out: Path) -> None:
    """The contact sheet beside the asset."""
    rows = [(title, _enlarged(row)) for title, row in exported.pictures.items()]
    exported.files.append(write_png(out / "sheet.png", tile(rows)))


def _enlarged(pictures: np.ndarray) -> np.ndarray:
    """Small pictures [n,S,S,3], whole times larger, so that their pixels can be seen."""
    times = -(-SHEET_PX // pictures.shape[1])
    return pictures.repeat(times, 1).repeat(times, 2)


def pictures(subject: Subject, studio: Studio) -> dict[str, np.ndarray]:
    """Rows of the contact sheet, [8,S,S,3] uint8: the sketch (its colours, or clay), the start, the result, the result as clay."""
    cameras = sheet_cameras(subject.radius).to(subject.start.vertices.device)

    def row(mesh: Mesh, coloured: bool) -> np.ndarray:
        return render_sheet(mesh, subject.colour if coloured else None, studio.rasterizer, cameras=cameras, size_px=SHEET_PX)

    result = subject.still()
    rows = {} if subject.drawn is None else {"sketch": row(subject.drawn, False)}
    return rows | {"start": row(subject.start, False), "result": row(result, True), "result as clay": row(result, False)}
