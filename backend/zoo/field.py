"""Signed distance and paint of a primitive list as Warp functions; negative inside, linear colours.

Distances are exact or bounded from below where a solid is only scaled or bent (ellipsoid, petal, profile), which is what
sphere tracing needs. Formulas for the exact solids are the standard ones (I. Quilez, "Distance functions"), rewritten.
"""

from __future__ import annotations

import numpy as np
import warp as wp

from backend.zoo.primitives import MAX_PRIMITIVES, pack

wp.config.quiet = True


@wp.struct
class Solid:
    """One row of `primitives.PRIMITIVE_DTYPE`."""

    kind: wp.int32
    pattern: wp.int32
    centre: wp.vec3
    frame: wp.mat33
    size: wp.vec4
    more: wp.vec4
    colour: wp.vec3
    accent: wp.vec3
    frequency: wp.float32
    offset: wp.vec3
    bound: wp.float32


@wp.func
def ellipsoid_distance(p: wp.vec3, axes: wp.vec3) -> float:
    k0 = wp.length(wp.cw_div(p, axes))
    k1 = wp.length(wp.cw_div(p, wp.cw_mul(axes, axes)))
    d = k0 * (k0 - 1.0) / wp.max(k1, 1.0e-6)
    if k0 < 0.05:
        d = -wp.min(axes[0], wp.min(axes[1], axes[2]))
    return d


@wp.func
def cone_distance(r: float, z: float, half: float, low: float, high: float) -> float:
    """Exact distance in the (radius, height) half plane to a capped cone."""
    qx = r
    k1x = high
    k1y = half
    k2x = high - low
    k2y = 2.0 * half
    cap = low
    if z > 0.0:
        cap = high
    cax = qx - wp.min(qx, cap)
    cay = wp.abs(z) - half
    t = wp.clamp(((k1x - qx) * k2x + (k1y - z) * k2y) / (k2x * k2x + k2y * k2y), 0.0, 1.0)
    cbx = qx - k1x + k2x * t
    cby = z - k1y + k2y * t
    s = 1.0
    if cbx < 0.0 and cay < 0.0:
        s = -1.0
    return s * wp.sqrt(wp.min(cax * cax + cay * cay, cbx * cbx + cby * cby))


@wp.func
def profile_radius(z: float, half: float, s: Solid) -> float:
    """Radius of a turned profile at height z: five knots, cubic Hermite between them."""
    u = wp.clamp((z / half * 0.5 + 0.5) * 4.0, 0.0, 3.9999)
    i = int(wp.floor(u))
    f = u - float(i)
    r0 = s.size[1]
    r1 = s.size[2]
    r2 = s.size[3]
    r3 = s.more[0]
    r4 = s.more[1]
    a = r0
    b = r1
    ma = r1 - r0
    mb = 0.5 * (r2 - r0)
    if i == 1:
        a = r1
        b = r2
        ma = 0.5 * (r2 - r0)
        mb = 0.5 * (r3 - r1)
    if i == 2:
        a = r2
        b = r3
        ma = 0.5 * (r3 - r1)
        mb = 0.5 * (r4 - r2)
    if i == 3:
        a = r3
        b = r4
        ma = 0.5 * (r4 - r2)
        mb = r4 - r3
    g = 1.0 - f
    radius = a * (1.0 + 2.0 * f) * g * g + b * f * f * (3.0 - 2.0 * f) + ma * f * g * g - mb * f * f * g
    return wp.max(radius, 0.0)


@wp.func
def profile_distance(r: float, z: float, s: Solid) -> float:
    half = s.size[0]
    wall = s.more[2]
    radius = profile_radius(z, half, s)
    step = 0.02 * half
    slope = (profile_radius(z + step, half, s) - profile_radius(z - step, half, s)) / (2.0 * step)
    side = (r - radius) / wp.sqrt(1.0 + slope * slope)
    d = wp.max(side, wp.abs(z) - half)
    if side > 0.0 and wp.abs(z) > half:
        d = wp.sqrt(side * side + (wp.abs(z) - half) * (wp.abs(z) - half))
    if wall > 0.0:
        hollow = wp.max((r - radius + wall) / wp.sqrt(1.0 + slope * slope), -half + wall - z)
        d = wp.max(d, -hollow)
    return d


@wp.func
def box_distance(p: wp.vec3, half: wp.vec3, rounding: float) -> float:
    q = wp.vec3(wp.abs(p[0]) - half[0] + rounding, wp.abs(p[1]) - half[1] + rounding, wp.abs(p[2]) - half[2] + rounding)
    outside = wp.length(wp.vec3(wp.max(q[0], 0.0), wp.max(q[1], 0.0), wp.max(q[2], 0.0)))
    return outside + wp.min(wp.max(q[0], wp.max(q[1], q[2])), 0.0) - rounding


@wp.func
def torus_distance(p: wp.vec3, s: Solid) -> float:
    ring = s.size[0]
    tube = s.size[1]
    opening = s.size[2]
    angle = wp.abs(wp.atan2(p[1], p[0]))
    tube = tube * (1.0 - s.size[3] * (wp.min(angle, opening) / 3.14159265))
    if angle <= opening:
        q = wp.sqrt(p[0] * p[0] + p[1] * p[1]) - ring
        return wp.sqrt(q * q + p[2] * p[2]) - tube
    end = wp.vec3(ring * wp.cos(opening), ring * wp.sin(opening), 0.0)
    return wp.length(wp.vec3(p[0], wp.abs(p[1]), p[2]) - end) - tube


