"""Everything a person can get wrong: one sentence on stderr, a non-zero exit, nothing written, nothing lost."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from backend.cli.main import app
from backend.priors.card import CARD_FILE, PriorCard, write_card
from tests.priors.tiny import WORDS, write_tiny_folder

SKETCHES = Path(__file__).parent.parent.parent / "examples" / "sketches"


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return write_tiny_folder(tmp_path_factory.mktemp("prior"))


@pytest.fixture
def ball(tmp_path):
    path = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=2).export(path)
    return path


def _refused(arguments, code=2):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return _one_sentence(result.stderr)


def _one_sentence(stderr):
    """All that stands on stderr, which must be one line of ours."""
    said = stderr.splitlines()
    assert len(said) == 1 and said[0].startswith("sketchbridge: "), stderr
    return said[0]


def _ply(path, vertices, faces):
    lines = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    lines += [" ".join(str(x) for x in v) for v in vertices] + [" ".join(str(x) for x in (3, *f)) for f in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


TRIANGLE = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: p / "nowhere.glb", "nowhere.glb"),
        (lambda p: _text(p / "letter.glb", "dear reader"), "letter.glb"),
        (lambda p: _text(p / "letter.txt", "dear reader"), "letter.txt"),
        (lambda p: _ply(p / "empty.ply", [], []), "empty"),
        (lambda p: _ply(p / "points.ply", TRIANGLE, []), "no faces|empty|no triangles"),
        (lambda p: _ply(p / "nan.ply", [("nan", 0, 0), *TRIANGLE[1:]], [(0, 1, 2)]), "finite|NaN"),
        (lambda p: _ply(p / "index.ply", TRIANGLE, [(0, 1, 7)]), "7|index|vertex"),
        (lambda p: _ply(p / "dot.ply", [(1, 1, 1)] * 3, [(0, 1, 2)]), "size|area|point"),
    ],
)
def test_unusable_meshes(tmp_path, prior, make, told):
    said = _refused(["refine", make(tmp_path), "--prompt", "a mug", "--prior", prior, "--out", tmp_path / "out"])
    assert re.search(told, said)
    assert not list((tmp_path / "out").glob("asset*"))


def _text(path, text):
    path.write_text(text)
    return path


def test_three_million_faces_are_refused_from_the_header(tmp_path, prior):
    """Only the header and a fraction of the data exist: refused before the data would be missed."""
    path = tmp_path / "huge.ply"
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 3000000\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_bytes(header.encode() + np.zeros(1000, np.uint8).tobytes())
    said = _refused(["refine", path, "--prompt", "a mug", "--prior", prior, "--out", tmp_path / "out"])
    assert "3,000,000" in said and "2,000,000" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--prompt", "  "], "prompt is empty"),
        (["--prompt", "a mug", "--method", "sdss"], "Did you mean 'sds'"),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidence=3"], "Did you mean 'guidance'"),
        (
            ["--prompt", "a mug", "--method", "sds", "--set", "guidance=high"],
            "The setting 'guidance' of the method 'sds' should be a number from 0 to 1000, but it is 'high'.",
        ),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidance=5000"], "from 0 to 1000, but it is 5000."),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidance=true"], "from 0 to 1000, but it is true."),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidance=[7]"], "from 0 to 1000, but it is [7"),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidance=NaN"], "guidance"),
        (["--prompt", "a mug", "--method", "sds", "--set", "weighting=sd"], "one of fantasia3d, sds, uniform, x0, but it is 'sd'."),
        (["--prompt", "a mug", "--method", "bridge", "--set", "perp_neg=true"], "'bridge' cannot be combined with Perp-Neg"),
        (
            ["--prompt", "a mug", "--method", "esd", "--set", "lambda=half"],
            "'lambda' of the method 'esd' should be a finite number, or a sched",
        ),
        (["--prompt", "a mug", "--method", "esd", "--set", "lambda=[0, 0.5]"], "3 or 4 numbers, [from step, value, value, to step]"),
        (["--prompt", "a mug", "--method", "esd", "--set", "lamda=0.5"], "Did you mean 'lambda'?"),
        (["--prompt", "a mug", "--method", "csd", "--set", "w2=[0, 40.0, 0.0, 500.0]"], "[0, 40.0, 0.0, 500.0]."),
        (["--prompt", "a mug", "--method", "bidge"], "There is no method 'bidge'. Did you mean 'bridge'?"),
        (["--prompt", "a mug", "--method", "sds", "--set", "guidance"], "NAME=VALUE"),
        (["--prompt", "a mug", "--preset", "defalt"], "Did you mean 'default'"),
        (["--prompt", "a mug", "--mode", "sculpt"], "mode"),
        (["--prompt", "a mug", "--keep", "_KEEP"], "_KEEP"),
        (["--prompt", "a mug", "--keep", "_KEEP", "--mode", "texture"], "cannot keep"),
        (["--prompt", "a mug", "--front", "nan"], "front"),
        (["--prompt", "a mug", "--device", "toaster"], "toaster"),
        (["--prompt", "a mug", "--rasterizer", "nvdiffrast"], "nvdiffrast"),
    ],
)
def test_unusable_options(tmp_path, ball, prior, arguments, told):
    assert told in _refused(["refine", ball, "--prior", prior, "--out", tmp_path / "out", *arguments])


def test_unwritable_output(tmp_path, ball, prior):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert "file" in _refused(["refine", ball, "--prompt", "a mug", "--prior", prior, "--out", blocked / "out"])
    assert blocked.read_text() == "in the way"


def test_no_space_for_the_output_folder(tmp_path, ball, prior, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "no space left" in _refused(["refine", ball, "--prompt", "a mug", "--prior", prior, "--out", tmp_path / "out"], code=3)


def test_words_the_prior_does_not_know_are_named_and_the_run_goes_on(tmp_path, ball, prior):
    write_card(prior, PriorCard(name="tiny", vocabulary=("a", *WORDS)))
    command = ["refine", ball, "--prompt", "a red zebra", "--prior", prior, "--steps", "0", "--texture", "64", "--out", tmp_path / "out"]
    result = CliRunner().invoke(app, [str(part) for part in command])
    (prior / CARD_FILE).unlink()
    assert result.exit_code == 0, result.output
    assert [line for line in result.stderr.splitlines() if "zebra" in line and line.startswith("warning:")]


def test_the_machine_running_out_is_one_sentence(tmp_path, ball, prior, monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch names it."""

    for error, told in (
        (OutOfMemoryError("CUDA"), "memory"),
        (MemoryError(), "memory"),
        (PermissionError(13, "Permission denied", "x"), "'x'"),
    ):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("backend.refine.run.prepare", fail)
        assert told in _refused(["refine", ball, "--prompt", "a mug", "--prior", prior, "--out", tmp_path / "out"], code=3)


