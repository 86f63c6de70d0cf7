"""How well a result stays with its sketch: what is still there, what grew, what broke."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from backend.geometry.contract import Mesh
from backend.geometry.floaters import connectivity
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march
from backend.geometry.mesh_queries import MeshQueries
from backend.geometry.sampling import at_points, sample_surface
from backend.geometry.shape_terms import normal_consistency
from backend.geometry.sketch_sdf import SketchField

SAMPLES = 10_000
SAMPLES_PER_STROKE = 150
MISSING_SHARE = 0.25
"""A stroke is broken where less than this share of its middle, within one radius, is inside the result."""
MIDDLE_POINTS = 600
NOISE_SHARE = 0.1
"""Of a stroke's middle: less than this in a second piece is not a break."""


@dataclass
class Fidelity:
    """Shares are 0..1. Strokes are numbered as `SketchField.components`.

    `recall` share of the sketch's visible surface within `tolerance` of the result; `stroke_recall` the same per stroke (1 for one
    that lies hidden in others); `growth` share of the result's surface farther than `tolerance` outside the sketch;
    `sketch_pieces`, `result_pieces` closed pieces; `severed` strokes of which a section is gone, or whose middle lies in several
    pieces; `parted` strokes that touched others of the sketch and now are in another piece, or gone; `roughness`,
    `sketch_roughness` mean of 1 - cos between neighbouring faces; `moved` share of the result farther than h/2 from the start surface.
    """

    recall: float
    stroke_recall: list[float]
    growth: float
    sketch_pieces: int
    result_pieces: int
    severed: list[int]
    parted: list[int]
    roughness: float
    sketch_roughness: float
    moved: float


def tolerance(radius: np.ndarray, h: float, slack: np.ndarray | float) -> np.ndarray:
    """Distance that counts as staying: 1.5 cells or a third of the local stroke radius, whichever is smaller, plus slack x radius."""
    return np.minimum(1.5 * h, radius / 3) + slack * radius


