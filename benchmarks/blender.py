# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension costs Blender's main thread: ticks, previews, accepting, and an upload of 64 MiB.

    .venv-bpy50/bin/python -m benchmarks.blender             prints the tables
    .venv-bpy50/bin/python -m benchmarks.blender --write     also puts them into docs/benchmarks.md

The upload goes to a real server, started with the other environment's Python (`--server-python`).
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np

import blender_addon
from backend.experiments.page import put
from blender_addon import runtime
from blender_addon.core.session import Session
from blender_addon.host.preview import BlenderPreviews
from blender_addon.host.sketch import BlenderSketchReader
from blender_addon.host.versions import BlenderVersions
from blender_addon.link.runtime import open_session
from blender_addon.ports import Asset, JobRecord
from protocol.events import JobChanged, Link
from protocol.job import RefineJob
from protocol.messages import JobState
from tests.blender.scripted_server import WELCOME, ScriptedServer, png

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "benchmarks.md"
SIZES = (10_000, 50_000, 200_000)


def sphere(count: int, ripple: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A closed grid with about `count` vertices: positions float32 and triangles int32."""
    rings = int(math.sqrt(count / 2))
    around = 2 * rings
    polar, turn = np.meshgrid(np.linspace(0.01, math.pi - 0.01, rings), np.linspace(0, 2 * math.pi, around, endpoint=False), indexing="ij")
    radius = 0.8 + ripple * np.sin(8 * turn)
    points = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1) * radius[..., None]
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    one, two = ring * around + step, ring * around + (step + 1) % around
    faces = np.concatenate(
        [np.stack([one, one + around, two], -1).reshape(-1, 3), np.stack([two, one + around, two + around], -1).reshape(-1, 3)]
    )
    return points.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


def milliseconds(call) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def ticks(folder: Path) -> list[list[str]]:
    """The tick with so many events waiting: median and slowest of 200."""
    rows = []
    for events in (0, 10, 100):
        session = _scripted(folder)
        job = "0" * 32
        state = JobState(job=job, state="running", mode="sketch", prompt="a red flower", phase="shape", steps=1000, losses={"sds": 1.0})
        taken = []
        for _ in range(200):
            session.ports.server.events += [JobChanged(state) for _ in range(events)]
            taken.append(milliseconds(lambda session=session: session.tick(0.008)))
        rows.append([str(events), f"{statistics.median(taken):.2f}", f"{max(taken):.2f}"])
    return rows


def applying(count: int) -> list[str]:
    """A preview rebuilt, one with the same topology (positions and colours), and an accepted result with maps and carried weights."""
    bpy.ops.wm.read_homefile(use_empty=True)
    vertices, faces = sphere(count)
    larger, colours = vertices * np.float32(1.01), np.full((len(vertices), 3), 180, np.uint8)
    previews, versions = BlenderPreviews(), BlenderVersions()
    uid = _drawn()["sketchbridge_uid"]
    identity = tuple(float(i == j) for i in range(4) for j in range(4))
    record = JobRecord(
        job="1" * 32, token="", name="Ball", mode="sketch", prompt="a ball", to_world=identity, target=uid, sources=(uid,)
    )  # fmt: skip
    previews.show(record)
    rebuilt = milliseconds(lambda: previews.update(record.job, vertices, faces, colours, False))
    moved = min(milliseconds(lambda: previews.update(record.job, larger, faces, colours, True)) for _ in range(3))
    previews.remove(record.job)
    uv = np.random.default_rng(0).random((3 * len(faces), 2), dtype=np.float32)
    files = {"base_colour.png": png((200, 30, 30)), "normal.png": png((128, 128, 255))}
    accepted = milliseconds(lambda: versions.accept(record, Asset({"vertices": vertices, "faces": faces, "loop_uv": uv}, files)))
    return [f"{round(len(vertices) / 1000)} k", f"{rebuilt:.1f}", f"{moved:.1f}", f"{accepted:.0f}"]


def upload(python: Path, folder: Path) -> list[list[str]]:
    """Ticks of the session while 64 MiB go to a real server."""
    with subprocess.Popen(
        [str(python), "-m", "backend.cli.main", "serve", "--port", "0", "--data", str(folder / "data"), "--devices", "cpu", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)},
    ) as server:  # fmt: skip
        try:
            address = json.loads(server.stdout.readline())["address"]
            session = open_session(folder, BlenderSketchReader(), BlenderPreviews(), BlenderVersions())
            from blender_addon.link.runtime import close_session, dial

            dial(session, address, "benchmark")
            _tick_until(session, lambda: session.ready, [])
            vertices, faces = sphere(1_000_000)
            vertices = np.concatenate([vertices, vertices[:530_000]])
            arrays = {"vertices": vertices, "faces": faces, "colours": np.zeros_like(vertices), "keep": np.zeros(len(vertices), np.float32)}
            job, taken = "2" * 32, []
            whole = sum(array.nbytes for array in arrays.values())
            began = time.perf_counter()
            session.ports.server.submit(job, RefineJob(prompt="a ball", steps=0), arrays, "Ball")
            row = lambda: session.rows.get(job)  # noqa: E731
            _tick_until(session, lambda: row() and row().state and row().state.state not in ("", "uploading"), taken)
            seconds = time.perf_counter() - began
            session.ports.server.cancel(job, "discard")
            for _ in range(20):
                session.tick(0.008)
            close_session(session)
            return [[f"{whole / 2**20:.0f}", f"{seconds:.1f}", str(len(taken)), f"{statistics.median(taken):.2f}", f"{max(taken):.2f}"]]
        finally:
            server.terminate()


def _tick_until(session: Session, test, taken: list[float]) -> None:
    end = time.monotonic() + 120
    while not test():
        taken.append(milliseconds(lambda: session.tick(0.008)))
        time.sleep(0.005)
        if time.monotonic() > end:
            raise SystemExit(f"The server did not answer within 120 s: {session.link}")


def _scripted(folder: Path) -> Session:
    session = open_session(folder, BlenderSketchReader(), BlenderPreviews(), BlenderVersions())
    session.use(ScriptedServer(WELCOME), "tcp://127.0.0.1:1")
    session.ports.server.connect()
    while session.link.link is not Link.READY:
        session.tick(0.008)
    return session


def _drawn():
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=32, radius=0.8)
    thing = bpy.context.object
    for number in range(2):
        group = thing.vertex_groups.new(name=f"group {number}")
        group.add([v.index for v in thing.data.vertices if (v.co.z > 0) == bool(number)], 1.0, "REPLACE")
    thing["sketchbridge_uid"] = "3" * 32
    return thing


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--server-python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    options = parser.parse_args()
    bpy.ops.preferences.addon_enable(module=blender_addon.__name__)
    if bpy.app.timers.is_registered(runtime.tick):
        bpy.app.timers.unregister(runtime.tick)
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            f"Blender {bpy.app.version_string} as a module, {platform.machine()}, 2 cores, milliseconds on the main thread",
            table(["events waiting", "tick, median", "tick, slowest"], ticks(Path(folder))),
            table(["vertices", "preview rebuilt", "preview moved", "accepted"], [applying(count) for count in SIZES]),
            table(["MiB sent", "seconds", "ticks", "tick, median", "tick, slowest"], upload(options.server_python, Path(folder))),
        ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.write:
        put(text, TABLE, "blender")
    bpy.ops.preferences.addon_disable(module=blender_addon.__name__)
    sys.stdout.flush()
    os._exit(0)


os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp())
main()
