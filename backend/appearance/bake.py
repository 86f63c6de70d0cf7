"""From a colour field to textures: base colour, and the normals that decimation took away."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from backend.colour import linear_to_srgb
from backend.render.contract import Fragments, Rasterizer
from backend.render.fragments import fragments_at, interpolate
from backend.render.normals import vertex_normals
from backend.render.rasterizer import choose_rasterizer

from .tangents import corner_tangents, to_tangent_space

POINTS_PER_CHUNK = 1 << 17


class BakedMaps(NamedTuple):
    """Square textures, row 0 at the top (v = 1)."""

    base_colour: np.ndarray  # [S, S, 3] uint8, display values
    coverage: np.ndarray  # [S, S] bool: texels that lie on a chart; the others are filled from their nearest one
    normal: np.ndarray | None  # [S, S, 3] uint8, tangent space of `tangents`, glTF's +Y; None without a finer surface


@torch.no_grad()
def bake(
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3] int64, welded: corners that meet share their vertex
    uv: Tensor,  # [F, 3, 2] per corner, origin bottom-left; whole tiles apart is the same place
    field: Callable[[Tensor], Tensor],  # [P, 3] domain units -> [P, 3] linear
    size_px: int,
    *,
    project_to: tuple[Tensor, Tensor] | None = None,  # vertices, faces of the surface before decimation
    normals: Tensor | None = None,  # [V, 3] those a viewer interpolates; by default `vertex_normals`
    supersample: int = 2,
    rasterizer: Rasterizer | None = None,
) -> BakedMaps:
    """Textures of a colour field on an unwrapped mesh.

    With `project_to`, every texel first moves to the nearest point of that surface: colours are read there, and its normals
    become a tangent-space normal map. Texels no face covers take the value of the nearest covered one, so that bilinear
    lookup at chart borders meets nothing foreign. Baked `supersample` times larger and averaged, colours in linear light.
    A mesh without faces gives black textures.
    """
    device, side = vertices.device, size_px * supersample
    chart = _Chart(uv, side, rasterizer or choose_rasterizer("auto", device))
    count = len(chart.pixel)
    colours = torch.zeros(count, 3, device=device)
    shown = torch.zeros(count, 3, device=device) if project_to is not None else None
    if count:
        low_normals = normals if normals is not None else vertex_normals(vertices, faces)
        finer = _FineSurface(*project_to) if project_to is not None else None
        tangents = corner_tangents(vertices, faces, uv, low_normals) if finer is not None else None
        for start in range(0, count, POINTS_PER_CHUNK):
            part = slice(start, start + POINTS_PER_CHUNK)
            at = chart.fragments(part)
            points = interpolate(vertices, faces, at)
            if finer is not None and shown is not None and tangents is not None:
                points, wanted = finer.nearest(points)
                tangent = (tangents[0][at.face] * at.bary[..., None]).sum(1)
                shown[part] = to_tangent_space(wanted, interpolate(low_normals, faces, at), tangent, tangents[1][at.face]).float()
            colours[part] = field(points).float()

    covered = np.zeros(side * side, bool)
    covered[chart.pixel.cpu().numpy()] = True
    nearest = _nearest_covered(covered.reshape(side, side))
    coverage = covered.reshape(size_px, supersample, size_px, supersample).any((1, 3))
    base_colour = _bytes(linear_to_srgb(_picture(colours, chart.pixel, side, nearest, supersample)))
    normal = None
    if shown is not None:
        mean = _picture(shown, chart.pixel, side, nearest, supersample)
        if not count:
            mean[..., 2] = 1.0
        normal = _bytes(mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-6) * 0.5 + 0.5)
    return BakedMaps(base_colour, coverage, normal)


class _Chart:
    """Which face lies on which texel."""

    def __init__(self, uv: Tensor, side: int, rasterizer: Rasterizer) -> None:
        # Whole tiles away from 0..1 means the same place, since lookups repeat.
        u, v = (uv - uv.mean(1, keepdim=True).floor()).reshape(-1, 2).unbind(-1)
        self.clip = torch.stack((2 * u - 1, 1 - 2 * v, torch.zeros_like(u), torch.ones_like(u)), -1)[None]
        self.faces = torch.arange(len(u), device=uv.device).view(-1, 3)
        self.size = (side, side)
        seen = rasterizer.visibility(self.clip, self.faces, self.size).face.view(-1)
        self.pixel = (seen >= 0).nonzero()[:, 0]
        self.face = seen[self.pixel]

    def fragments(self, part: slice) -> Fragments:
        return fragments_at(self.clip, self.faces, self.pixel[part], self.face[part], self.size)


class _FineSurface:
    """The surface before decimation: nearest points and their smooth normals."""

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        from backend.geometry.mesh_queries import MeshQueries

        self.faces, self.queries = faces, MeshQueries(vertices, faces, vertices.device)
        self.attributes = torch.cat((vertices, vertex_normals(vertices, faces)), -1)

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        found = self.queries.nearest(points)
        at = Fragments(found.face, found.face, found.bary.to(self.attributes.dtype), found.distance)
        position, normal = interpolate(self.attributes, self.faces, at).split(3, -1)
        return position, torch.nn.functional.normalize(normal, dim=-1)


def _nearest_covered(covered: np.ndarray) -> np.ndarray | None:
    """[S*S] index of the nearest covered texel; None where nothing is covered."""
    if not covered.any():
        return None
    rows, columns = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return (rows * covered.shape[1] + columns).reshape(-1)


def _picture(values: Tensor, pixel: Tensor, side: int, nearest: np.ndarray | None, supersample: int) -> np.ndarray:
    """[S, S, C] texel values, gaps filled, averaged over blocks."""
    flat = np.zeros((side * side, values.shape[-1]), np.float32)
    flat[pixel.cpu().numpy()] = values.cpu().numpy()
    if nearest is not None:
        flat = flat[nearest]
    small = side // supersample
    return flat.reshape(small, supersample, small, supersample, -1).mean((1, 3))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
