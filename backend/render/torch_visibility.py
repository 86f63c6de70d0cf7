"""Visibility and silhouette crossings in plain tensor code: the oracle for the kernels, and the fallback where Warp does not load.

Every (face, pixel of its box) and (edge, row it crosses) pair is enumerated in chunks; the same 64-bit keys as in the
kernels pick the nearest. Four to forty times slower than the kernels, same integers.
"""

import torch
from torch import Tensor

from backend.geometry.contract import EdgeTable

from .screen import KEY_SCALE, MIN_W, NO_KEY

PAIRS_PER_CHUNK = 1 << 20


def nearest_faces(screen: Tensor, faces: Tensor, size: tuple[int, int], cull: bool) -> Tensor:
    """[B, H, W] int64: depth and index of the nearest face per pixel as keys of `screen.KEY_SCALE`, `NO_KEY` where there is none.

    Ties in depth go to the smaller face. Synchronises (sizes depend on values).
    """
    height, width = size
    keys = torch.full((screen.shape[0], height, width), NO_KEY, dtype=torch.int64, device=screen.device)
    if not len(faces):
        return keys
    for view, flat in zip(screen.double(), keys.view(-1, height * width), strict=True):
        corners = view[faces]  # [F, 3, 4]
        x, y = corners[..., 0], corners[..., 1]
        area = _edge_function(faces[:, 0], faces[:, 1], corners[:, 0], corners[:, 1], x[:, 2], y[:, 2])
        usable = (corners[..., 3] > MIN_W).all(-1) & (area != 0)
        if cull:
            usable &= area < 0  # counter-clockwise from outside turns clockwise where y points down
        left, top = x.amin(-1).ceil().clamp(0, width), y.amin(-1).ceil().clamp(0, height)
        columns = (x.amax(-1).floor().clamp(-1, width - 1) - left + 1).clamp(min=0).long()
        rows = (y.amax(-1).floor().clamp(-1, height - 1) - top + 1).clamp(min=0).long()
        count = torch.where(usable, columns * rows, 0)
        for chosen in _chunks(count):
            face, place = _enumerate(chosen, count)
            px = left[face] + place % columns[face]
            py = top[face] + place // columns[face]
            index, corner = faces[face], corners[face]
            sign = area[face].sign()
            total = area[face]
            depth = torch.zeros_like(total)
            inside = torch.ones_like(face, dtype=torch.bool)
            for k in range(3):
                i, j = (k + 1) % 3, (k + 2) % 3
                e = _edge_function(index[:, i], index[:, j], corner[:, i], corner[:, j], px, py)
                inside &= e * sign >= 0
                depth = depth + e / total * corner[:, k, 2]
            inside &= (depth >= -1) & (depth <= 1)
            key = _key(depth[inside], face[inside])
            flat.scatter_reduce_(0, (py[inside] * width + px[inside]).long(), key, "amin")
    return keys


