"""Renders of zoo objects: sphere tracing in one Warp kernel, one ray per sub-sample.

Shading and blending are linear; the result leaves as display (sRGB) values, row 0 at the top. The same kernel runs on
the CPU and on CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from backend.colour import linear_to_srgb, srgb_to_linear
from backend.geometry.warp_start import start_warp
from backend.zoo.field import Solid, local_distance, local_paint
from backend.zoo.primitives import MAX_PRIMITIVES, PRIMITIVE_DTYPE, ZooObject, pack

MAX_STEPS = 72


@dataclass(frozen=True)
class Shot:
    """One picture to take: camera, light and background. Angles in degrees, see `backend.views`.

    The camera looks at the origin, from a distance at which the object's bounding sphere fills `fill` of the frame.
    """

    azimuth_deg: float
    elevation_deg: float
    field_of_view_deg: float = 35.0
    fill: float = 0.8
    light: tuple[float, float, float] = (0.4, 0.5, 0.8)  # position in camera axes (right, up, towards the camera)
    ambient: float = 0.4  # the rest of the light is the point light's
    gain: float = 1.0
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)  # display values
    flat: bool = False  # no light at all: the albedo itself
    clay: tuple[float, float, float] | None = None  # display values replacing every colour


@wp.struct
class Camera:
    eye: wp.vec3
    right: wp.vec3
    up: wp.vec3
    back: wp.vec3
    slope: wp.float32
    radius: wp.float32
    light: wp.vec3
    ambient: wp.float32
    gain: wp.float32
    background: wp.vec3
    flat: wp.int32
    is_clay: wp.int32
    clay: wp.vec3
    count: wp.int32


CAMERA_DTYPE = np.dtype(
    [
        ("eye", np.float32, 3), ("right", np.float32, 3), ("up", np.float32, 3), ("back", np.float32, 3),
        ("slope", np.float32), ("radius", np.float32), ("light", np.float32, 3), ("ambient", np.float32),
        ("gain", np.float32), ("background", np.float32, 3), ("flat", np.int32), ("is_clay", np.int32),
        ("clay", np.float32, 3), ("count", np.int32),
    ]
)  # fmt: skip


@wp.func
def scene_distance(solids: wp.array2d(dtype=Solid), b: int, count: int, met: int, p: wp.vec3) -> float:
    best = wp.float32(1.0e6)
    for k in range(count):
        if (met >> k) & 1:
            near = wp.length(p - solids[b, k].centre) - solids[b, k].bound
            if near < best:
                # far from the sphere its distance is a good enough bound
                d = near
                if near < 0.12:
                    q = solids[b, k].frame * (p - solids[b, k].centre)
                    d = local_distance(q, solids[b, k])
                best = wp.min(best, d)
    return best


@wp.kernel
def trace(
    solids: wp.array2d(dtype=Solid),
    cameras: wp.array(dtype=Camera),
    size: int,
    samples: int,
    picture: wp.array3d(dtype=wp.vec3),
    coverage: wp.array3d(dtype=wp.float32),
):
    b, row, column = wp.tid()
    c = cameras[b]
    total = wp.vec3(0.0, 0.0, 0.0)
    covered = wp.float32(0.0)
    for sub in range(samples * samples):
        sx = (float(column) + (float(sub % samples) + 0.5) / float(samples)) / float(size) * 2.0 - 1.0
        sy = 1.0 - (float(row) + (float(sub // samples) + 0.5) / float(samples)) / float(size) * 2.0
        ray = wp.normalize(sx * c.slope * c.right + sy * c.slope * c.up - c.back)
        hit = wp.int32(0)
        along = -wp.dot(c.eye, ray)
        miss2 = wp.dot(c.eye, c.eye) - along * along
        room = c.radius * 1.03 + 0.01
        if miss2 < room * room:
            reach = wp.sqrt(room * room - miss2)
            t = along - reach
            last = along + reach
            met = wp.int32(0)
            for k in range(c.count):
                to = solids[b, k].centre - c.eye
                s = wp.dot(to, ray)
                if wp.dot(to, to) - s * s < solids[b, k].bound * solids[b, k].bound:
                    met = met | (1 << k)
            if met != 0:
                for _step in range(MAX_STEPS):
                    d = scene_distance(solids, b, c.count, met, c.eye + t * ray)
                    if d < 0.0015:
                        hit = 1
                        break
                    t = t + 0.85 * d
                    if t > last:
                        break
            if hit == 1:
                p = c.eye + t * ray
                everything = -1
                e = 0.003
                n = wp.normalize(
                    wp.vec3(
                        scene_distance(solids, b, c.count, everything, p + wp.vec3(e, 0.0, 0.0))
                        - scene_distance(solids, b, c.count, everything, p - wp.vec3(e, 0.0, 0.0)),
                        scene_distance(solids, b, c.count, everything, p + wp.vec3(0.0, e, 0.0))
                        - scene_distance(solids, b, c.count, everything, p - wp.vec3(0.0, e, 0.0)),
                        scene_distance(solids, b, c.count, everything, p + wp.vec3(0.0, 0.0, e))
                        - scene_distance(solids, b, c.count, everything, p - wp.vec3(0.0, 0.0, e)),
                    )
                )
                albedo = c.clay
                if c.is_clay == 0:
                    best = wp.float32(1.0e6)
                    for k in range(c.count):
                        if (met >> k) & 1:
                            q = solids[b, k].frame * (p - solids[b, k].centre)
                            dk = local_distance(q, solids[b, k])
                            if dk < best:
                                best = dk
                                albedo = local_paint(q, solids[b, k])
                shade = wp.float32(1.0)
                if c.flat == 0:
                    lambert = wp.max(wp.dot(n, wp.normalize(c.light - p)), 0.0)
                    shade = c.gain * (c.ambient + (1.0 - c.ambient) * lambert)
                total = total + shade * albedo
                covered = covered + 1.0
        if hit == 0:
            total = total + c.background
    n_samples = float(samples * samples)
    picture[b, row, column] = total / n_samples
    coverage[b, row, column] = covered / n_samples


def camera_axes(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Rows right, up, back (towards the camera) of a level camera that looks at the origin, [3, 3]."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(back, right), back])


def camera_distance(radius: float, field_of_view_deg: float, fill: float) -> float:
    """Distance at which a sphere's outline spans `fill` of the frame."""
    half = np.arctan(fill * np.tan(np.radians(field_of_view_deg) / 2))
    return float(radius / np.sin(half))


