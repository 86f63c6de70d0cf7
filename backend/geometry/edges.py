"""The edge table of a triangle mesh, from one sort."""

import torch
from torch import Tensor

from backend.geometry.contract import EdgeTable


def edge_table(faces: Tensor, vertex_count: int) -> EdgeTable:
    """Every undirected edge once, in increasing order, with the third vertices of its first two faces (-1 where there is none).

    faces [F,3] int64. An edge of more than two faces keeps the first two; an empty mesh gives an empty table. Synchronises once.
    """
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces must be [F,3] int64, got {list(faces.shape)} {faces.dtype}")
    start, end, third = (faces.roll(-corner, 1).reshape(-1) for corner in range(3))  # face by face
    key = torch.minimum(start, end) * vertex_count + torch.maximum(start, end)
    key, order = torch.sort(key, stable=True)
    third = third[order]
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    at = first.nonzero().view(-1)
    if len(at) == 0:
        empty = faces.new_zeros(0, 2)
        return EdgeTable(empty, empty.clone())
    following = (at + 1).clamp_max(len(key) - 1)
    second = torch.where((key[following] == key[at]) & (following > at), third[following], -1)
    edge = key[at]
    low = torch.div(edge, vertex_count, rounding_mode="floor")
    return EdgeTable(torch.stack([low, edge - low * vertex_count], 1), torch.stack([third[at], second], 1))
