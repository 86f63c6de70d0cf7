"""Tangent frames of a textured mesh, and normals written in them.

The frame follows the scheme of M. Mikkelsen (MikkTSpace), which Blender and glTF viewers assume where a file carries no
tangents: per-corner tangents along +u, averaged by angle over the corners that share vertex, UV and handedness; bitangent =
handedness * cross(normal, tangent), so that green points along +v (origin bottom-left): glTF's +Y.
"""

import torch
from torch import Tensor

from backend.render.normals import normalise


def corner_tangents(
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3]
    uv: Tensor,  # [F, 3, 2] per corner
    normals: Tensor,  # [V, 3] unit, those the renderer interpolates
) -> tuple[Tensor, Tensor]:
    """Unit tangents [F, 3, 3] per corner, and handedness [F]: -1 where a face's UVs are mirrored.

    Faces of zero area in UV contribute nothing; a corner without any gets an arbitrary tangent across its normal. Synchronises.
    """
    p, n = vertices[faces], normals[faces]
    along1, along2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    (s1, t1), (s2, t2) = (uv[:, 1] - uv[:, 0]).unbind(-1), (uv[:, 2] - uv[:, 0]).unbind(-1)
    area = s1 * t2 - s2 * t1
    handed = torch.where(area < 0, -1.0, 1.0).to(p)
    # dp/du up to a positive factor, which the normalisation takes away.
    tangent = handed[:, None] * (along1 * t2[:, None] - along2 * t1[:, None])
    tangent = torch.where((area != 0)[:, None], tangent, 0.0)[:, None].expand(-1, 3, -1)
    tangent = normalise(tangent - (tangent * n).sum(-1, keepdim=True) * n, 1e-12)

    to_next = normalise(p.roll(-1, 1) - p, 1e-12)
    to_last = normalise(p.roll(1, 1) - p, 1e-12)
    angle = (to_next * to_last).sum(-1).clamp(-1, 1).acos()

    corner = torch.stack((faces.reshape(-1).double(), *uv.reshape(-1, 2).double().unbind(-1), handed.repeat_interleave(3).double()), -1)
    group = torch.unique(corner, dim=0, return_inverse=True)[1]
    total = p.new_zeros(int(group.max()) + 1 if len(group) else 0, 3)
    total.index_add_(0, group, (tangent * angle[..., None]).reshape(-1, 3))
    result = normalise(total, 1e-12)[group].view(-1, 3, 3)
    empty = result.square().sum(-1, keepdim=True) < 0.5
    axis = torch.nn.functional.one_hot(n.abs().argmin(-1), 3).to(n)
    return torch.where(empty, normalise(torch.linalg.cross(axis, n)), result), handed


def to_tangent_space(
    wanted: Tensor,  # [P, 3] unit normals to be shown, world
    normal: Tensor,  # [P, 3] interpolated normal of the mesh that carries the map
    tangent: Tensor,  # [P, 3] interpolated tangent
    handed: Tensor,  # [P]
) -> Tensor:
    """[P, 3] unit vectors (x along the tangent, y along the bitangent, z along the normal) that a renderer turns back into `wanted`.

    Exact for a renderer that normalises the interpolated normal and tangent and shades with x t + y b + z n. Normals that
    point behind the surface cannot be shown and become flat (0, 0, 1).
    """
    n, t = normalise(normal), normalise(tangent)
    b = handed[:, None] * torch.linalg.cross(n, t)
    # t need not be perpendicular to n between the vertices: the dual basis inverts [t b n] exactly.
    volume = (torch.linalg.cross(t, b) * n).sum(-1)
    volume = torch.where(volume.abs() < 1e-6, 1e-6, volume)[:, None]
    dual = (torch.linalg.cross(b, n), torch.linalg.cross(n, t), torch.linalg.cross(t, b))
    local = torch.stack([((axis / volume) * wanted).sum(-1) for axis in dual], -1)
    flat = torch.tensor([0.0, 0.0, 1.0], dtype=local.dtype, device=local.device)
    return torch.where((local[:, 2:] > 0.05), normalise(local), flat)
