"""How alike two shapes look from outside."""

import torch

from backend.geometry.contract import Mesh

from .cameras import Cameras, clip, orbit
from .contract import Rasterizer


def silhouette_cameras(radius: float, views: int = 12) -> Cameras:
    """Fixed cameras spread over the sphere on a spiral, so that no two share a plane by accident."""
    step = torch.arange(views, dtype=torch.float64)
    elevation = torch.rad2deg(torch.asin(1 - (2 * step + 1) / views))
    azimuth = step * 137.50776  # golden angle
    return orbit(azimuth % 360, elevation, 35.0, 0.9, radius=radius)


def silhouette_iou(a: Mesh, b: Mesh, rasterizer: Rasterizer, *, size_px: int = 128, views: int = 12, radius: float | None = None) -> float:
    """Intersection over union of the two meshes' silhouettes, pixels of all views pooled; 1 where both are empty.

    `radius` is that of the sphere the cameras fit, by default around both meshes. Synchronises.
    """
    if radius is None:
        lengths = [mesh.vertices.detach().norm(dim=-1).max().item() for mesh in (a, b) if len(mesh.vertices)]
        radius = max(lengths, default=1.0)
    cameras = silhouette_cameras(radius, views).to(a.vertices.device)
    size = (size_px, size_px)
    seen = [rasterizer.visibility(clip(cameras, mesh.vertices.detach()), mesh.faces, size).face >= 0 for mesh in (a, b)]
    union = (seen[0] | seen[1]).sum().item()
    return (seen[0] & seen[1]).sum().item() / union if union else 1.0
