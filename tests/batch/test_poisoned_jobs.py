"""Jobs that cannot work, among some that can: the command quarantines them with a sentence, does the rest, and says so in its status."""

import json
import subprocess
import sys

import pytest
import trimesh

from backend.batch.plan import plan_of
from tests.priors.tiny import write_tiny_folder

pytestmark = pytest.mark.long

MOST_GB = 6
"""Address space of every process, so that any machine runs out of it in the same way."""


def test_broken_mesh_want_of_memory_and_numbers_that_run_away(tmp_path, out, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # every thread takes address space
    write_tiny_folder(tmp_path / "tiny")
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.export(tmp_path / "ball.ply")
    vertices = ball.vertices.copy()
    vertices[7] = float("nan")
    trimesh.Trimesh(vertices, ball.faces, process=False).export(tmp_path / "nan.ply")
    settings = {"prompt": "a red mug", "sketch": "ball.ply", "prior": "tiny", "grid": 24, "preview_every": 0}
    small = {**settings, "preset": "quick", "steps": 10, "budget": {"faces": 300, "texture_px": 64}}
    stage = {"name": "colour", "steps": 10}
    jobs = [
        {**small, "id": "good", "seed": [0, 1]},
        {**small, "id": "nan", "sketch": "nan.ply"},
        {**small, "id": "huge", "stages": [{**stage, "views": 60_000}]},
        {**small, "id": "wild", "stages": [{**stage, "colour_rate": [1e38, 1e38]}]},
    ]
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    limited = ["prlimit", f"--as={MOST_GB << 30}", sys.executable, "-m", "backend.cli.main"]
    ended = subprocess.run([*limited, "batch", str(path), "--out", str(out), "--json"], capture_output=True, text=True, check=False)
    assert ended.returncode == 5, ended.stdout[-2000:] + ended.stderr[-2000:]
    end = json.loads(ended.stdout.splitlines()[-1])
    assert end["done"] == 2 and end["left"] == 0
    ids = {job.id.split("-")[0]: job.id for job in plan_of(path).plan.jobs}
    assert set(end["failed"]) == {ids["nan"], ids["huge"], ids["wild"]}
    failed = {name: json.loads((out / "jobs" / ids[name] / "failed.json").read_text()) for name in ("nan", "huge", "wild")}
    assert {name: each["code"] for name, each in failed.items()} == {"nan": "input", "huge": "memory", "wild": "numerical"}
    assert failed["nan"]["sentence"].startswith("nan.ply has 1 vertex with coordinates that are not numbers")
    assert failed["huge"]["sentence"] == "The device has not enough memory for this job."
    assert [len(each["attempts"]) for each in failed.values()] == [1, 2, 1], "only want of memory is tried again, with half the views"
    assert all(end["failed"][ids[name]] == each["sentence"] for name, each in failed.items())
    table = (out / "table.csv").read_text()
    assert all(each["sentence"] in table for each in failed.values()) and (out / "index.html").is_file()
