"""A surface from a grid -> a closed mesh of even triangles within a budget."""

from typing import NamedTuple

import fast_simplification
import manifold3d
import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.spatial import cKDTree

from backend.geometry.remesh import remesh

SMALL_SHARE = 0.01
SLIVER_TOLERANCE = 1e-3
LARGEST_TOLERANCE = 0.03
SMALLEST_GRID = 8
MOST_VOLUME_LOST = 0.1
TAUBIN_STEPS = 4


class Cleaned(NamedTuple):
    """`vertices` [V,3] float32, `faces` [F,3] int64; `dropped` pieces left out; `notes` steps that could not be taken, in plain words."""

    vertices: np.ndarray
    faces: np.ndarray
    dropped: int
    notes: list[str]


def clean(
    vertices: np.ndarray,  # [V, 3] domain units
    faces: np.ndarray,  # [F, 3]
    budget: int,  # most faces
    protect: np.ndarray | None = None,  # [P, 3]
) -> Cleaned:
    """The same surface without crumbs, slivers and grid noise, with at most `budget` faces.

    Pieces under 1 % of the largest one's volume are dropped unless one of `protect` (kept or sketch points) lies on them. Every step
    leaves a closed manifold or is undone; where decimation does not, simplification with a growing tolerance takes its place, and
    where noise defeats that too, a coarser grid. An empty mesh stays empty. A mesh that is not closed when it comes is only decimated,
    and a note says so.
    """
    vertices = np.ascontiguousarray(vertices, dtype=np.float32)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if len(faces) == 0:
        return Cleaned(vertices[:0], faces, 0, [])
    solid = _solid(vertices, faces)
    if solid is None:
        note = "The surface is not closed, so it was only decimated."
        if len(faces) > budget:
            vertices, faces = _decimate(vertices, faces, budget)
        return Cleaned(vertices, faces, 0, [note])

    solid, dropped = _without_crumbs(solid, protect)
    notes = []
    # Before simplification: on the even mesh of a grid smoothing takes noise, on long thin triangles it would take shape.
    vertices, faces = _arrays(solid)
    smooth = _solid(taubin(vertices, faces, TAUBIN_STEPS), faces)
    if smooth is None:
        notes.append("Smoothing was left out: it would have opened the surface.")
    solid = smooth or solid
    solid = _first_solid(solid.simplify(SLIVER_TOLERANCE), solid)
    if solid.num_tri() > budget:
        smaller = _within_budget(solid, budget)
        if smaller is None:
            smaller = _remeshed(solid, budget)
            notes.append(
                f"The surface needs {solid.num_tri():,} faces to stay closed, more than the {budget:,} asked for."
                if smaller is None
                else "The surface was too noisy to be simplified and was rebuilt on a coarser grid."
            )
        solid = smaller or solid
    vertices, faces = _arrays(solid)
    return Cleaned(vertices, faces, dropped, notes)


def is_watertight(faces: np.ndarray, vertex_count: int) -> bool:
    """Whether every edge has exactly two faces that run along it in opposite directions; an empty mesh is."""
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    if (start == end).any():
        return False
    one, two = np.sort(start * vertex_count + end), np.sort(end * vertex_count + start)
    return bool((one == two).all() and (one[1:] != one[:-1]).all())


def taubin(vertices: np.ndarray, faces: np.ndarray, steps: int, shrink: float = 0.5, grow: float = -0.53) -> np.ndarray:
    """Vertices [V,3] float32 after `steps` pairs of smoothing and inflating: grid noise goes, volume stays."""
    row, column = faces[:, [0, 1, 2, 1, 2, 0]].ravel(), faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    near = coo_matrix((np.ones(len(row)), (row, column)), shape=(len(vertices),) * 2).tocsr()
    near.data[:] = 1.0  # each neighbour counts once
    mean = diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near
    points = vertices.astype(np.float64)
    for _ in range(steps):
        for amount in (shrink, grow):
            points = points + amount * (mean @ points - points)
    return points.astype(np.float32)