def render(
    objects: list[ZooObject],
    shots: list[Shot],
    size_px: int = 64,
    *,
    samples: int = 2,
    device: str = "cpu",
    return_coverage: bool = False,
):
    """Pictures of objects, one shot each: display values [B, size, size, 3] float32 in [0, 1], row 0 at the top.

    With `return_coverage` also the share of each pixel that the object covers, [B, size, size].

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    if len(objects) != len(shots) or not objects:
        raise ValueError(f"one shot per object is needed, got {len(objects)} objects and {len(shots)} shots")
    batch = len(objects)
    rows = np.zeros((batch, MAX_PRIMITIVES), PRIMITIVE_DTYPE)
    cameras = np.zeros(batch, CAMERA_DTYPE)
    for i, (thing, shot) in enumerate(zip(objects, shots, strict=True)):
        packed = pack(thing.primitives)
        rows[i, : len(packed)] = packed
        c = cameras[i]
        axes = camera_axes(shot.azimuth_deg, shot.elevation_deg)
        distance = camera_distance(thing.radius, shot.field_of_view_deg, shot.fill)
        c["eye"], c["right"], c["up"], c["back"] = axes[2] * distance, axes[0], axes[1], axes[2]
        c["slope"] = np.tan(np.radians(shot.field_of_view_deg) / 2)
        c["radius"], c["count"] = thing.radius, len(packed)
        c["light"] = np.asarray(shot.light) @ axes * distance
        c["ambient"], c["gain"], c["flat"] = shot.ambient, shot.gain, shot.flat
        c["background"] = srgb_to_linear(np.asarray(shot.background))
        if shot.clay is not None:
            c["is_clay"], c["clay"] = 1, srgb_to_linear(np.asarray(shot.clay))
    start_warp()
    picture = wp.empty((batch, size_px, size_px), dtype=wp.vec3, device=device)
    coverage = wp.empty((batch, size_px, size_px), dtype=wp.float32, device=device)
    wp.launch(
        trace,
        dim=(batch, size_px, size_px),
        inputs=[
            wp.array(rows, dtype=Solid, device=device), wp.array(cameras, dtype=Camera, device=device),
            size_px, samples, picture, coverage,
        ],
        device=device,
    )  # fmt: skip
    pixels = linear_to_srgb(picture.numpy()).astype(np.float32)
    return (pixels, coverage.numpy()) if return_coverage else pixels
