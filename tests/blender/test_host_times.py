# SPDX-License-Identifier: GPL-3.0-or-later
"""How applying scales, as ratios within one run; `benchmarks/blender.py` has the milliseconds."""

import time

import bpy
import numpy as np
from host_samples import add_mesh, grid_sphere, read, record

from blender_addon.host.preview import BlenderPreviews


def fastest(do) -> float:
    """Seconds of the fastest of three, so that a busy machine does not decide."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return min(taken)


def test_moving_a_preview_costs_less_than_building_it_and_building_less_than_from_pydata() -> None:
    add_mesh("Ball", *grid_sphere(20, 24))
    job, previews = record(read()), BlenderPreviews()
    vertices, faces = grid_sphere(158, 316)
    colours = np.full((len(vertices), 3), 200, np.uint8)
    previews.show(job)
    built = fastest(lambda: previews.update(job.job, vertices, faces, colours, False))
    moved = fastest(lambda: previews.update(job.job, vertices, faces, colours, True))
    points, corners = vertices.tolist(), faces.tolist()

    def plainly() -> None:
        mesh = bpy.data.meshes.new("Plain")
        mesh.from_pydata(points, [], corners)
        bpy.data.meshes.remove(mesh)

    assert moved < 0.5 * built
    assert built < fastest(plainly)
