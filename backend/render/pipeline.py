"""The differentiable pipeline shared by every visibility backend: fragments -> colours -> composite -> antialias.

`prepare` does everything that depends on geometry and cameras, `shade_and_blend` everything that depends on colours: a run
whose geometry stands still keeps one `Raster` per view (`detach`) and puts batches together with `stack`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from backend.geometry.contract import EdgeTable, Mesh
from backend.geometry.edges import edge_table

from .antialias import Crossings, blend, crossings
from .contract import Fragments, Shade
from .fragments import fragments, interpolate
from .normals import normalise, vertex_normals
from .screen import NO_KEY, discrete_screen


class Raster(NamedTuple):
    """Pictures before they have colours: what is seen where, and how silhouettes blend. Differentiable in the mesh."""

    fragments: Fragments
    points: Tensor  # [P, 3] domain units
    normals: Tensor  # [P, 3] unit
    pairs: Crossings
    views: int
    size: tuple[int, int]  # (H, W)


class DiscreteKernels(Protocol):
    """The two integer questions a visibility backend answers; `torch_visibility` states both."""

    def nearest_faces(self, screen: Tensor, faces: Tensor, size: tuple[int, int], cull: bool) -> Tensor: ...

    def silhouette_crossings(self, screen: Tensor, edges: EdgeTable, depth: Tensor) -> Tensor: ...


def faces_of(keys: Tensor) -> Tensor:
    """[B, H, W] int64 face per pixel from nearest-wins keys, -1 = background."""
    return torch.where(keys == NO_KEY, -1, keys & 0xFFFFFFFF)


def prepare(
    kernels: DiscreteKernels,
    mesh: Mesh,
    clip: Tensor,  # [B, V, 4]
    size: tuple[int, int],
    *,
    cull: bool = False,
    antialias: bool = True,
) -> Raster:
    """Visibility, fragments and silhouette pairs of one mesh in B views.

    Two synchronisations on CUDA with the Warp kernels (the numbers of covered pixels and of pairs), one without
    antialiasing; the torch twin has more. An edge table is built where the mesh carries none (one more, from a sort).

    Raises:
        ValueError: ranks or last dimensions do not fit.
    """
    _check(mesh, clip)
    views, (height, width) = len(clip), size
    screen = discrete_screen(clip, size)
    seen = faces_of(kernels.nearest_faces(screen, mesh.faces, size, cull))
    found = fragments(clip, mesh.faces, seen)
    attributes = torch.cat((mesh.vertices, vertex_normals(mesh.vertices, mesh.faces)), -1)
    points, normals = interpolate(attributes, mesh.faces, found).split(3, -1)
    if antialias:
        edges = mesh.edges if mesh.edges is not None else edge_table(mesh.faces, len(mesh.vertices))
        depth = torch.full((views * height * width,), torch.inf, device=clip.device)
        depth = depth.index_copy_(0, found.pixel, found.depth.float()).view(views, height, width)
        pairs = crossings(kernels.silhouette_crossings(screen, edges, depth), clip, edges)
    else:
        nothing = torch.empty(0, dtype=torch.int64, device=clip.device)
        pairs = Crossings(nothing, nothing, clip.new_empty(0))
    return Raster(found, points, normalise(normals), pairs, views, size)


def shade_and_blend(raster: Raster, shade: Shade, background: Tensor) -> Tensor:
    """[B, H, W, C+1] linear pictures, last channel coverage. No synchronisation.

    Args:
        background: [B, C] or [B, H, W, C], linear; its C must be that of the colours.

    Raises:
        ValueError: the background's shape does not fit.
    """
    (height, width), views = raster.size, raster.views
    if background.ndim == 2:
        background = background[:, None, None, :].expand(-1, height, width, -1)
    if background.ndim != 4 or background.shape[:3] != (views, height, width):
        raise ValueError(f"background must be [{views}, C] or [{views}, {height}, {width}, C], got {list(background.shape)}")
    colours = shade(raster.points, raster.normals, raster.fragments)
    if colours.shape != (len(raster.points), background.shape[-1]):
        raise ValueError(f"shade gave {list(colours.shape)}, expected [{len(raster.points)}, {background.shape[-1]}] as the background")
    base = torch.nn.functional.pad(background.reshape(-1, background.shape[-1]).to(colours.dtype), (0, 1))
    image = base.index_copy(0, raster.fragments.pixel, torch.nn.functional.pad(colours, (0, 1), value=1.0))
    return blend(image, raster.pairs).view(views, height, width, -1)


def detach(raster: Raster) -> Raster:
    """The same raster without its graph, to be kept while the geometry stands still."""
    found, pairs = raster.fragments, raster.pairs
    return raster._replace(
        fragments=found._replace(bary=found.bary.detach()),
        points=raster.points.detach(),
        normals=raster.normals.detach(),
        pairs=pairs._replace(weight=pairs.weight.detach()),
    )


def stack(rasters: Sequence[Raster]) -> Raster:
    """Rasters of one mesh and one size, put together along the views, in the given order. No synchronisation.

    Raises:
        ValueError: none given, or their sizes differ.
    """
    if not rasters or any(raster.size != rasters[0].size for raster in rasters):
        raise ValueError("stack needs at least one raster, all of one size")
    height, width = rasters[0].size
    starts, views = [], 0
    for raster in rasters:
        starts.append(views * height * width)
        views += raster.views
    together = list(zip(rasters, starts, strict=True))
    found = Fragments(
        torch.cat([raster.fragments.pixel + start for raster, start in together]),
        torch.cat([raster.fragments.face for raster in rasters]),
        torch.cat([raster.fragments.bary for raster in rasters]),
        torch.cat([raster.fragments.depth for raster in rasters]),
    )
    pairs = Crossings(
        torch.cat([raster.pairs.inside + start for raster, start in together]),
        torch.cat([raster.pairs.outside + start for raster, start in together]),
        torch.cat([raster.pairs.weight for raster in rasters]),
    )
    points, normals = torch.cat([raster.points for raster in rasters]), torch.cat([raster.normals for raster in rasters])
    return Raster(found, points, normals, pairs, views, (height, width))


def _check(mesh: Mesh, clip: Tensor) -> None:
    vertices, faces = mesh.vertices, mesh.faces
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(
            f"mesh needs vertices [V, 3] and int64 faces [F, 3], got {list(vertices.shape)} and {faces.dtype} {list(faces.shape)}"
        )
    if clip.ndim != 3 or clip.shape[1:] != (len(vertices), 4):
        raise ValueError(f"clip must be [B, {len(vertices)}, 4], got {list(clip.shape)}")
