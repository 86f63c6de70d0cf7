# SPDX-License-Identifier: GPL-3.0-or-later
"""How long Blender stands still while something is applied. Run with -s to see the table; the bounds are three times looser."""

import time

import bpy
import numpy as np
import pytest
from host_samples import add_mesh, asset, grid_sphere, read, record

from blender_addon.host.preview import BlenderPreviews
from blender_addon.host.versions import BlenderVersions

BOUND_MS = {10_000: (40, 6, 400), 50_000: (200, 25, 1_200), 200_000: (1_000, 100, 5_000)}
"""Vertices -> ms for a preview rebuilt, a preview moved, a result accepted with weights to carry."""


def sphere(count: int) -> tuple[np.ndarray, np.ndarray]:
    return grid_sphere(round((count / 2) ** 0.5), round((count * 2) ** 0.5))


def timed(do) -> tuple[object, float]:
    start = time.perf_counter()
    result = do()
    return result, 1000 * (time.perf_counter() - start)


@pytest.mark.parametrize("count", sorted(BOUND_MS))
def test_apply_times(count: int) -> None:
    item = add_mesh("Ball", *grid_sphere(60, 80))
    item.vertex_groups.new(name="Group").add(list(range(2000)), 1.0, "REPLACE")
    job, previews = record(read()), BlenderPreviews()
    vertices, faces = sphere(count)
    colours = np.full((len(vertices), 3), 200, np.uint8)
    previews.show(job)
    _, rebuild = timed(lambda: previews.update(job.job, vertices, faces, colours, False))
    _, move = timed(lambda: previews.update(job.job, vertices * 0.9, faces, colours, True))
    made = asset(vertices, faces)
    _, accept = timed(lambda: BlenderVersions().accept(job, made))
    where = f"Blender {bpy.app.version_string}, {len(vertices)} vertices"
    print(f"\n{where}: rebuild {rebuild:.1f} ms, move {move:.1f} ms, accept {accept:.0f} ms")
    assert rebuild < BOUND_MS[count][0]
    assert move < BOUND_MS[count][1] and accept < BOUND_MS[count][2]
    assert move < rebuild


def test_reading_a_dense_mesh() -> None:
    item = add_mesh("Ball", *sphere(100_000))
    item.vertex_groups.new(name="Keep").add(list(range(50_000)), 1.0, "REPLACE")
    _, plain = timed(read)
    _, keep = timed(lambda: read(keep="Keep"))
    print(f"\nBlender {bpy.app.version_string}, read 100k vertices: {plain:.0f} ms, with a keep group {keep:.0f} ms")
    assert plain < 1500 and keep < 2500
