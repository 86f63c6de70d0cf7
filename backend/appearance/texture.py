"""Looking up an existing texture: at the fragments of a mesh that carries it, or at points near that mesh."""

import torch
from torch import Tensor
from torch.nn import functional

from backend.colour import srgb_to_linear
from backend.render.contract import Fragments, Shade


class TextureField:
    """A picture wrapped on a mesh by its UVs.

    Args:
        texture: [S, T, 3] linear, row 0 at the top; uint8 is taken as display values.
        uv: [F, 3, 2] per corner, origin bottom-left; outside 0..1 the picture repeats.
    """

    def __init__(self, texture: Tensor, uv: Tensor) -> None:
        if texture.ndim != 3 or texture.shape[-1] != 3 or uv.ndim != 3 or uv.shape[1:] != (3, 2):
            raise ValueError(f"texture must be [S, T, 3] and uv [F, 3, 2], got {list(texture.shape)} and {list(uv.shape)}")
        self.texture = srgb_to_linear(texture.to(uv.dtype) / 255) if texture.dtype == torch.uint8 else texture
        self.uv = uv

    def shade(self) -> Shade:
        """The texture as a shade function, for rendering the mesh itself; differentiable in the texture and the barycentrics."""

        def shade(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
            return self.at(at.face, at.bary)

        return shade

    def at(self, face: Tensor, bary: Tensor) -> Tensor:
        """[P, 3] linear colours on faces [P] at barycentrics [P, 3]."""
        return lookup(self.texture, (self.uv.index_select(0, face) * bary[:, :, None]).sum(1))


class TexturedSurface:
    """The texture of a mesh as a colour function of points: that of the nearest point of its surface. For kept parts.

    `vertices` [V, 3] and `faces` [F, 3] are those the texture belongs to. No gradient reaches the points. Needs Warp.
    """

    def __init__(self, vertices: Tensor, faces: Tensor, texture: TextureField) -> None:
        from backend.geometry.mesh_queries import MeshQueries

        self.queries = MeshQueries(vertices, faces, vertices.device)
        self.texture = texture

    def __call__(self, points: Tensor) -> Tensor:
        found = self.queries.nearest(points)
        return self.texture.at(found.face, found.bary.to(self.texture.uv.dtype))


def lookup(texture: Tensor, uv: Tensor) -> Tensor:
    """[P, C] bilinear samples of a texture [S, T, C] (row 0 at the top) at uv [P, 2] (origin bottom-left), repeating."""
    wrapped = uv - uv.detach().floor()
    # u = 1 of a chart that ends at the border must not wrap to the other side.
    wrapped = torch.where((uv.detach() == 1) & (wrapped == 0), wrapped + 1, wrapped)
    where = torch.stack((2 * wrapped[:, 0] - 1, 1 - 2 * wrapped[:, 1]), -1)[None, None].to(texture.dtype)
    picture = texture.permute(2, 0, 1)[None]
    sampled = functional.grid_sample(picture, where, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0, :, 0].t().contiguous()
