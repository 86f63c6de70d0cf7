"""Whether a UV map gives every place of a surface a texel of its own."""

from dataclasses import dataclass

import numpy as np

CHUNK = 4_000_000


@dataclass
class UvLayout:
    """Shares 0..1: `overlap` of the covered texels that belong to several faces, `mirrored` of the UV area that is turned over,
    `outside` of the faces that reach beyond 0..1, `flat` of the faces without UV area; `covered` of the square."""

    overlap: float
    mirrored: float
    outside: float
    flat: float
    covered: float

    def notes(self) -> list[str]:
        """Sentences for the artist; none where the map is fit to be painted."""
        notes = []
        if self.overlap > 0.01:
            notes.append(f"{self.overlap:.0%} of the texture is shared by several places of the surface; they will look alike.")
        if 0.01 < self.mirrored < 0.99:
            notes.append(f"{self.mirrored:.0%} of the UV area is mirrored; writing on it would be reversed.")
        if self.outside > 0.01:
            notes.append(f"{self.outside:.0%} of the faces have UVs outside the square; there the texture repeats.")
        if self.flat > 0.01:
            notes.append(f"{self.flat:.0%} of the faces have no area in the UV map and show a single colour.")
        return notes


def uv_layout(uv: np.ndarray, size_px: int = 512) -> UvLayout:
    """The layout of corner coordinates `uv` [F,3,2], judged on `size_px`^2 texel centres; beyond 0..1 the texture repeats.

    A texel counts for a face whose inside holds its centre, so faces that share an edge do not overlap.
    """
    corners = np.asarray(uv, dtype=np.float64).reshape(-1, 3, 2)
    if len(corners) == 0:
        return UvLayout(0.0, 0.0, 0.0, 0.0, 0.0)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    flat = np.abs(area) < 1e-12
    outside = ((corners < -1e-6) | (corners > 1 + 1e-6)).any((1, 2))
    counts = np.zeros(size_px * size_px, dtype=np.int64)
    pixels = (corners * size_px - 0.5)[~flat]
    low = np.ceil(pixels.min(1)).astype(np.int64)
    span = np.clip(np.floor(pixels.max(1)).astype(np.int64) - low + 1, 0, 4 * size_px)
    boxes = span.prod(1)
    edges = np.searchsorted(np.cumsum(boxes), np.arange(CHUNK, boxes.sum() + CHUNK, CHUNK))
    for members in np.split(np.arange(len(pixels)), np.unique(edges)):
        counts += _covered(pixels[members], low[members], span[members], size_px)
    covered = int((counts > 0).sum())
    total = float(np.abs(area).sum())
    return UvLayout(
        overlap=float((counts > 1).sum() / covered) if covered else 0.0,
        mirrored=float(-area[area < 0].sum() / total) if total > 0 else 0.0,
        outside=float(outside.mean()),
        flat=float(flat.mean()),
        covered=covered / counts.size,
    )


def _covered(pixels: np.ndarray, low: np.ndarray, span: np.ndarray, size_px: int) -> np.ndarray:
    """How many of these faces hold each texel centre, [size_px^2]."""
    boxes = span.prod(1)
    face = np.repeat(np.arange(len(pixels)), boxes)
    at = np.arange(len(face)) - np.repeat(np.cumsum(boxes) - boxes, boxes)
    x, y = low[face, 0] + at % np.maximum(span[face, 0], 1), low[face, 1] + at // np.maximum(span[face, 0], 1)
    within = np.ones(len(face), dtype=bool)
    first, second = pixels[:, 1] - pixels[:, 0], pixels[:, 2] - pixels[:, 0]
    sign = np.sign(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])[face]
    for corner in range(3):
        a, b = pixels[face, corner], pixels[face, (corner + 1) % 3]
        within &= sign * ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) > 1e-9
    texel = (y[within] % size_px) * size_px + x[within] % size_px
    return np.bincount(texel, minlength=size_px * size_px)
