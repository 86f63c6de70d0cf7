"""Signed distance to the solid that an artist meant: overlapping, open, flat or inside-out strokes."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.errors import UserError
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.mesh_queries import MeshQueries
from backend.geometry.normalise import LONGEST_SIDE
from backend.geometry.stroke_radius import stroke_radius
from backend.geometry.strokes import Strokes, split_strokes

REACH = 0.5
"""Distances are clamped to this; nothing reads them farther away."""
SHEET_THICKNESS = 1.5
"""Half the thickness given to a part without volume, in cells."""
THINNEST = 0.75
"""Strokes of a smaller median radius, in cells, would fall between grid vertices; they are swollen to one cell."""
FILLED_WINDING = 0.75
"""A part is solid if most of its inner side sees more than this share of itself around; a sheet sees about one half."""


class _Depth(NamedTuple):
    """Grid vertices inside one solid stroke, how deep below its surface, and the nearest face (index into `Strokes.faces`)."""

    vertex: Tensor
    distance: Tensor
    face: Tensor


@dataclass
class SketchField:
    """The solid of a sketch on a grid, and what each place of it belongs to. Tensors are on the grid's device, domain units.

    `sdf` [N] float32, negative inside, clamped to +-0.5; `radius` [N] local stroke radius at the nearest point of the sketch;
    `component` [N] int64 the stroke there. `components` per stroke, the indices of its given faces; `point_radius` [V] float32 per
    given vertex (0 where no face uses it); `flat` [K] strokes that had no volume; `swell` [K] how far each surface was moved out;
    `strokes` the welded, oriented sketch; `notes` sentences for the artist.
    """

    sdf: Tensor
    radius: Tensor
    component: Tensor
    components: list[np.ndarray]
    point_radius: np.ndarray
    flat: np.ndarray
    swell: np.ndarray
    strokes: Strokes
    notes: list[str]


def fit_sdf(
    vertices: np.ndarray,  # [V, 3] domain units
    faces: np.ndarray,  # [F, 3]
    grid: KuhnGrid,
    *,
    sheet_thickness: float = 0.0,
) -> SketchField:
    """Distance to the union of the strokes, each with its own winding number, so that flipped or open ones do not spoil the others.

    Inside, the value is minus the largest depth below any stroke's own surface; outside it is the true distance. Parts without
    volume become sheets of half thickness max(1.5 h, `sheet_thickness`), threads too thin for the grid are swollen. Raises
    UserError if no face has an area.
    """
    strokes = split_strokes(vertices, faces)
    if strokes.count == 0:
        raise UserError("The sketch has no surface: expected at least one triangle with an area.", "Add a stroke or a mesh.")
    order = np.argsort(strokes.component, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(strokes.component))[:-1])
    sheet = max(SHEET_THICKNESS * grid.h, sheet_thickness)
    flat = np.zeros(strokes.count, dtype=bool)
    swell = np.zeros(strokes.count)
    radius = np.zeros(len(strokes.faces))
    depths = []
    for k, member in enumerate(members):
        used, own = np.unique(strokes.faces[member], return_inverse=True)
        corners, own = strokes.vertices[used], own.reshape(-1, 3)
        queries = MeshQueries(torch.from_numpy(corners), torch.from_numpy(own), grid.device, winding=True)
        flat[k] = not _encloses(queries, corners, own)
        if flat[k]:
            swell[k] = radius[member] = sheet
            continue
        thickness = stroke_radius(queries, corners, own, REACH)
        median = _median(thickness, _areas(corners[own]))
        if median < THINNEST * grid.h:
            # Quarter cells, so that many hairs share one distance query.
            swell[k] = np.ceil(4 * (grid.h - median) / grid.h) / 4 * grid.h
        radius[member] = thickness + swell[k]
        # Beyond its bounding box no part can surround a point.
        near = _grid_vertices_in_box(grid, corners.min(0), corners.max(0))
        near = near[queries.inside(grid.positions[near])]
        nearest = queries.nearest(grid.positions[near])
        depths.append(_Depth(near, nearest.distance, torch.from_numpy(member).to(grid.device)[nearest.face]))
    return _assemble(strokes, members, flat, swell, radius, depths, grid, len(vertices))


def _encloses(queries: MeshQueries, vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether most of the area of a part has an inside right behind it: tubes and cups do, ribbons, bowls and planes do not."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    size = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max())
    behind = (a + b + c) / 3 - 1e-4 * size * normals / area[:, None]
    step = -(-len(faces) // 2000)
    inside = queries.inside(torch.from_numpy(behind[::step]), FILLED_WINDING).cpu().numpy()
    return bool(area[::step][inside].sum() > 0.5 * area[::step].sum())


def _grid_vertices_in_box(grid: KuhnGrid, low: np.ndarray, high: np.ndarray) -> Tensor:
    first = np.clip(np.ceil((low + 1) / grid.h), 0, grid.n + 1).astype(int)
    last = np.clip(np.floor((high + 1) / grid.h), -1, grid.n).astype(int)
    x, y, z = (torch.arange(a, b + 1, device=grid.device) for a, b in zip(first, last, strict=True))
    return ((x[:, None, None] * (grid.n + 1) + y[:, None]) * (grid.n + 1) + z).reshape(-1)


def _assemble(
    strokes: Strokes,
    members: list[np.ndarray],
    flat: np.ndarray,
    swell: np.ndarray,
    radius: np.ndarray,
    depths: list[_Depth],
    grid: KuhnGrid,
    vertex_count: int,
) -> SketchField:
    device = grid.device
    corner_radius = _corner_mean(strokes, radius, vertex_count)
    face_swell = torch.from_numpy(swell[strokes.component]).to(device, torch.float32)
    sdf = torch.full((grid.vertex_count,), torch.inf, device=device)
    face = torch.zeros(grid.vertex_count, dtype=torch.int64, device=device)
    bary = torch.full((grid.vertex_count, 3), 1 / 3, device=device)
    for amount in np.unique(swell):
        index = np.flatnonzero(swell[strokes.component] == amount)
        queries = MeshQueries(torch.from_numpy(strokes.vertices), torch.from_numpy(strokes.faces[index]), device)
        nearest = queries.nearest(grid.positions)
        value = nearest.distance - float(amount)
        closer = value < sdf
        sdf = torch.where(closer, value, sdf)
        face = torch.where(closer, torch.from_numpy(index).to(device)[nearest.face], face)
        bary = torch.where(closer[:, None], nearest.bary, bary)
    for vertex, distance, below in depths:
        value = -distance - face_swell[below]
        # Inside a stroke the positive distance found above does not count; inside several, the deepest wins.
        deeper = value < sdf[vertex]
        sdf[vertex[deeper]] = value[deeper]
        face[vertex[deeper]] = below[deeper]
        bary[vertex[deeper]] = 1 / 3
    corners = torch.from_numpy(corner_radius[strokes.faces]).to(device, torch.float32)
    return SketchField(
        sdf=sdf.clamp(-REACH, REACH),
        radius=(corners[face] * bary).sum(1),
        component=torch.from_numpy(strokes.component).to(device)[face],
        components=[strokes.source[member] for member in members],
        point_radius=corner_radius[strokes.weld].astype(np.float32),
        flat=flat,
        swell=swell,
        strokes=strokes,
        notes=_notes(strokes, flat, swell, grid.h),
    )


def _areas(corners: np.ndarray) -> np.ndarray:
    """Areas [F] of triangles [F,3,3]."""
    a, b, c = corners.transpose(1, 0, 2)
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _corner_mean(strokes: Strokes, values: np.ndarray, vertex_count: int) -> np.ndarray:
    """Mean over the faces around each vertex, by area: the fan that closes a tube must not stand for its side."""
    area = np.repeat(_areas(strokes.vertices[strokes.faces]), 3)
    corner = strokes.faces.ravel()
    total = np.bincount(corner, area, vertex_count)
    return np.bincount(corner, area * np.repeat(values, 3), vertex_count) / np.where(total > 0, total, 1)


def _notes(strokes: Strokes, flat: np.ndarray, swell: np.ndarray, h: float) -> list[str]:
    notes = []
    turned = int((strokes.turned & ~flat).sum())
    if turned:
        notes.append(f"{_parts(turned)} inside out and {'was' if turned == 1 else 'were'} turned.")
    if flat.any():
        share = 200 * float(swell[flat].max()) / LONGEST_SIDE
        count = int(flat.sum())
        notes.append(f"{_parts(count, 'flat ')} given a thickness of {share:.0f} % of the sketch's longest side.")
    thin = int(((swell > 0) & ~flat).sum())
    if thin:
        notes.append(f"{_parts(thin)} thinner than the grid can hold and {'was' if thin == 1 else 'were'} thickened to about two cells.")
    return notes


def _parts(count: int, kind: str = "") -> str:
    return f"1 {kind}part was" if count == 1 else f"{count} {kind}parts were"
