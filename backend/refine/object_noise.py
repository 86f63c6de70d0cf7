"""One noise for the object, seen from every view: white in each picture, alike where two pictures show the same place (arXiv 2501.05445).

Many points with a number of their own are strewn over the object and over a sphere far behind it. A pixel is the sum of the numbers that
fall into it over the root of their count: since no point falls into two pixels, pixels of a view stay independent and of variance one.
"""

import torch
from torch import Tensor

from backend.geometry.contract import Mesh
from backend.geometry.sampling import sample_surface
from backend.refine.seeds import generator
from backend.render.cameras import Cameras, clip

POINTS, POINTS_BEHIND = 2**15, 2**17
FAR = 6.0
"""Radius of the sphere behind, in domain units: outside of every camera's near half."""


class ObjectNoise:
    """`values` [P, C]: the number of each point and channel. What hides behind other parts of the object is not taken out."""

    def __init__(self, mesh: Mesh, channels: int, seed: int, name: str, device: torch.device) -> None:
        self.seed, self.name = seed, name
        on_object = sample_surface(mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy(), POINTS, seed=seed)
        behind = torch.randn(POINTS_BEHIND, 3, generator=generator(seed, f"{name} sphere"))
        behind = FAR * behind / behind.norm(dim=-1, keepdim=True)
        self.points = torch.cat([torch.from_numpy(on_object.points).float(), behind]).to(device)
        self.normals = torch.cat([torch.from_numpy(on_object.normals).float(), -behind / FAR]).to(device)
        self.near = len(on_object.points)
        self.values = torch.randn(len(self.points), channels, generator=generator(seed, name)).to(device)

    def drift(self, share: float, step: int) -> None:
        """eb <- sqrt(1 - share) eb + sqrt(share) N(0, I)."""
        if share > 0.0:
            fresh = torch.randn(self.values.shape, generator=generator(self.seed, f"{self.name} drift", step)).to(self.values.device)
            self.values = (1.0 - share) ** 0.5 * self.values + share**0.5 * fresh

    def seen(self, cameras: Cameras, height: int, width: int, step: int) -> Tensor:
        """[B, C, height, width]; a pixel without any point gets a number of this step's own."""
        views, channels = len(cameras.position), self.values.shape[1]
        clipped = clip(cameras, self.points)  # [B, P, 4]
        depth = clipped[..., 3].clamp_min(1e-6)
        column = ((clipped[..., 0] / depth + 1) / 2 * width).floor()
        row = ((clipped[..., 1] / depth + 1) / 2 * height).floor()
        toward = cameras.position[:, None] - self.points
        inside = (clipped[..., 3] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside &= (toward * self.normals).sum(-1) > 0
        # Points that are not seen go into one pixel more, which is cut off.
        view = torch.arange(views, device=depth.device)[:, None]
        pixel = torch.where(inside, (view * height + row.long()) * width + column.long(), views * height * width).flatten()
        layers = []
        for part in (slice(0, self.near), slice(self.near, None)):
            where = pixel.view(views, -1)[:, part].flatten()
            numbers = self.values[part].repeat(views, 1)
            sums = numbers.new_zeros(views * height * width + 1, channels).index_add_(0, where, numbers)
            counts = numbers.new_zeros(views * height * width + 1, 1).index_add_(0, where, torch.ones_like(numbers[:, :1]))
            layers.append((sums[:-1], counts[:-1]))
        fresh = torch.randn(layers[0][0].shape, generator=generator(self.seed, f"{self.name} gaps", step)).to(depth.device)
        (near, on_near), (far, on_far) = layers
        far = torch.where(on_far > 0, far / on_far.clamp_min(1).sqrt(), fresh)
        noise = torch.where(on_near > 0, near / on_near.clamp_min(1).sqrt(), far)
        return noise.view(views, height, width, channels).permute(0, 3, 1, 2).contiguous()