class FidelityMeter:
    """Compares results with one sketch; what depends on the sketch alone is prepared once.

    `slack` 0..1, one number or one per given sketch vertex [V]. Samples are fixed by `seed`.
    """

    def __init__(self, sketch: SketchField, grid: KuhnGrid, *, slack: float | np.ndarray = 0.0, seed: int = 0) -> None:
        self._grid, self._sketch, self._seed = grid, sketch, seed
        strokes = sketch.strokes
        vertex_slack = np.broadcast_to(np.asarray(slack, dtype=np.float64), (len(strokes.vertices),))
        radius_at = sketch.point_radius.astype(np.float64)
        points, middle, stroke, middle_stroke, radius, middle_radius, slack_at = ([] for _ in range(7))
        a, b, c = strokes.vertices[strokes.faces].transpose(1, 0, 2)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        order = np.argsort(strokes.component, kind="stable")
        for k, member in enumerate(np.split(order, np.cumsum(np.bincount(strokes.component))[:-1])):
            faces = strokes.faces[member]
            wanted = max(SAMPLES_PER_STROKE, int(SAMPLES * area[member].sum() / area.sum()))
            found = sample_surface(strokes.vertices, faces, wanted, seed + k)
            corner = faces[found.face]
            own = (radius_at[corner] * found.bary).sum(1)
            sides = (1.0, -1.0) if sketch.flat[k] else (1.0,)
            for side in sides:
                points.append(found.points + side * sketch.swell[k] * found.normals)
            inwards = 0.0 if sketch.flat[k] else own - sketch.swell[k]
            # Few: the middle of a blob is one place, as far as can be from everything that is searched.
            few = slice(None, None, -(-len(own) // MIDDLE_POINTS))
            middle.append((found.points - np.atleast_1d(inwards)[:, None] * found.normals)[few])
            repeats = len(sides)
            stroke.append(np.full(repeats * len(own), k))
            radius.append(np.tile(own, repeats))
            slack_at.append(np.tile((vertex_slack[corner] * found.bary).sum(1), repeats))
            middle_stroke.append(np.full(len(own[few]), k))
            middle_radius.append(own[few])
        surface, centre = np.concatenate(points), np.concatenate(middle)
        radii, centre_radii = np.concatenate(radius), np.concatenate(middle_radius)

        # What lies inside another stroke nobody sees; a middle that is not inside was taken through a corner.
        visible = self._sdf_at(surface) > -np.minimum(0.5 * grid.h, radii / 3)
        self._points, self._stroke = surface[visible], np.concatenate(stroke)[visible]
        self._tolerance = tolerance(radii, grid.h, np.concatenate(slack_at))[visible]
        deep = self._sdf_at(centre) < -0.3 * np.minimum(centre_radii, 0.5)
        self._middle, self._middle_stroke, self._middle_radius = centre[deep], np.concatenate(middle_stroke)[deep], centre_radii[deep]
        self._slack = float(vertex_slack.mean())

        start = march(grid, sketch.sdf, grid.positions.to(sketch.sdf))
        self._start = Mesh(start.vertices.detach(), start.faces)
        self._start_queries = MeshQueries(start.vertices, start.faces, grid.device) if len(start.faces) else None
        self.sketch_roughness = float(normal_consistency(self._start))
        label, self.sketch_pieces = ndimage.label((sketch.sdf < 0).cpu().numpy().reshape(grid.shape), connectivity())
        corners = grid.nearest_corners(torch.from_numpy(self._middle).to(grid.device, torch.float32)).cpu().numpy()
        self._piece_of_stroke = _majority(label.ravel()[corners].max(1), self._middle_stroke, strokes.count)

    def measure(self, mesh: Mesh) -> Fidelity:
        """The report for one result, in domain units. An empty result has lost everything."""
        count = self._sketch.strokes.count
        vertices, faces = mesh.vertices.detach(), mesh.faces
        if len(faces) == 0:
            everyone = list(range(count))
            return Fidelity(
                0.0, [0.0] * count, 0.0, self.sketch_pieces, 0, everyone, everyone, 0.0, self.sketch_roughness, 0.0
            )
        queries = MeshQueries(vertices, faces, self._grid.device, winding=True)
        near = queries.nearest(torch.from_numpy(self._points)).distance.cpu().numpy() <= self._tolerance
        found = np.bincount(self._stroke, near, count)
        asked = np.bincount(self._stroke, minlength=count)
        result = sample_surface(vertices.cpu().numpy(), faces.cpu().numpy(), SAMPLES, self._seed).points
        cells = torch.from_numpy(result).to(self._grid.device, torch.float32)
        local = at_points(self._grid, self._sketch.radius, cells).cpu().numpy()
        grown = self._sdf_at(result) > tolerance(local, self._grid.h, self._slack)
        moved = np.zeros(1)
        if self._start_queries is not None:
            moved = self._start_queries.nearest(cells).distance.cpu().numpy() > self._grid.h / 2

        piece, solid = _pieces(vertices.cpu().numpy(), faces.cpu().numpy())
        middle = torch.from_numpy(self._middle)
        inside = queries.inside(middle).cpu().numpy()
        middle_piece = np.where(inside, piece[queries.nearest(middle).face.cpu().numpy()], -1)
        return Fidelity(
            recall=float(near.mean()) if len(near) else 1.0,
            stroke_recall=[float(f / a) if a else 1.0 for f, a in zip(found, asked, strict=True)],
            growth=float(grown.mean()),
            sketch_pieces=self.sketch_pieces,
            result_pieces=solid,
            severed=[k for k in range(count) if self._is_severed(k, inside, middle_piece)],
            parted=self._parted(middle_piece),
            roughness=float(normal_consistency(Mesh(vertices, faces))),
            sketch_roughness=self.sketch_roughness,
            moved=float(moved.mean()),
        )

    def _sdf_at(self, points: np.ndarray) -> np.ndarray:
        cells = torch.from_numpy(points).to(self._grid.device, torch.float32)
        return at_points(self._grid, self._sketch.sdf, cells).cpu().numpy()

    def _is_severed(self, stroke: int, inside: np.ndarray, piece: np.ndarray) -> bool:
        own = self._middle_stroke == stroke
        if not own.any():
            return False
        points, within, radius = self._middle[own], inside[own], self._middle_radius[own]
        around = cKDTree(points).query_ball_point(points, np.maximum(radius, self._grid.h / 2))
        if min(within[n].mean() for n in around) < MISSING_SHARE:
            return True
        pieces = np.bincount(piece[own][within & (piece[own] >= 0)])
        return len(pieces) > 0 and int((pieces >= NOISE_SHARE * pieces.sum()).sum()) > 1

    def _parted(self, middle_piece: np.ndarray) -> list[int]:
        """Strokes outside the piece in which most of the middle of their sketch piece now lies."""
        now = _majority(middle_piece, self._middle_stroke, self._sketch.strokes.count)
        parted = []
        for start in np.unique(self._piece_of_stroke[self._piece_of_stroke > 0]):
            group = np.flatnonzero(self._piece_of_stroke == start)
            if len(group) < 2:
                continue
            inside = middle_piece[np.isin(self._middle_stroke, group) & (middle_piece >= 0)]
            main = np.bincount(inside).argmax() if len(inside) else -2
            parted += [int(k) for k in group if now[k] != main]
        return sorted(parted)


def measure_fidelity(sketch: SketchField, grid: KuhnGrid, mesh: Mesh, *, slack: float | np.ndarray = 0.0) -> Fidelity:
    """One report; use `FidelityMeter` for several results of one sketch."""
    return FidelityMeter(sketch, grid, slack=slack).measure(mesh)


def _majority(label: np.ndarray, stroke: np.ndarray, count: int) -> np.ndarray:
    """The most frequent label [K] >= 0 among each stroke's points, -1 where it has none."""
    result = np.full(count, -1)
    for k in range(count):
        own = label[(stroke == k) & (label >= 0)]
        if len(own):
            result[k] = np.bincount(own).argmax()
    return result


def _pieces(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Piece of every face [F] (-1 for the wall of a hollow), and how many pieces of positive volume there are."""
    graph = coo_matrix((np.ones(2 * len(faces)), (faces[:, [0, 0]].ravel(), faces[:, [1, 2]].ravel())), shape=(len(vertices),) * 2)
    _, label = connected_components(graph, directed=False)
    _, piece = np.unique(label[faces[:, 0]], return_inverse=True)
    a, b, c = vertices[faces].astype(np.float64).transpose(1, 0, 2)
    volume = np.bincount(piece, np.einsum("fi,fi->f", a, np.cross(b, c)))
    return np.where(volume[piece] > 0, piece, -1), int((volume > 0).sum())
