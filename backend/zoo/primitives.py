"""The solids an object is built from, as rows of one plain array that the Warp kernels read.

A primitive has a kind, a frame (its own axes in world coordinates), a centre, up to eight sizes, two colours and a
pattern drawn in its own frame. An object is at most `MAX_PRIMITIVES` of them; their union is its surface. Lengths are
world units, colours are display (sRGB) values in [0, 1] here and turned linear when they are packed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np

from backend.colour import srgb_to_linear

MAX_PRIMITIVES = 32


class Kind(enum.IntEnum):
    """What the sizes of a primitive mean; every solid is centred in its frame."""

    ELLIPSOID = 0  # half axes x, y, z, and 1 for the upper half only
    CONE = 1  # half height, radius at -z, radius at +z, rounding
    CUP = 2  # half height, radius at -z, radius at +z, wall; open at +z
    BOX = 3  # half sides x, y, z, rounding
    TORUS = 4  # ring radius, tube radius, half opening angle (pi: the full ring), tapering; ring in the xy plane about +x
    PROFILE = 5  # half height, five radii from -z to +z, wall (0: solid, else open at +z), rounding
    GABLE = 6  # half width x, half length y, half height z; ridge along y at +z
    PETAL = 7  # half axes x, y, z, bend (dz = bend x^2), widening towards +x


class Pattern(enum.IntEnum):
    PLAIN = 0
    STRIPED = 1
    SPOTTED = 2
    CHECKERED = 3
    MARBLED = 4


PRIMITIVE_DTYPE = np.dtype(
    [
        ("kind", np.int32),
        ("pattern", np.int32),
        ("centre", np.float32, 3),
        ("frame", np.float32, (3, 3)),  # rows: the primitive's axes in world coordinates
        ("size", np.float32, 4),
        ("more", np.float32, 4),
        ("colour", np.float32, 3),  # linear
        ("accent", np.float32, 3),  # linear
        ("frequency", np.float32),
        ("offset", np.float32, 3),  # of the pattern, in the primitive's frame
        ("bound", np.float32),  # radius of a sphere about the centre that holds the primitive
    ]
)


@dataclass
class Primitive:
    """One solid with its pose and paint; see `Kind` for the meaning of `sizes`."""

    kind: Kind
    sizes: tuple[float, ...]
    centre: np.ndarray  # [3]
    frame: np.ndarray  # [3, 3] rows are axes
    colour: np.ndarray  # [3] display values
    accent: np.ndarray | None = None  # [3] display values, second colour of the pattern
    pattern: Pattern = Pattern.PLAIN
    frequency: float = 8.0
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))  # [3] of the pattern, own frame
    part: str = ""

    def moved(self, scale: float, shift: np.ndarray) -> Primitive:
        """The same primitive after `p -> scale * p + shift`; angles and ratios among the sizes are kept."""
        sizes = list(self.sizes)
        for i in range(len(sizes)):
            if (self.kind is Kind.ELLIPSOID and i == 3) or (self.kind is Kind.TORUS and i >= 2) or (self.kind is Kind.PETAL and i == 4):
                continue
            sizes[i] = sizes[i] / scale if self.kind is Kind.PETAL and i == 3 else sizes[i] * scale
        return Primitive(
            self.kind, tuple(sizes), scale * self.centre + shift, self.frame, self.colour, self.accent,
            self.pattern, self.frequency / scale, scale * self.offset, self.part,
        )  # fmt: skip


@dataclass
class ZooObject:
    """An object of the zoo: its parts, what a person would call it, and the paint of the part that names its colour."""

    noun: str
    colour_word: str
    pattern: Pattern
    accent_word: str
    primitives: list[Primitive]
    seed: int = 0
    main_colour: np.ndarray = field(default_factory=lambda: np.zeros(3))  # display values
    radius: float = 1.0  # of the bounding sphere about the origin


def bounding_radius(primitive: Primitive) -> float:
    """Radius about the primitive's centre that holds it; exact or slightly too large."""
    s = primitive.sizes
    match primitive.kind:
        case Kind.ELLIPSOID:
            return max(s[:3])
        case Kind.CONE | Kind.CUP:
            return float(np.hypot(s[0], max(s[1], s[2])))
        case Kind.BOX | Kind.GABLE:
            return float(np.linalg.norm(s[:3]))
        case Kind.TORUS:
            return s[0] + s[1]
        case Kind.PROFILE:
            return float(np.hypot(s[0], 1.15 * max(s[1:6])))
        case Kind.PETAL:
            return float(np.hypot(max(s[0], s[1] * (1 + abs(s[4]))), s[2] + abs(s[3]) * s[0] ** 2)) * 1.02
    raise ValueError(f"unknown primitive kind {primitive.kind}")


