"""Triangle meshes of zoo objects: synthetic sketches and ground truth from the same primitives as the pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from backend.assets.mesh import TriangleMesh
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.marching import march
from backend.zoo.field import evaluate
from backend.zoo.primitives import Kind, Pattern, Primitive, ZooObject, fit_to_domain


def object_mesh(thing: ZooObject, cells: int = 96) -> TriangleMesh:
    """The surface of an object in the domain [-1, 1]^3: watertight, linear vertex colours, faces labelled by part.

    `cells` is the number of grid cells along each side; what is thinner than about two cells (0.04 at the default) may break up.
    """
    grid = KuhnGrid(cells)
    distance, _, _ = evaluate(thing.primitives, grid.positions.numpy())
    surface = march(grid, torch.from_numpy(distance), grid.positions)
    vertices, faces = surface.vertices.numpy(), surface.faces.numpy()
    _, colours, _ = evaluate(thing.primitives, vertices)
    _, _, nearest = evaluate(thing.primitives, vertices[faces].mean(1))
    names = list(dict.fromkeys(p.part or thing.noun for p in thing.primitives))
    part_of = np.array([names.index(p.part or thing.noun) for p in thing.primitives])
    return TriangleMesh(vertices, faces, colours, part_of[nearest].astype(np.int64), names)


def rough_object(thing: ZooObject, seed: int, *, amount: float = 0.12) -> ZooObject:
    """The object as somebody might sketch it: every part a little off in size, place and angle, no patterns, small parts left out.

    `amount` is the typical relative error; parts whose bound is under 6 % of the object are dropped, unless a stem or a leg.
    """
    rng = np.random.default_rng([seed, 13])
    rough: list[Primitive] = []
    for solid in thing.primitives:
        lengths = solid.sizes[: 2 if solid.kind is Kind.TORUS else 3]
        if max(lengths) < 0.06 * 0.8:
            continue
        axis = rng.normal(0, 1, 3)
        angle = rng.normal(0, 0.6 * amount)
        moved = solid.moved(float(np.exp(rng.normal(0, 0.5 * amount))), np.zeros(3))
        rough.append(
            dataclasses.replace(
                moved,
                centre=solid.centre + rng.normal(0, 0.25 * amount, 3) * max(lengths),
                frame=solid.frame @ _rotation(axis / np.linalg.norm(axis), angle),
                pattern=Pattern.PLAIN,
            )
        )
    solids, radius = fit_to_domain(rough or list(thing.primitives))
    return dataclasses.replace(thing, primitives=solids, radius=radius, pattern=Pattern.PLAIN)


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix about a unit axis, radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