def test_damaged_weights(tmp_path, ball, prior):
    broken = tmp_path / "broken"
    shutil.copytree(prior, broken)
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "unet" in _refused(["refine", ball, "--prompt", "a mug", "--prior", broken, "--out", tmp_path / "out"], code=3)


def test_hub_id_without_network(tmp_path, ball):
    """In a process of its own: the hub's offline switch is read at import."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "backend.cli.main", "refine", str(ball), "--prompt", "a mug", "--prior", "someone/some-model"]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    assert "someone/some-model" in _one_sentence(done.stderr)


def test_disk_full_while_writing(tmp_path, ball, prior):
    """A limit on file sizes stands in for the full disk: the write fails half-way, and what was there before stays."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "asset.glb").write_bytes(b"the asset of yesterday")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))

    command = [sys.executable, "-m", "backend.cli.main", "refine", str(ball), "--prompt", "a red mug"]
    command += ["--prior", str(prior), "--steps", "0", "--faces", "500", "--texture", "1024", "--out", str(out)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 3, done.stderr
    assert "asset.glb could not be written" in _one_sentence(done.stderr)
    assert (out / "asset.glb").read_bytes() == b"the asset of yesterday"
    assert not [path for path in out.iterdir() if path.name.endswith(".part")]


REPORT = '{"resolved": {"prompt": "x"}, "journal": [{"step": "two", "command": {"type": "steer"}}]}'


def test_bad_job_files(tmp_path):
    for text, told in (("{", "JSON"), ("[]", "object"), ('{"prompt": "x", "sed": 1}', "seed"), (REPORT, "step")):
        path = _text(tmp_path / "job.json", text)
        assert told in _refused(["refine", "--job", path, "--out", tmp_path / "out"])


def test_resume_without_a_checkpoint(tmp_path):
    assert "no checkpoint" in _refused(["refine", "--resume", "--out", tmp_path / "out"])