def _within_budget(solid: manifold3d.Manifold, budget: int) -> manifold3d.Manifold | None:
    """Quadric decimation if it leaves the same closed pieces, else the smallest tolerance of simplification that does; None if none."""
    vertices, faces = _decimate(*_arrays(solid), budget)
    decimated = _solid(vertices, faces)
    if decimated is not None and decimated.num_tri() <= budget and len(decimated.decompose()) == len(solid.decompose()):
        return decimated
    tolerance, best = SLIVER_TOLERANCE, solid
    while best.num_tri() > budget and tolerance < LARGEST_TOLERANCE:
        tolerance *= 1.4
        best = _first_solid(solid.simplify(tolerance), best)
    return best if best.num_tri() <= budget else None


def _remeshed(solid: manifold3d.Manifold, budget: int) -> manifold3d.Manifold | None:
    """The same solid from a grid on which it comes within the budget, or None."""
    # A grid gives about 9 faces for every h^2 of surface, and simplification leaves a third of them.
    n = min(64, int(2 * np.sqrt(budget / (3 * solid.surface_area()))))
    while n >= SMALLEST_GRID:
        coarse = _solid(*remesh(*_arrays(solid), n))
        n = 3 * n // 4
        if coarse is None:
            continue
        vertices, faces = _arrays(coarse)
        coarse = _solid(taubin(vertices, faces, TAUBIN_STEPS), faces) or coarse
        coarse = _first_solid(coarse.simplify(SLIVER_TOLERANCE), coarse)
        candidate = coarse if coarse.num_tri() <= budget else _within_budget(coarse, budget)
        if abs(coarse.volume() / solid.volume() - 1) > MOST_VOLUME_LOST:
            return None  # coarser still would lose strokes
        if candidate is not None:
            return candidate
    return None


def _decimate(vertices: np.ndarray, faces: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    points, triangles = fast_simplification.simplify(vertices, faces.astype(np.int32), target_count=budget)[:2]
    return np.asarray(points, dtype=np.float32), np.asarray(triangles, dtype=np.int64)


def _without_crumbs(solid: manifold3d.Manifold, protect: np.ndarray | None) -> tuple[manifold3d.Manifold, int]:
    pieces = solid.decompose()
    volumes = np.array([abs(piece.volume()) for piece in pieces])
    keep = volumes >= SMALL_SHARE * volumes.max()
    if protect is not None and len(protect):
        points = cKDTree(np.asarray(protect, dtype=np.float64))
        for index in np.flatnonzero(~keep):
            vertices, faces = _arrays(pieces[index])
            a, b = vertices[faces[:, 0]], vertices[faces[:, 1]]
            reach = 2 * float(np.linalg.norm(a - b, axis=1).max())
            keep[index] = bool((points.query(vertices)[0] <= reach).any())
    if keep.all():
        return solid, 0
    return manifold3d.Manifold.compose([piece for piece, kept in zip(pieces, keep, strict=True) if kept]), int((~keep).sum())


def _solid(vertices: np.ndarray, faces: np.ndarray) -> manifold3d.Manifold | None:
    """The closed manifold of these arrays, or None if they are not one."""
    if len(faces) == 0 or not np.isfinite(vertices).all() or not is_watertight(faces, len(vertices)):
        return None
    mesh = manifold3d.Mesh(np.ascontiguousarray(vertices, dtype=np.float32), np.ascontiguousarray(faces, dtype=np.uint32))
    solid = manifold3d.Manifold(mesh)
    return solid if solid.status() == manifold3d.Error.NoError and solid.num_tri() > 0 else None


def _first_solid(candidate: manifold3d.Manifold, otherwise: manifold3d.Manifold) -> manifold3d.Manifold:
    good = candidate.status() == manifold3d.Error.NoError and candidate.num_tri() > 0
    return candidate if good and is_watertight(_arrays(candidate)[1], candidate.num_vert()) else otherwise


def _arrays(solid: manifold3d.Manifold) -> tuple[np.ndarray, np.ndarray]:
    mesh = solid.to_mesh()
    return np.asarray(mesh.vert_properties, dtype=np.float32)[:, :3].copy(), np.asarray(mesh.tri_verts, dtype=np.int64)