def surface_points(primitive: Primitive) -> np.ndarray:
    """World points on (or just outside) the primitive, enough for its bounding box, [K, 3]."""
    s = primitive.sizes
    u, v = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(0, 2 * np.pi, 17)[:-1], indexing="ij")
    u, v = u.ravel(), v.ravel()
    round_xy = np.sqrt(np.maximum(0.0, 1 - u * u))
    ball = np.stack([round_xy * np.cos(v), round_xy * np.sin(v), u], 1)
    match primitive.kind:
        case Kind.ELLIPSOID:
            local = ball * np.array(s[:3])
        case Kind.CONE | Kind.CUP:
            r = s[1] + (s[2] - s[1]) * (u + 1) / 2
            local = np.stack([r * np.cos(v), r * np.sin(v), s[0] * u], 1)
        case Kind.PROFILE:
            r = np.interp((u + 1) / 2, np.linspace(0, 1, 5), s[1:6])
            local = np.stack([r * np.cos(v), r * np.sin(v), s[0] * u], 1)
        case Kind.BOX | Kind.GABLE:
            corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
            if primitive.kind is Kind.GABLE:
                corners[corners[:, 2] > 0, 0] = 0.0
            local = corners * np.array(s[:3])
        case Kind.TORUS:
            angle, turn = u * s[2], v
            ring = s[0] + s[1] * np.cos(turn)
            local = np.stack([ring * np.cos(angle), ring * np.sin(angle), s[1] * np.sin(turn)], 1)
        case Kind.PETAL:
            local = ball * np.array(s[:3])
            local[:, 1] *= 1 + s[4] * local[:, 0] / s[0]
            local[:, 2] += s[3] * local[:, 0] ** 2
    return local @ primitive.frame + primitive.centre


def fit_to_domain(primitives: list[Primitive], longest_side: float = 1.6) -> tuple[list[Primitive], float]:
    """The primitives scaled and centred so that their box is centred on the origin and its longest side is as asked.

    Returns them and the radius of their bounding sphere about the origin.
    """
    points = np.concatenate([surface_points(p) for p in primitives])
    low, high = points.min(0), points.max(0)
    scale = longest_side / float((high - low).max())
    shift = -scale * (low + high) / 2
    radius = float(np.linalg.norm(scale * points + shift, axis=1).max())
    return [p.moved(scale, shift) for p in primitives], radius


def pack(primitives: list[Primitive]) -> np.ndarray:
    """Rows of `PRIMITIVE_DTYPE` for the kernels, [len(primitives)], colours turned linear.

    Raises:
        ValueError: there are none or more than `MAX_PRIMITIVES`.
    """
    if not 1 <= len(primitives) <= MAX_PRIMITIVES:
        raise ValueError(f"an object has 1 to {MAX_PRIMITIVES} primitives, got {len(primitives)}")
    rows = np.zeros(len(primitives), PRIMITIVE_DTYPE)
    for row, p in zip(rows, primitives, strict=True):
        sizes = np.zeros(8, np.float32)
        sizes[: len(p.sizes)] = p.sizes
        row["kind"], row["pattern"] = int(p.kind), int(p.pattern)
        row["centre"], row["frame"] = p.centre, p.frame
        row["size"], row["more"] = sizes[:4], sizes[4:]
        row["colour"] = srgb_to_linear(p.colour)
        row["accent"] = srgb_to_linear(p.colour if p.accent is None else p.accent)
        row["frequency"], row["offset"], row["bound"] = p.frequency, p.offset, bounding_radius(p)
    return rows
