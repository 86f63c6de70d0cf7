"""`sketchbridge refine` from the outside: its lines for programs, Ctrl-C and going on, repeating a report, texture mode."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from backend.assets.gltf import Gltf, split_glb
from backend.assets.polygons import read_polygons
from backend.cli.main import app
from protocol.job import Budget, RefineJob, Stage, Timesteps
from tests.priors.tiny import write_tiny_folder

SKETCHES = Path(__file__).parent.parent.parent / "examples" / "sketches"


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_tiny_folder(tmp_path_factory.mktemp("prior"))


@pytest.fixture
def job_file(tmp_path, prior):
    """A job of 30 steps on a ball, with progress after every fifth."""
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    window = Timesteps(high=(0.9, 0.5))
    job = RefineJob(
        prompt="a red mug",
        sketch=str(tmp_path / "ball.ply"),
        prior=str(prior),
        stages=(
            Stage(name="shape", optimise="both", steps=10, views=2, timesteps=window),
            Stage(name="finish", steps=20, views=2, timesteps=window, bank=4),
        ),
        grid=32,
        warm_start=False,
        preview_every=5,
        device="cpu",
        budget=Budget(faces=500, texture_px=64),
    )
    path = tmp_path / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    return path


def _refine(*arguments):
    result = CliRunner().invoke(app, ["refine", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def test_json_lines_and_a_report_that_repeats_the_run(tmp_path, job_file):
    told = _refine("--job", job_file, "--out", tmp_path / "a", "--json").stdout
    events = [json.loads(line) for line in told.splitlines()]
    assert {event["event"] for event in events} == {"note", "preview", "progress", "result"}  # the note is the estimate
    assert all(Path(event["picture"]).is_file() for event in events if event["event"] == "preview")
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert events[-1]["outcome"] == "done" and events[-1]["steps"] == 30
    assert all(Path(name).is_file() for name in events[-1]["files"])
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"asset.glb", "sheet.png", "report.json", "previews"}

    _refine("--job", tmp_path / "a" / "report.json", "--out", tmp_path / "b")
    assert (tmp_path / "a" / "asset.glb").read_bytes() == (tmp_path / "b" / "asset.glb").read_bytes()


def test_ctrl_c_exports_and_resume_finishes(tmp_path, job_file):
    """In a process of its own, interrupted once it has made a step; nothing but our own words reach stderr."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "backend.cli.main", "refine", "--job", str(job_file), "--out", str(out), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("step", 0) > 0:
                process.send_signal(signal.SIGINT)
                break
        rest, stderr = process.communicate(timeout=200)
    assert process.returncode == 130, stderr
    assert stderr == ""
    last = json.loads(rest.splitlines()[-1])
    assert last["event"] == "result" and last["outcome"] == "finished early" and 0 < last["steps"] < 30
    assert (out / "asset.glb").is_file() and (out / "checkpoint.pt").is_file()

    _refine("--resume", "--out", out)
    report = json.loads((out / "report.json").read_text())
    assert report["outcome"] == "done" and report["steps"] == 30
    assert report["denoiser_rows"] == 30 * 2 * 2  # those before the interruption included
    assert not (out / "checkpoint.pt").exists()


def _texture(sketch, prior, out):
    arguments = ["--prompt", "a red vase", "--mode", "texture", "--prior", prior, "--out", out, "--preset", "quick", "--steps", "2"]
    _refine(SKETCHES / sketch, *arguments, "--texture", "64", "--device", "cpu")
    return json.loads((out / "report.json").read_text())["notes"]


def _lines(path, *keys):
    return [line for line in path.read_text().splitlines() if line.split(" ")[0] in keys]


def test_texture_mode_leaves_every_line_of_an_obj(tmp_path, prior):
    notes = _texture("quad_vase.obj", prior, tmp_path)
    shape = ("v", "vt", "vn", "f", "o")
    assert _lines(tmp_path / "asset.obj", *shape) == _lines(SKETCHES / "quad_vase.obj", *shape)
    material = (tmp_path / _lines(tmp_path / "asset.obj", "mtllib")[0].split(" ")[1]).read_text()
    assert (tmp_path / material.split("map_Kd ")[1].split()[0]).is_file()
    assert not any("no UV map" in note for note in notes)


def test_texture_mode_adds_the_missing_uv_map_and_says_so(tmp_path, prior):
    notes = _texture("quad_vase_no_uv.obj", prior, tmp_path)
    assert any("no UV map" in note for note in notes)
    given, made = (read_polygons(path) for path in (SKETCHES / "quad_vase_no_uv.obj", tmp_path / "asset.obj"))
    for name in ("vertices", "loop_vertex", "polygon_start"):
        assert np.array_equal(getattr(given, name), getattr(made, name)), name
    assert not given.uv_maps and np.isfinite(made.uv_maps[made.active_uv]).all()


def test_texture_mode_leaves_every_accessor_of_a_glb(tmp_path, prior):
    _texture("quad_vase.glb", prior, tmp_path)

    def opened(path):
        return Gltf(*split_glb(path.read_bytes(), path.name), None, path.name)

    given, made = opened(SKETCHES / "quad_vase.glb"), opened(tmp_path / "asset.glb")
    assert [m["primitives"][0]["attributes"] for m in given.items("meshes")] == [
        m["primitives"][0]["attributes"] for m in made.items("meshes")
    ]
    assert len(given.items("accessors")) == len(made.items("accessors")) > 0
    for index in range(len(given.items("accessors"))):
        assert given.accessor(index).tobytes() == made.accessor(index).tobytes()
    assert made.image(len(made.items("images")) - 1).size == (64, 64)
