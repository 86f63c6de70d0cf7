"""Meshes as plain arrays, in the product's own axes (+Z up, -Y front), whatever file or wire they came by."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class TriangleMesh:
    """A triangle mesh with optional colours and stroke names.

    `vertices` [V,3] float32; `faces` [F,3] int64, counter-clockwise from outside; `colours` [V,3] float32 linear,
    NaN where nothing says a colour, or None;
    `part` [F] int64 index into `part_names` (named strokes or objects of the file), or None; `uv` [F,3,2] float32 per corner,
    origin bottom-left, or None; `texture` [H,W,3] uint8 display values, row 0 at the top, or None; `scalars` name -> [V] float32, the
    file's own vertex attributes (a keep mask, say).
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None = None
    part: np.ndarray | None = None
    part_names: list[str] = field(default_factory=list)
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    scalars: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class PolygonMesh:
    """A mesh with n-gons and any number of UV maps, as Blender holds it; what `texture` mode promises not to touch.

    `vertices` [V,3] float32; `loop_vertex` [L] int64, vertex of every polygon corner; `polygon_start` [P] int64, first corner of
    every polygon; `uv_maps` name -> [L,2] float32, origin bottom-left; `active_uv` names the one to paint ("" = none: unwrap).
    """

    vertices: np.ndarray
    loop_vertex: np.ndarray
    polygon_start: np.ndarray
    uv_maps: dict[str, np.ndarray] = field(default_factory=dict)
    active_uv: str = ""
