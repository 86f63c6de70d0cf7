"""UV coordinates for a mesh, made in a child process that can be ended."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np

import backend
from backend.errors import Cancelled
from backend.geometry.grid_atlas import grid_atlas

log = logging.getLogger(__name__)
POLL_S = 0.02
RETRY_JITTER = 1e-4
"""Share of the size by which vertices move for a second try: on some perfectly regular meshes xatlas crashes."""


class Outcome(Enum):
    """How the child ended."""

    DONE = "done"
    LATE = "late"
    FAILED = "failed"


class Unwrapped(NamedTuple):
    """A mesh cut at its seams. `how` is "xatlas" or "grid"; `paintable` False means that charts are single triangles."""

    vertex_map: np.ndarray  # [V'] int64, the given vertex behind each new one
    faces: np.ndarray  # [F, 3] int64 over the new vertices, in the given order
    uv: np.ndarray  # [V', 2] float32 in 0..1, origin bottom-left
    paintable: bool
    how: str
    note: str  # one sentence for the artist, "" if all went well


def unwrap(
    vertices: np.ndarray,  # [V, 3]
    faces: np.ndarray,  # [F, 3]
    *,
    deadline_s: float = 60.0,
    memory_bytes: int = 4 << 30,
    texture_px: int = 1024,
    should_stop: Callable[[], bool] = lambda: False,
) -> Unwrapped:
    """Charts from xatlas if it ends in time and memory, else a grid of triangles; never a failure for want of either.

    xatlas takes about quadratic time (seconds at 20 k faces). `should_stop` is asked every 20 ms; raises Cancelled, with the child
    ended, once it says yes. An empty mesh gives empty arrays.
    """
    if len(faces) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Unwrapped(empty, empty.reshape(0, 3), np.zeros((0, 2), dtype=np.float32), True, "xatlas", "")
    started = time.monotonic()
    problem = ""
    for jitter in (0.0, RETRY_JITTER):
        left_s = max(0.0, deadline_s - (time.monotonic() - started))
        with tempfile.TemporaryDirectory(prefix="sketchbridge-unwrap-") as name:
            folder = Path(name)
            np.savez(folder / "mesh.npz", vertices=_jittered(vertices, jitter), faces=np.asarray(faces, dtype=np.uint32))
            outcome = _run_child(folder, left_s, memory_bytes, texture_px, should_stop)
            if outcome is Outcome.DONE:
                with np.load(folder / "atlas.npz") as atlas:
                    uv = atlas["uv"]
                    charts = Unwrapped(atlas["vertex_map"].astype(np.int64), atlas["faces"].astype(np.int64), uv, True, "xatlas", "")
                if _is_complete(charts, faces):
                    return charts
        problem = f"took longer than {deadline_s:g} s" if outcome is Outcome.LATE else "failed"
        if outcome is Outcome.LATE:
            break
    log.warning("unwrapping fell back to the grid atlas: it %s", problem)
    note = f"Unwrapping {problem}, so the texture uses a grid of triangles, which is not made for painting."
    return Unwrapped(*grid_atlas(vertices, faces, texture_px), paintable=False, how="grid", note=note)


def _jittered(vertices: np.ndarray, share: float) -> np.ndarray:
    """Vertices [V,3] float32 moved at random by up to `share` of the mesh's size; always the same way."""
    points = np.asarray(vertices, dtype=np.float32)
    noise = np.random.default_rng(0).uniform(-share, share, points.shape)
    return (points + noise * np.ptp(points, axis=0).max()).astype(np.float32)


def _run_child(folder: Path, deadline_s: float, memory_bytes: int, texture_px: int, should_stop: Callable[[], bool]) -> Outcome:
    """Run xatlas on the mesh in `folder`. The child has ended when this returns or raises."""
    root = str(Path(backend.__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    started = time.monotonic()
    with open(folder / "errors.txt", "wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "backend.geometry.unwrap_child", str(folder), str(memory_bytes), str(deadline_s), str(texture_px)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C at the terminal is the parent's to answer
        )
        try:
            while child.poll() is None:
                if should_stop():
                    raise Cancelled("Unwrapping was stopped.")
                if time.monotonic() - started > deadline_s:
                    return Outcome.LATE
                time.sleep(POLL_S)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
    if child.returncode == 0:
        return Outcome.DONE
    log.warning("the unwrapping process ended with %s: %s", child.returncode, (folder / "errors.txt").read_text(errors="replace")[-500:])
    return Outcome.FAILED


def _is_complete(charts: Unwrapped, faces: np.ndarray) -> bool:
    same = charts.faces.shape == faces.shape and np.array_equal(charts.vertex_map[charts.faces], faces)
    return bool(same and np.isfinite(charts.uv).all() and charts.uv.min() >= 0 and charts.uv.max() <= 1)
