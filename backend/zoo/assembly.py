"""Putting an object together: verbs that add solids in world axes, used by every noun."""

from __future__ import annotations

import numpy as np

from backend.zoo.palette import jitter
from backend.zoo.primitives import Kind, Pattern, Primitive

UP = np.array([0.0, 0.0, 1.0])
FRONT = np.array([0.0, -1.0, 0.0])
RIGHT = np.array([1.0, 0.0, 0.0])


def unit(vector) -> np.ndarray:
    vector = np.asarray(vector, dtype=float)
    return vector / np.linalg.norm(vector)


def frame_of(z_axis, x_hint=RIGHT) -> np.ndarray:
    """Right-handed frame (rows x, y, z) with the given z axis and x as near to the hint as that allows, [3, 3]."""
    z = unit(z_axis)
    x = np.asarray(x_hint, dtype=float)
    if np.linalg.norm(np.cross(z, x)) < 1e-3:
        x = np.array([z[2], z[0], z[1]])
    x = unit(x - z * (x @ z))
    return np.stack([x, np.cross(z, x), z])


class Assembly:
    """A growing list of solids. The named colour and its pattern go to whatever is added with `named=True`."""

    def __init__(self, rng: np.random.Generator, colour, accent, pattern: Pattern) -> None:
        self.rng, self.colour, self.accent, self.pattern = rng, np.asarray(colour), np.asarray(accent), pattern
        self.solids: list[Primitive] = []
        self.anchor = rng.uniform(-1, 1, 3)

    def add(self, kind: Kind, sizes, centre, *, frame=None, colour=None, named=False, pattern=None, part="",
            period: float = 0.22, shared: bool = False) -> Primitive:  # fmt: skip
        """Add a solid; `period` is the length of one stripe pair, spot cell, two checks or vein to vein in the units of the sizes.

        The pattern starts anywhere, or for `shared` solids runs through all of them as through one body.
        """
        pattern = (self.pattern if named else Pattern.PLAIN) if pattern is None else pattern
        frame, centre = np.eye(3) if frame is None else frame, np.asarray(centre, dtype=float)
        anywhere = self.rng.uniform(-1, 1, 3)
        offset = frame @ (centre + self.anchor) if shared else anywhere
        solid = Primitive(
            kind,
            tuple(float(s) for s in sizes),
            centre,
            frame,
            self.colour if colour is None else np.asarray(colour, dtype=float),
            self.accent,
            pattern,
            frequency=(2.4 if pattern is Pattern.SPOTTED else 2 * np.pi) / period,
            offset=offset,
            part=part,
        )
        self.solids.append(solid)
        return solid

    def rod(self, start, end, low: float, high: float | None = None, **paint) -> Primitive:
        """A round-ended stick from one point to another, radius `low` at the start and `high` at the end."""
        start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        high = low if high is None else high
        half = np.linalg.norm(end - start) / 2 + 0.5 * min(low, high)
        sizes = (half, low, high, 0.6 * min(low, high))
        return self.add(Kind.CONE, sizes, (start + end) / 2, frame=frame_of(end - start), **paint)

    def ball(self, centre, radius, **paint) -> Primitive:
        """A ball, or an ellipsoid for three half axes."""
        axes = (radius,) * 3 if np.isscalar(radius) else tuple(radius)
        return self.add(Kind.ELLIPSOID, axes, centre, **paint)

    def stem(self, points, low: float, high: float, **paint) -> None:
        """Rods through a list of points, tapering from the first to the last."""
        radii = np.linspace(low, high, len(points))
        for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            self.rod(a, b, ra, rb, **paint)

    def petal(self, root, outward, normal, length, width, thickness, *, bend=0.0, widen=0.3, **paint) -> Primitive:
        """A leaf or petal that starts at `root` and points `outward`; `bend` is its sag (negative) or curl, a fraction."""
        frame = frame_of(normal, outward)
        centre = np.asarray(root) + frame[0] * length / 2
        sizes = (length / 2, width / 2, thickness / 2, bend / max(length, 1e-6), widen)
        return self.add(Kind.PETAL, sizes, centre, frame=frame, **paint)

    def tint(self, colour, depth: float = 0.10) -> np.ndarray:
        return jitter(colour, self.rng, depth=depth)
