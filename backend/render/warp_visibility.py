"""Visibility and silhouette crossings as Warp kernels, one source for CPU and CUDA. No backward: gradients are tensor code.

Import this module only where Warp is wanted; the first launch on a device compiles it (seconds) and caches it on disk.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
import warp as wp
from torch import Tensor

from backend.geometry.contract import EdgeTable
from backend.geometry.warp_start import start_warp

from .screen import KEY_SCALE, MIN_W, NO_KEY

wp.set_module_options({"enable_backward": False})

_SCALE = wp.constant(wp.float64(KEY_SCALE))
_MIN_W = wp.constant(MIN_W)
_LARGE = wp.constant(64 * 64)
_EVERY, _SMALL_ONLY, _LARGE_ONLY = 0, 1, 2
LARGE_STRIPS = 32


@wp.func
def edge_function(i: wp.int64, j: wp.int64, a: wp.vec4, b: wp.vec4, x: wp.float64, y: wp.float64) -> wp.float64:
    """Twice the signed area of (a, b, point), evaluated from the smaller vertex index, so that two faces agree on a shared edge."""
    p = a
    q = b
    if i > j:
        p = b
        q = a
    px = wp.float64(p[0])
    py = wp.float64(p[1])
    e = (wp.float64(q[0]) - px) * (y - py) - (wp.float64(q[1]) - py) * (x - px)
    if i > j:
        e = -e
    return e


@wp.func
def nearest_key(depth: wp.float64, payload: wp.int64) -> wp.int64:
    return (wp.int64((depth * wp.float64(0.5) + wp.float64(0.5)) * _SCALE) << wp.int64(32)) | payload


@wp.kernel
def draw_faces(
    screen: wp.array2d(dtype=wp.vec4),
    faces: wp.array2d(dtype=wp.int64),
    height: int,
    width: int,
    cull: int,
    which: int,
    strips: int,
    keys: wp.array3d(dtype=wp.int64),
):
    b, f, strip = wp.tid()
    i0 = faces[f, 0]
    i1 = faces[f, 1]
    i2 = faces[f, 2]
    p0 = screen[b, int(i0)]
    p1 = screen[b, int(i1)]
    p2 = screen[b, int(i2)]
    if p0[3] <= _MIN_W or p1[3] <= _MIN_W or p2[3] <= _MIN_W:
        return
    left = int(wp.clamp(wp.ceil(wp.min(p0[0], wp.min(p1[0], p2[0]))), 0.0, float(width)))
    right = int(wp.clamp(wp.floor(wp.max(p0[0], wp.max(p1[0], p2[0]))), -1.0, float(width - 1)))
    top = int(wp.clamp(wp.ceil(wp.min(p0[1], wp.min(p1[1], p2[1]))), 0.0, float(height)))
    bottom = int(wp.clamp(wp.floor(wp.max(p0[1], wp.max(p1[1], p2[1]))), -1.0, float(height - 1)))
    if right < left or bottom < top:
        return
    large = (right - left + 1) * (bottom - top + 1) > _LARGE
    if (which == 1 and large) or (which == 2 and not large):
        return
    zero = wp.float64(0.0)
    area = edge_function(i0, i1, p0, p1, wp.float64(p2[0]), wp.float64(p2[1]))
    if area == zero or (cull == 1 and area > zero):
        return
    sign = wp.float64(1.0)
    if area < zero:
        sign = wp.float64(-1.0)
    one = wp.float64(1.0)
    for y in range(top + strip, bottom + 1, strips):
        sy = wp.float64(y)
        for x in range(left, right + 1):
            sx = wp.float64(x)
            e0 = edge_function(i1, i2, p1, p2, sx, sy)
            e1 = edge_function(i2, i0, p2, p0, sx, sy)
            e2 = edge_function(i0, i1, p0, p1, sx, sy)
            if e0 * sign >= zero and e1 * sign >= zero and e2 * sign >= zero:
                depth = e0 / area * wp.float64(p0[2]) + e1 / area * wp.float64(p1[2]) + e2 / area * wp.float64(p2[2])
                if depth >= -one and depth <= one:
                    wp.atomic_min(keys, b, y, x, nearest_key(depth, wp.int64(f)))


@wp.kernel
def cross_edges(
    screen: wp.array2d(dtype=wp.vec4),
    ends: wp.array2d(dtype=wp.int64),
    opposite: wp.array2d(dtype=wp.int64),
    depth: wp.array3d(dtype=wp.float32),
    height: int,
    width: int,
    keys: wp.array4d(dtype=wp.int64),
):
    b, e = wp.tid()
    i = ends[e, 0]
    j = ends[e, 1]
    p = screen[b, int(i)]
    q = screen[b, int(j)]
    if p[3] <= _MIN_W or q[3] <= _MIN_W:
        return
    zero = wp.float64(0.0)
    side = wp.float64(0.0)
    o0 = opposite[e, 0]
    o1 = opposite[e, 1]
    if o0 >= wp.int64(0):
        r0 = screen[b, int(o0)]
        if r0[3] <= _MIN_W:
            return
        side = edge_function(i, j, p, q, wp.float64(r0[0]), wp.float64(r0[1]))
    if o1 >= wp.int64(0):
        r1 = screen[b, int(o1)]
        if r1[3] <= _MIN_W:
            return
        other = edge_function(i, j, p, q, wp.float64(r1[0]), wp.float64(r1[1]))
        if (side > zero and other < zero) or (side < zero and other > zero):
            return
        if side == zero:
            side = other
    if side == zero:
        return

    px = wp.float64(p[0])
    py = wp.float64(p[1])
    dx = wp.float64(q[0]) - px
    dy = wp.float64(q[1]) - py
    down = 0
    start = p[1]
    end = q[1]
    lines = height
    across = width
    if wp.abs(dy) < wp.abs(dx):
        down = 1
        start = p[0]
        end = q[0]
        lines = width
        across = height
    greater = 0
    if (down == 0 and side * dy < zero) or (down == 1 and side * dx > zero):
        greater = 1
    # Half-open: a crossing at a shared vertex belongs to one of its two edges.
    first = int(wp.clamp(wp.ceil(wp.min(start, end)), 0.0, float(lines)))
    last = int(wp.clamp(wp.ceil(wp.max(start, end)), 0.0, float(lines)))
    one = wp.float64(1.0)
    for line in range(first, last):
        s = zero
        c = zero
        if down == 0:
            s = (wp.float64(line) - py) / dy
            c = px + s * dx
        else:
            s = (wp.float64(line) - px) / dx
            c = py + s * dy
        z = wp.float64(p[2]) + s * (wp.float64(q[2]) - wp.float64(p[2]))
        if c >= zero and c < wp.float64(across - 1) and z >= -one and z <= one:
            low = int(wp.floor(c))
            y = line
            x = low
            yn = line
            xn = low + 1
            if down == 1:
                y = low
                x = line
                yn = low + 1
                xn = line
            inside = depth[b, y, x]
            outside = depth[b, yn, xn]
            if greater == 1:
                inside = depth[b, yn, xn]
                outside = depth[b, y, x]
            if wp.isfinite(inside) and wp.float64(outside) > z:
                wp.atomic_min(keys, b, y, x, down, nearest_key(z, wp.int64(2) * wp.int64(e) + wp.int64(greater)))


def nearest_faces(screen: Tensor, faces: Tensor, size: tuple[int, int], cull: bool) -> Tensor:
    """[B, H, W] int64 keys, as `torch_visibility.nearest_faces`. No synchronisation on CUDA."""
    height, width = size
    keys = torch.full((screen.shape[0], height, width), NO_KEY, dtype=torch.int64, device=screen.device)
    if not keys.numel() or not len(faces):
        return keys
    start_warp()
    faces = faces.detach().contiguous()

    def draw(views: slice, which: int, strips: int, stream: Any) -> None:
        part = screen[views]
        wp.launch(
            draw_faces,
            dim=(len(part), len(faces), strips),
            inputs=[wp.from_torch(part, dtype=wp.vec4), wp.from_torch(faces), height, width, int(cull), which, strips],
            outputs=[wp.from_torch(keys[views])],
            device=str(screen.device),
            stream=stream,
        )

    if screen.is_cuda:
        # One thread a face starves the device when a few faces fill the picture: those are cut into strips of rows.
        stream = wp.stream_from_torch(torch.cuda.current_stream(screen.device))
        draw(slice(None), _SMALL_ONLY, 1, stream)
        draw(slice(None), _LARGE_ONLY, LARGE_STRIPS, stream)
    else:
        _over_views(len(keys), lambda views: draw(views, _EVERY, 1, None))
    return keys


def silhouette_crossings(screen: Tensor, edges: EdgeTable, depth: Tensor) -> Tensor:
    """[B, H, W, 2] int64 keys, as `torch_visibility.silhouette_crossings`. No synchronisation on CUDA."""
    height, width = depth.shape[1:]
    keys = torch.full((*depth.shape, 2), NO_KEY, dtype=torch.int64, device=screen.device)
    if not keys.numel() or not len(edges.ends):
        return keys
    start_warp()
    ends, opposite, depth = edges.ends.contiguous(), edges.opposite.contiguous(), depth.float().contiguous()

    def cross(views: slice, stream: Any) -> None:
        part = screen[views]
        wp.launch(
            cross_edges,
            dim=(len(part), len(ends)),
            inputs=[
                wp.from_torch(part, dtype=wp.vec4), wp.from_torch(ends), wp.from_torch(opposite), wp.from_torch(depth[views]),
                height, width,
            ],
            outputs=[wp.from_torch(keys[views])],
            device=str(screen.device),
            stream=stream,
        )  # fmt: skip

    if screen.is_cuda:
        cross(slice(None), wp.stream_from_torch(torch.cuda.current_stream(screen.device)))
    else:
        _over_views(len(keys), lambda views: cross(views, None))
    return keys


@cache
def load_kernels(device: str = "cpu") -> None:
    """Compile (or read from the cache) the kernels of this module for a device, so that the first picture does not wait."""
    start_warp()
    wp.load_module(sys.modules[__name__], device)


@cache
def _second_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "visibility")


def _over_views(views: int, work: Any) -> None:
    """Run `work` on two halves of the views at once: a launch on the CPU keeps one core busy and frees the interpreter lock."""
    load_kernels("cpu")
    if views < 2 or torch.get_num_threads() < 2:
        work(slice(0, views))
        return
    half = _second_thread().submit(work, slice(0, views // 2))
    work(slice(views // 2, views))
    half.result()
