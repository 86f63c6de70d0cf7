"""A sketch taken apart: welded, split into its strokes, each turned the right way round."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from backend.geometry.fixed_mesh import first_at_position

WELD_SHARE = 1e-6
"""Vertices closer than this share of the bounding box's diagonal are one."""


@dataclass
class Strokes:
    """Connected parts of a sketch.

    `vertices` [V,3] float64 as given; `faces` [F',3] int64, welded, without degenerate faces, facing outwards; `source` [F'] the
    given face each came from; `component` [F'] its stroke, numbered by first face; `turned` [K] bool, strokes that had faces inside
    out; `weld` [V] the first vertex at each vertex's position, which is the one that `faces` use.
    """

    vertices: np.ndarray
    faces: np.ndarray
    source: np.ndarray
    component: np.ndarray
    turned: np.ndarray
    weld: np.ndarray

    @property
    def count(self) -> int:
        """How many strokes."""
        return len(self.turned)


def split_strokes(vertices: np.ndarray, faces: np.ndarray) -> Strokes:
    """Connected components by shared vertices after welding, each consistently oriented with positive volume about its own centroid.

    Open parts are allowed. Faces without area are dropped; a sketch of nothing else gives no strokes.
    """
    vertices = np.asarray(vertices, dtype=np.float64)
    faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0))) if len(vertices) else 0.0
    weld = first_at_position(vertices, WELD_SHARE * diagonal)
    welded = weld[faces]
    a, b, c = welded.T
    area = np.linalg.norm(np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a]), axis=1)
    source = np.flatnonzero((a != b) & (b != c) & (c != a) & (area > 1e-14 * diagonal**2))
    kept = welded[source]
    patch, flip = _patches(kept, len(vertices))
    kept[flip] = kept[flip][:, ::-1]
    inward = _patch_volume(vertices, kept, patch) < 0
    kept[inward[patch]] = kept[inward[patch]][:, ::-1]

    graph = coo_matrix((np.ones(2 * len(kept)), (kept[:, [0, 0]].ravel(), kept[:, [1, 2]].ravel())), shape=(len(vertices),) * 2)
    _, label = connected_components(graph, directed=False)
    component = _by_first_use(label[kept[:, 0]] if len(kept) else np.zeros(0, dtype=np.int64))
    changed = flip ^ inward[patch]
    turned = np.zeros(int(component.max()) + 1 if len(component) else 0, dtype=bool)
    turned[component[changed]] = True
    return Strokes(vertices, kept, source, component, turned, weld)


def _by_first_use(label: np.ndarray) -> np.ndarray:
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number] if len(first) else label


def _patches(faces: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of faces joined over edges of exactly two faces, and which faces [F] must be reversed to agree with the patch's first."""
    count = len(faces)
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    key = np.minimum(start, end) * vertex_count + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, uses = np.unique(key[order], return_index=True, return_counts=True)
    pair = first[uses == 2]
    one, two = order[pair], order[pair + 1]
    left, right = one // 3, two // 3
    disagrees = (start[one] < end[one]) == (start[two] < end[two])
    neighbours = coo_matrix((np.ones(len(left)), (left, right)), shape=(count, count)).tocsr()
    _, patch = connected_components(neighbours, directed=False)
    flip = np.zeros(count, dtype=bool)
    if disagrees.any():
        against = csr_matrix((np.ones(int(disagrees.sum())), (left[disagrees], right[disagrees])), shape=(count, count))
        against = ((against + against.T) > 0).tocsr()
        for label in np.unique(patch[left[disagrees]]):
            _spread(neighbours, against, int(np.flatnonzero(patch == label)[0]), flip)
    return patch, flip


def _spread(neighbours: csr_matrix, against: csr_matrix, start: int, flip: np.ndarray) -> None:
    """Carry the orientation of face `start` to its whole patch, into `flip`."""
    order, before = breadth_first_order(neighbours, start, directed=False)
    reverses = np.asarray(against[order[1:], before[order[1:]]]).ravel() > 0
    for face, parent, opposite in zip(order[1:], before[order[1:]], reverses, strict=True):
        flip[face] = flip[parent] ^ opposite


def _patch_volume(vertices: np.ndarray, faces: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Signed volume of each patch about the mean of its corners, which for an open one is that of the cone to that point."""
    count = int(patch.max()) + 1 if len(patch) else 0
    corners = vertices[faces]
    uses = np.bincount(patch, minlength=count)
    centre = np.stack([np.bincount(patch, corners[:, :, axis].mean(1), count) for axis in range(3)], 1) / np.maximum(uses, 1)[:, None]
    a, b, c = (corners - centre[patch][:, None]).transpose(1, 0, 2)
    return np.bincount(patch, np.einsum("fi,fi->f", a, np.cross(b, c)) / 6, count)