def silhouette_crossings(screen: Tensor, edges: EdgeTable, depth: Tensor) -> Tensor:
    """[B, H, W, 2] int64: nearest silhouette edge between each pixel and its right (0) or lower (1) neighbour, `NO_KEY` where none.

    The payload is 2 * edge + side; side 0 says that the pixel itself lies inside the silhouette, 1 that its neighbour does.
    `depth` [B, H, W] is infinite where nothing is covered. Synchronises.
    """
    height, width = depth.shape[1:]
    keys = torch.full((*depth.shape, 2), NO_KEY, dtype=torch.int64, device=screen.device)
    if not len(edges.ends):
        return keys
    for view, seen, flat in zip(screen.double(), depth.double(), keys.view(-1, height * width * 2), strict=True):
        kept, side = _silhouettes(view, edges)
        ends = view[edges.ends[kept]]
        step = ends[:, 1] - ends[:, 0]
        vertical_pair = step[:, 1].abs() < step[:, 0].abs()
        # `across` is the axis along which the two pixels of a pair differ, `line` numbers the rows (columns) crossed.
        across = torch.where(vertical_pair, 1, 0)
        line = 1 - across
        start = ends.gather(2, line[:, None, None].expand(-1, 2, 1))[..., 0]
        lines = torch.where(vertical_pair, width, height)
        first = torch.minimum(start.amin(-1).ceil().clamp(min=0), lines)
        last = torch.minimum(start.amax(-1).ceil().clamp(min=0), lines)
        count = (last - first).long()
        greater = torch.where(vertical_pair, side * step[:, 0] > 0, side * step[:, 1] < 0)  # inside has the larger index
        for chosen in _chunks(count):
            which, place = _enumerate(chosen, count)
            a, d, along, other = ends[which, 0], step[which], across[which, None], line[which, None]
            row = first[which] + place
            s = (row - a.gather(1, other)[:, 0]) / d.gather(1, other)[:, 0]
            c = a.gather(1, along)[:, 0] + s * d.gather(1, along)[:, 0]
            z = a[:, 2] + s * d[:, 2]
            low = c.floor()
            fits = (low >= 0) & (low + 1 < torch.where(vertical_pair[which], height, width))
            which, row, low, z = which[fits], row[fits].long(), low[fits].long(), z[fits]
            down = vertical_pair[which]
            pixel = torch.where(down, low * width + row, row * width + low)
            neighbour = pixel + torch.where(down, width, 1)
            inside = torch.where(greater[which], neighbour, pixel)
            outside = torch.where(greater[which], pixel, neighbour)
            shown = seen.view(-1)[inside].isfinite() & (seen.view(-1)[outside] > z) & (z >= -1) & (z <= 1)
            key = _key(z, 2 * kept[which] + greater[which].long())
            flat.scatter_reduce_(0, (2 * pixel + down.long())[shown], key[shown], "amin")
    return keys


def _silhouettes(view: Tensor, edges: EdgeTable) -> tuple[Tensor, Tensor]:
    """Indices of silhouette edges in one view, and the signed side of the surface (as `_edge_function` of the edge)."""
    ends = view[edges.ends]
    there = edges.opposite >= 0
    third = view[edges.opposite.clamp(min=0)]
    low, high = edges.ends[:, 0], edges.ends[:, 1]
    sides = torch.stack([_edge_function(low, high, ends[:, 0], ends[:, 1], third[:, k, 0], third[:, k, 1]).sign() for k in range(2)], -1)
    sides = torch.where(there, sides, 0.0)
    side = torch.where(sides[:, 0] != 0, sides[:, 0], sides[:, 1])
    usable = (ends[..., 3] > MIN_W).all(-1) & ((third[..., 3] > MIN_W) | ~there).all(-1)
    kept = (usable & (side != 0) & (sides[:, 0] * sides[:, 1] >= 0)).nonzero()[:, 0]
    return kept, side[kept]


def _edge_function(i: Tensor, j: Tensor, a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed area of (a, b, point), evaluated from the smaller vertex index, so that two faces agree on a shared edge."""
    swap = i > j
    ax, ay = torch.where(swap, b[:, 0], a[:, 0]), torch.where(swap, b[:, 1], a[:, 1])
    bx, by = torch.where(swap, a[:, 0], b[:, 0]), torch.where(swap, a[:, 1], b[:, 1])
    e = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return torch.where(swap, -e, e)


def _key(depth: Tensor, payload: Tensor) -> Tensor:
    return (((depth * 0.5 + 0.5) * KEY_SCALE).long() << 32) | payload


def _chunks(count: Tensor) -> list[Tensor]:
    """Item indices in runs whose counts sum to about `PAIRS_PER_CHUNK`; items that count nothing are left out."""
    items = count.nonzero()[:, 0]
    if not len(items):
        return []
    run = (count[items].cumsum(0) - 1) // PAIRS_PER_CHUNK
    return list(items.split(torch.bincount(run).tolist()))


def _enumerate(items: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Each item repeated `count` times, with the running number of the repetition."""
    times = count[items]
    item = items.repeat_interleave(times)
    place = torch.arange(len(item), device=items.device) - (times.cumsum(0) - times).repeat_interleave(times)
    return item, place
