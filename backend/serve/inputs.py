"""A job's arrays from the store's files to what the engine takes, through the same checks as files."""

from pathlib import Path

import numpy as np

from backend.assets.check import check_face_count, check_finite, check_mesh
from backend.assets.mesh import PolygonMesh, TriangleMesh
from backend.assets.read_picture import check_size
from backend.assets.triangulate import triangulate
from backend.refine.inputs import Inputs
from backend.serve.orders import Run
from protocol.errors import ResourceError, UserError
from protocol.framing import as_array

UV_MAP = "UVMap"
MOST_CORNERS = 2_000
"""Of one polygon: cutting it into triangles takes the square of that, or worse."""

SKETCH, MESH = "The sketch", "The mesh"


def read_inputs(run: Run) -> Inputs:
    """The arrays at `run.paths`, described by `run.inputs`: those that `protocol.messages.Submit` lists for the job's mode.

    Errors: UserError for arrays that are missing, not of their mode, not finite, out of range or too many; ResourceError where the
    store's files are gone; BadMessage where a file is not as long as its description says.
    """
    mode = run.job.mode
    if mode in ("prompt", "illusion"):
        return Inputs()
    arrays = _Arrays(run)
    if mode == "image":
        return arrays.picture()
    return arrays.polygons() if mode == "texture" else arrays.sketch()


class _Arrays:
    def __init__(self, run: Run) -> None:
        self.files = {spec.name: (spec, Path(path)) for spec, path in zip(run.inputs, run.paths, strict=True)}

    def sketch(self) -> Inputs:
        check_face_count(self.length("faces"), SKETCH)
        vertices, faces = self.needed("vertices", "float32", (3,)), self.needed("faces", "int32", (3,)).astype(np.int64)
        check_mesh(vertices, faces, SKETCH)
        colours, keep = self.take("colours", "float32", (3,)), self.take("keep", "float32", ())
        for name, values in (("colours", colours), ("keep", keep)):
            if values is not None and len(values) != len(vertices):
                raise UserError(f"'{name}' has {len(values)} entries for {len(vertices)} vertices.", "Send one for each vertex.")
        if keep is not None:
            check_finite(keep[:, None], "The keep mask")
        return Inputs(
            sketch=TriangleMesh(vertices, faces, colours=None if colours is None else colours.clip(0, 1)),
            keep=None if keep is None else keep.clip(0, 1),
        )

    def polygons(self) -> Inputs:
        check_face_count(self.length("polygon_start"), MESH)
        vertices = self.needed("vertices", "float32", (3,))
        corner_vertex = self.needed("corner_vertex", "int32", ()).astype(np.int64)
        polygon_start = self.needed("polygon_start", "int32", ()).astype(np.int64)
        corners = np.diff(np.append(polygon_start, len(corner_vertex)))
        if not len(polygon_start) or polygon_start[0] != 0 or corners.min() < 3:
            raise UserError(f"{MESH} has polygons that do not follow one another with three corners at least.", "Export it again.")
        if corners.max() > MOST_CORNERS:
            raise UserError(f"{MESH} has a polygon of {corners.max():,} corners, more than {MOST_CORNERS:,}.", "Triangulate it.")
        check_face_count(len(corner_vertex) - 2 * len(polygon_start), MESH)
        low, high = int(corner_vertex.min()), int(corner_vertex.max())
        if low < 0 or high >= len(vertices):
            wrong = low if low < 0 else high
            raise UserError(f"{MESH} has a corner at vertex {wrong}, but it has {len(vertices)} vertices.", "Export it again.")
        check_finite(vertices, MESH)
        uv = self.take("uv", "float32", (2,))
        if uv is not None and (len(uv) != len(corner_vertex) or not np.isfinite(uv).all()):
            raise UserError(
                f"The UV map of {MESH.lower()} should have a place for each of its {len(corner_vertex)} corners.", "Unwrap it again."
            )
        maps, active = ({}, "") if uv is None else ({UV_MAP: uv}, UV_MAP)
        polygons = PolygonMesh(vertices, corner_vertex, polygon_start, maps, active)
        check_mesh(vertices, triangulate(polygons).faces, MESH)
        return Inputs(polygons=polygons)

    def picture(self) -> Inputs:
        pixels = self.take("picture", "uint8", (0, 3))
        if pixels is not None:
            check_size(pixels.shape[1], pixels.shape[0], "The picture")
        return Inputs(picture=pixels)

    def length(self, name: str) -> int:
        """How many entries an array is described with, before it is read."""
        return self.files[name][0].shape[0] if name in self.files else 0

    def needed(self, name: str, dtype: str, entry: tuple[int, ...]) -> np.ndarray:
        array = self.take(name, dtype, entry)
        if array is None:
            raise UserError(f"The job lacks its array '{name}'.", "Send it with the job.")
        return array

    def take(self, name: str, dtype: str, entry: tuple[int, ...]) -> np.ndarray | None:
        """A writable copy of the array [n, *entry] (0: any length), or None where there is none."""
        if name not in self.files:
            return None
        spec, path = self.files[name]
        fits = len(spec.shape) == 1 + len(entry) and all(there in (given, 0) for given, there in zip(spec.shape[1:], entry, strict=True))
        if spec.dtype != dtype or not fits:
            raise UserError(
                f"The array '{name}' is {spec.dtype} {list(spec.shape)}, which its mode does not take.", "Send it as documented."
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ResourceError(f"The server has lost the array '{name}': {error.strerror}.", "Submit the job again.") from error
        return as_array(spec, data).astype(dtype)
