"""Contact sheets: a mesh from eight fixed views as display pictures, and rows of pictures in one labelled image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from backend.colour import linear_to_srgb, srgb_to_linear
from backend.geometry.contract import Mesh

from .cameras import Cameras, clip, orbit
from .contract import Rasterizer
from .shading import ColourFunction, albedo, camera_lights, lambert, textureless

# Six around, one from above, one from below; the first is the front.
SHEET_AZIMUTH_DEG = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 30.0, 30.0)
SHEET_ELEVATION_DEG = (15.0, 15.0, 15.0, 15.0, 15.0, 15.0, 70.0, -30.0)
LIGHT_OFFSET = (1.6, 2.0, 3.2)  # right, up, towards the viewer
AMBIENT, KEY = 0.35, 0.7


def sheet_cameras(radius: float, device: torch.device | str = "cpu") -> Cameras:
    """The eight fixed views around a sphere of `radius`."""
    return orbit(SHEET_AZIMUTH_DEG, SHEET_ELEVATION_DEG, 35.0, 0.9, radius=radius, device=device)


@torch.no_grad()
def render_sheet(
    mesh: Mesh,
    colour: ColourFunction | None,
    rasterizer: Rasterizer,
    *,
    cameras: Cameras | None = None,
    size_px: int = 128,
    background: float | Sequence[float] = 1.0,
    lit: bool = True,
    supersample: int = 2,
) -> np.ndarray:
    """[N, size_px, size_px, 3] uint8 display pictures, row 0 at the top; without `colour`, lit grey clay.

    Rendered larger and averaged in linear light.

    Args:
        cameras: by default the eight of `sheet_cameras`, fitted around the mesh.
        background: display value, or three.
        lit: False shows the colours themselves.
    """
    vertices = mesh.vertices.detach()
    if cameras is None:
        radius = vertices.norm(dim=-1).max().item() if len(vertices) else 1.0
        cameras = sheet_cameras(radius)
    cameras = cameras.to(vertices.device)
    views, side = len(cameras.position), size_px * supersample
    size = (side, side)
    offset = torch.tensor(LIGHT_OFFSET, device=vertices.device).expand(views, 3)
    one = torch.ones(views, device=vertices.device)
    lights = camera_lights(AMBIENT * one, KEY * one, offset, cameras.camera_to_world)
    if colour is None:
        shade = textureless(lights, size)
    else:
        shade = lambert(colour, lights, size) if lit else albedo(colour)
    behind = srgb_to_linear(torch.as_tensor(background, dtype=vertices.dtype, device=vertices.device).expand(3))
    pictures = rasterizer.render(mesh._replace(vertices=vertices), clip(cameras, vertices), size, shade, behind.expand(views, 3))
    return display_pictures(pictures[..., :3], supersample)


def display_pictures(linear: Tensor, supersample: int = 1) -> np.ndarray:
    """[N, H, W, 3] linear -> uint8 display values, averaged over blocks of `supersample` squared pixels first."""
    n, height, width, channels = linear.shape
    blocks = linear.reshape(n, height // supersample, supersample, width // supersample, supersample, channels)
    return (linear_to_srgb(blocks.mean((2, 4))) * 255).round().to(torch.uint8).cpu().numpy()


GAP_PX, TITLE_PX = 4, 14


def tile(rows: Sequence[tuple[str, np.ndarray]], *, gap_px: int = GAP_PX, title_px: int = TITLE_PX) -> np.ndarray:
    """One image [H, W, 3] uint8 from rows of pictures [N, h, w, 3], each under its title; rows may differ in number and size.

    Raises:
        ValueError: there is no row.
    """
    from PIL import Image, ImageDraw

    if not rows:
        raise ValueError("a sheet needs at least one row")
    width = max(len(pictures) * (pictures.shape[2] + gap_px) for _, pictures in rows) + gap_px
    height = sum(pictures.shape[1] + title_px + 2 * gap_px for _, pictures in rows)
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    top = gap_px
    for title, pictures in rows:
        draw.text((gap_px, top), title, fill=(40, 40, 40))
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (gap_px + column * (picture.shape[1] + gap_px), top + title_px))
        top += pictures.shape[1] + title_px + 2 * gap_px
    return np.asarray(sheet)


def cut(sheet: np.ndarray, row: int, column: int, side_px: int) -> np.ndarray:
    """[S, S, 3]: the picture in that place of a sheet by `tile` whose pictures are all square and `side_px` wide."""
    top = GAP_PX + row * (side_px + TITLE_PX + 2 * GAP_PX) + TITLE_PX
    left = GAP_PX + column * (side_px + GAP_PX)
    return sheet[top : top + side_px, left : left + side_px]
