"""Nearest point, winding number and rays against a fixed triangle mesh, on the CPU or a CUDA device through Warp."""

from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

from backend.geometry.warp_start import start_warp

FAR = 1.0e6


class Nearest(NamedTuple):
    """Closest surface point of each query."""

    distance: Tensor  # [P] float32, unsigned
    face: Tensor  # [P] int64
    bary: Tensor  # [P, 3] float32 barycentrics on that face


@wp.kernel(enable_backward=False)
def _nearest(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=float),
    face: wp.array(dtype=int),
    bary: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    query = wp.mesh_query_point_no_sign(mesh, points[i], 1.0e6)
    if query.result:
        point = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        distance[i] = wp.length(points[i] - point)
        face[i] = query.face
        bary[i] = wp.vec3(query.u, query.v, 1.0 - query.u - query.v)
    else:
        distance[i] = 1.0e6
        face[i] = 0
        bary[i] = wp.vec3(1.0, 0.0, 0.0)


@wp.kernel(enable_backward=False)
def _winding(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    threshold: float,
    inside: wp.array(dtype=float),
):
    i = wp.tid()
    query = wp.mesh_query_point_sign_winding_number(mesh, points[i], 1.0e6, 2.0, threshold)
    inside[i] = 0.0
    if query.result and query.sign < 0.0:
        inside[i] = 1.0


@wp.kernel(enable_backward=False)
def _ray(
    mesh: wp.uint64,
    starts: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    length: wp.array(dtype=float),
):
    i = wp.tid()
    query = wp.mesh_query_ray(mesh, starts[i], directions[i], 1.0e6)
    length[i] = 1.0e6
    # A back face is the way out; a front face belongs to another sheet that crosses this one.
    if query.result and wp.dot(query.normal, directions[i]) > 0.0:
        length[i] = query.t


class MeshQueries:
    """Queries against vertices [V,3] and faces [F,3] (any device; a copy is kept on `device`). The mesh must have a face.

    Faces are counted outwards-oriented where a sign matters. Queries of no points give empty tensors.
    """

    def __init__(self, vertices: Tensor, faces: Tensor, device: torch.device | str = "cpu", *, winding: bool = False) -> None:
        if len(faces) == 0:
            raise ValueError("queries need a mesh with at least one face, got none")
        start_warp()
        self.device = torch.device(device)
        self._points = wp.from_torch(vertices.detach().to(self.device, torch.float32).contiguous(), dtype=wp.vec3)
        self._indices = wp.from_torch(faces.detach().to(self.device, torch.int32).contiguous().view(-1))
        self._mesh = wp.Mesh(points=self._points, indices=self._indices, support_winding_number=winding)

    def nearest(self, points: Tensor) -> Nearest:
        """Closest surface point of each of `points` [P,3]; without gradient."""
        points = self._ready(points)
        distance = torch.empty(len(points), device=self.device)
        face = torch.empty(len(points), dtype=torch.int32, device=self.device)
        bary = torch.empty(len(points), 3, device=self.device)
        self._launch(_nearest, points, [_vectors(points), wp.from_torch(distance), wp.from_torch(face), _vectors(bary)])
        return Nearest(distance, face.long(), bary)

    def inside(self, points: Tensor, threshold: float = 0.5) -> Tensor:
        """Whether the winding number at each of `points` [P,3] is above `threshold`; needs `winding=True`."""
        points = self._ready(points)
        result = torch.empty(len(points), device=self.device)
        self._launch(_winding, points, [_vectors(points), float(threshold), wp.from_torch(result)])
        return result > 0.5

    def way_out(self, starts: Tensor, directions: Tensor) -> Tensor:
        """Distance [P] from inside along unit `directions` [P,3] to the first back face; `FAR` if none, or a front face, is met first."""
        starts, directions = self._ready(starts), self._ready(directions)
        length = torch.empty(len(starts), device=self.device)
        self._launch(_ray, starts, [_vectors(starts), _vectors(directions), wp.from_torch(length)])
        return length

    def _ready(self, points: Tensor) -> Tensor:
        return points.detach().to(self.device, torch.float32).contiguous()

    def _launch(self, kernel: Any, points: Tensor, inputs: list[Any]) -> None:
        if len(points):
            wp.launch(kernel, dim=len(points), inputs=[self._mesh.id, *inputs], device=wp.device_from_torch(self.device))


def _vectors(points: Tensor) -> Any:
    return wp.from_torch(points, dtype=wp.vec3)
