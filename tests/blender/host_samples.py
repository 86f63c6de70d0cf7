# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes, records and results that the host's tests share."""

import struct
import uuid
import zlib
from typing import Any

import bpy
import numpy as np

from blender_addon.host.sketch import BlenderSketchReader
from blender_addon.ports import Asset, JobRecord, Sketch


def read(mode: str = "sketch", keep: str = "") -> Sketch:
    return BlenderSketchReader().read(mode, keep)


def png(red: int, green: int, blue: int, side: int = 4) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes((red, green, blue)) * side) * side)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def grid_sphere(rings: int, sides: int, radius: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere in the domain: vertices float32, faces int32."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    phi = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None]
    ring = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) * np.ones_like(phi)], axis=-1)
    vertices = np.concatenate([ring.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]]) * radius
    here, side = np.meshgrid(np.arange(rings - 2) * sides, np.arange(sides), indexing="ij")
    a, b = here + side, here + (side + 1) % sides
    walls = np.concatenate([np.stack([a, a + sides, b], -1).reshape(-1, 3), np.stack([b, a + sides, b + sides], -1).reshape(-1, 3)])
    first, second, last = np.arange(sides), (np.arange(sides) + 1) % sides, (rings - 2) * sides
    top, bottom = np.full(sides, len(vertices) - 2), np.full(sides, len(vertices) - 1)
    caps = np.concatenate([np.stack([top, first, second], -1), np.stack([bottom, last + second, last + first], -1)])
    return vertices.astype(np.float32), np.concatenate([walls, caps]).astype(np.int32)


def asset(vertices: np.ndarray | None = None, faces: np.ndarray | None = None, colour: tuple[int, int, int] = (255, 0, 0)) -> Asset:
    if vertices is None or faces is None:
        vertices, faces = grid_sphere(12, 16)
    uv = np.random.default_rng(1).random((len(faces) * 3, 2), dtype=np.float32)
    return Asset({"vertices": vertices, "faces": faces, "loop_uv": uv}, {"base_colour.png": png(*colour), "normal.png": png(128, 128, 255)})


def record(sketch: Sketch, mode: str = "sketch", **changes: Any) -> JobRecord:
    fields: dict[str, Any] = {
        "job": uuid.uuid4().hex,
        "token": "t" * 32,
        "name": sketch.name,
        "mode": mode,
        "prompt": "a red apple",
        "to_world": sketch.to_world,
        "target": sketch.target,
        "sources": sketch.sources,
        "settings": '{"method": "bridge", "seed": 7}',
    }
    return JobRecord(**{**fields, **changes})


def add_mesh(name: str, vertices: Any, faces: Any) -> bpy.types.Object:
    """A selected, active object with this mesh."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(vertices).tolist(), [], np.asarray(faces).tolist())
    return add(bpy.data.objects.new(name, mesh))


def add(item: bpy.types.Object) -> bpy.types.Object:
    bpy.context.collection.objects.link(item)
    item.select_set(True)
    bpy.context.view_layer.objects.active = item
    bpy.context.view_layer.update()
    return item


def add_sphere(name: str = "Ball") -> bpy.types.Object:
    return add_mesh(name, *grid_sphere(10, 12, 1.0))


def add_cube(name: str = "Box") -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.name = name
    return bpy.context.object


def deselect() -> None:
    for item in bpy.context.selected_objects:
        item.select_set(False)


def world(item: bpy.types.Object) -> np.ndarray:
    """World positions of the object's mesh [V,3] float64."""
    bpy.context.view_layer.update()
    values = np.empty(len(item.data.vertices) * 3, np.float32)
    item.data.vertices.foreach_get("co", values)
    matrix = np.array(item.matrix_world, dtype=np.float64)
    return values.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def placed(sketch: Sketch | JobRecord, points: np.ndarray) -> np.ndarray:
    """Domain points in the world [N,3] float64."""
    matrix = np.array(sketch.to_world).reshape(4, 4)
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def diagonal(points: np.ndarray) -> float:
    return float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def edge_use(faces: np.ndarray) -> tuple[int, int]:
    """Directed edges that occur more than once, and those without their opposite: (0, 0) for a closed, consistently wound surface."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    table = {tuple(edge) for edge in edges.tolist()}
    return len(edges) - len(table), sum((b, a) not in table for a, b in table)


def blocks() -> dict[str, int]:
    """How many datablocks of each kind the file has."""
    return {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "images", "collections", "node_groups")}
