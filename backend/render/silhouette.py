"""How alike two shapes look from outside."""

import numpy as np
import torch
from scipy import ndimage

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


def largest_hole(mesh: Mesh, rasterizer: Rasterizer, *, size_px: int = 128, azimuths: int = 24) -> float:
    """The largest opening that one can look through: its area as a share of the silhouette around it, 0 if there is none.

    From `azimuths` directions, level and 25 degrees from above: pixels of background that no path of background joins to the picture's
    border. A hook that overlaps itself in some view counts as well; the genus tells it from a handle. Synchronises.
    """
    if not len(mesh.faces):
        return 0.0
    vertices = mesh.vertices.detach()
    around = torch.arange(azimuths, dtype=torch.float64).repeat(2) * (360.0 / azimuths)
    elevation = torch.tensor([0.0, 25.0], dtype=torch.float64).repeat_interleave(azimuths)
    cameras = orbit(around, elevation, 35.0, 0.9, radius=vertices.norm(dim=-1).max().item()).to(vertices.device)
    seen = (rasterizer.visibility(clip(cameras, vertices), mesh.faces, (size_px, size_px)).face >= 0).cpu().numpy()
    largest = 0.0
    for picture in seen:
        label, count = ndimage.label(~np.pad(picture, 1))  # the rim joins all that is outside
        areas = np.bincount(label.ravel(), minlength=count + 1)
        areas[[0, label[0, 0]]] = 0
        largest = max(largest, areas.max() / max(1, picture.sum()))
    return float(largest)
