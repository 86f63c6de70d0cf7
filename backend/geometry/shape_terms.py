"""Regularisers of a surface: scalars, unweighted, zero and harmless on an empty mesh."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from backend.geometry.contract import Mesh
from backend.geometry.edges import edge_table
from backend.geometry.kuhn import KuhnGrid

LOGIT_SCALE = 20.0
"""Signed distance to logit in `sign_agreement`, per domain unit."""


def sign_agreement(sdf: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """Binary cross-entropy of each end of a crossed grid edge against the other's sign: small where the field has few sign changes.

    Removes floaters, later fights detail: decay its weight. `inside`, `outside` [E] vertices of the crossed edges of `sdf` [N].
    """
    if len(inside) == 0:
        return sdf.sum() * 0
    a, b = sdf.index_select(0, inside) * LOGIT_SCALE, sdf.index_select(0, outside) * LOGIT_SCALE
    return (functional.softplus(a) + functional.softplus(-b)).mean()


def laplacian(mesh: Mesh) -> Tensor:
    """Mean squared distance of a vertex from the mean of its neighbours, domain units squared."""
    vertices = mesh.vertices
    if len(mesh.faces) == 0:
        return vertices.sum() * 0
    low, high = _edges(mesh).unbind(1)
    total = torch.zeros_like(vertices).index_add(0, low, vertices[high]).index_add(0, high, vertices[low])
    ones = torch.ones_like(low, dtype=vertices.dtype)
    degree = vertices.new_zeros(len(vertices)).index_add(0, low, ones).index_add(0, high, ones)
    offset = (total / degree.clamp_min(1)[:, None] - vertices) * (degree > 0)[:, None]
    return offset.square().sum(1).mean()


def normal_consistency(mesh: Mesh) -> Tensor:
    """Mean of 1 - cos(angle between the normals of two faces that share an edge), weighted by area; 0 on a plane, 2 on a fold.

    The weight keeps slivers, whose normals are noise, from having unbounded gradients.
    """
    vertices = mesh.vertices
    if len(mesh.faces) == 0:
        return vertices.sum() * 0
    table = mesh.edges or edge_table(mesh.faces, len(vertices))
    shared = (table.opposite[:, 1] >= 0).to(vertices.dtype)
    a, b = vertices[table.ends[:, 0]], vertices[table.ends[:, 1]]
    left, right = vertices[table.opposite[:, 0]], vertices[table.opposite[:, 1].clamp_min(0)]
    first = torch.linalg.cross(b - a, left - a)
    second = torch.linalg.cross(right - a, b - a)
    lengths = (first.square().sum(1) * second.square().sum(1) + 1e-30).sqrt()
    weight = lengths.detach().sqrt() * shared
    return (weight * (1 - (first * second).sum(1) / lengths)).sum() / weight.sum().clamp_min(1e-30)


def eikonal(grid: KuhnGrid, sdf: Tensor, cells: Tensor) -> Tensor:
    """Mean of (|grad sdf| - 1)^2 over `cells` [C] (first vertices), those that the surface passes through."""
    if len(cells) == 0:
        return sdf.sum() * 0
    corners = sdf[cells[:, None] + grid.corner_offset].view(-1, 2, 2, 2)
    gradient = torch.stack([(corners.select(axis, 1) - corners.select(axis, 0)).mean((1, 2)) for axis in (1, 2, 3)], 1) / grid.h
    return ((gradient.square().sum(1) + 1e-12).sqrt() - 1).square().mean()


def _edges(mesh: Mesh) -> Tensor:
    return (mesh.edges or edge_table(mesh.faces, len(mesh.vertices))).ends