@wp.func
def local_distance(p: wp.vec3, s: Solid) -> float:
    """Signed distance from a point in the primitive's own frame."""
    r = wp.sqrt(p[0] * p[0] + p[1] * p[1])
    if s.kind == 0:
        d = ellipsoid_distance(p, wp.vec3(s.size[0], s.size[1], s.size[2]))
        if s.size[3] > 0.5:
            d = wp.max(d, -p[2])
        return d
    if s.kind == 1:
        k = s.size[3]
        return cone_distance(r, p[2], s.size[0] - k, wp.max(s.size[1] - k, 0.0), wp.max(s.size[2] - k, 0.0)) - k
    if s.kind == 2:
        outer = cone_distance(r, p[2], s.size[0], s.size[1], s.size[2])
        wall = s.size[3]
        inner = cone_distance(r, p[2] - wall - 0.3, s.size[0] + 0.3, s.size[1] - wall, s.size[2] - wall)
        return wp.max(outer, -inner)
    if s.kind == 3:
        return box_distance(p, wp.vec3(s.size[0], s.size[1], s.size[2]), s.size[3])
    if s.kind == 4:
        return torus_distance(p, s)
    if s.kind == 5:
        return profile_distance(r, p[2], s)
    if s.kind == 6:
        w = s.size[0]
        h = s.size[2]
        roof = (wp.abs(p[0]) * 2.0 * h + (p[2] - h) * w) / wp.sqrt(4.0 * h * h + w * w)
        return wp.max(wp.max(roof, -p[2] - h), wp.abs(p[1]) - s.size[1])
    # petal
    bend = s.size[3]
    widen = wp.max(1.0 + s.more[0] * p[0] / s.size[0], 0.15)
    q = wp.vec3(p[0], p[1] / widen, p[2] - bend * p[0] * p[0])
    steep = 1.0 + 2.0 * wp.abs(bend) * s.size[0]
    return ellipsoid_distance(q, wp.vec3(s.size[0], s.size[1], s.size[2])) / steep


@wp.func
def local_paint(at: wp.vec3, s: Solid) -> wp.vec3:
    """Linear colour at a point in the primitive's own frame: stripes and spots follow that frame."""
    p = at + s.offset
    if s.pattern == 1:
        # petals and lying solids carry stripes along x, standing ones across z
        along = p[2]
        if s.kind == 7:
            along = p[0]
        if s.kind == 6:
            along = p[1]
        if s.kind == 4 and s.size[1] < 0.5 * s.size[0]:  # a fat torus is a body, a thin one a band
            along = wp.atan2(at[1], at[0]) * s.size[0] + s.offset[0]
        if wp.sin(s.frequency * along) > 0.0:
            return s.accent
    if s.pattern == 2:
        # spots on a lattice that is turned against every axis, so that rows do not show
        u = s.frequency * 0.42 * (0.80 * p[0] + 0.36 * p[1] - 0.48 * p[2])
        v = s.frequency * 0.42 * (-0.60 * p[0] + 0.48 * p[1] - 0.64 * p[2])
        w = s.frequency * 0.42 * (0.80 * p[1] + 0.60 * p[2])
        a = u - wp.floor(u) - 0.5
        b = v - wp.floor(v) - 0.5
        c = w - wp.floor(w) - 0.5
        if a * a + b * b + c * c < 0.135:
            return s.accent
    if s.pattern == 3 and wp.sin(s.frequency * p[0]) * wp.sin(s.frequency * p[1]) * wp.sin(s.frequency * p[2]) > 0.0:
        return s.accent
    if s.pattern == 4:
        # veins: level lines of a wave that other waves bend
        k = 0.55 * s.frequency
        bend = wp.sin(k * (0.9 * p[1] - 0.5 * p[2])) + wp.sin(k * (1.1 * p[2] + 0.6 * p[0]) + 1.7)
        if wp.abs(wp.sin(k * (0.75 * p[0] + 0.5 * p[1] + 0.6 * p[2]) + 1.1 * bend)) < 0.22:
            return s.accent
    return s.colour


@wp.kernel
def sample_field(
    solids: wp.array(dtype=Solid),
    points: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    colour: wp.array(dtype=wp.vec3),
    nearest: wp.array(dtype=wp.int32),
):
    i = wp.tid()
    p = points[i]
    best = wp.float32(1.0e6)
    paint = wp.vec3(0.0, 0.0, 0.0)
    winner = wp.int32(0)
    for k in range(solids.shape[0]):
        s = solids[k]
        q = s.frame * (p - s.centre)
        d = local_distance(q, s)
        if d < best:
            best = d
            paint = local_paint(q, s)
            winner = k
    distance[i] = best
    colour[i] = paint
    nearest[i] = winner


def evaluate(primitives: list, points: np.ndarray, device: str = "cpu") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance [N], linear colour [N, 3] and index of the nearest primitive [N] at world points [N, 3]."""
    solids = wp.array(pack(primitives), dtype=Solid, device=device)
    where = wp.array(np.ascontiguousarray(points, np.float32), dtype=wp.vec3, device=device)
    count = len(points)
    distance = wp.empty(count, dtype=wp.float32, device=device)
    colour = wp.empty(count, dtype=wp.vec3, device=device)
    nearest = wp.empty(count, dtype=wp.int32, device=device)
    wp.launch(sample_field, dim=count, inputs=[solids, where, distance, colour, nearest], device=device)
    return distance.numpy(), colour.numpy(), nearest.numpy()


assert MAX_PRIMITIVES <= 32  # the tracer keeps the primitives a ray may meet in the bits of one word
