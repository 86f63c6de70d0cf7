"""The example client, which knows nothing of this package, against a server that plays by the rules."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from protocol.job import RefineJob
from protocol.messages import Hello, Submit

EXAMPLE = Path(__file__).parents[2] / "examples" / "raw_client.py"
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


@pytest.fixture
def start(server, tmp_path):
    started = []

    def run(*words):
        command = [sys.executable, "-I", str(EXAMPLE), *words, f"address={server.address}", f"folder={tmp_path / 'out'}"]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def serve_until_it_ends(server, process):
    """Every job is done as soon as it is queued."""
    end = time.monotonic() + 20
    while process.poll() is None:
        assert time.monotonic() < end
        server.pump()
        for job, state in list(server.states.items()):
            if state.state == "queued":
                server.finished({"vertices": VERTICES, "faces": FACES, "base_colour.png": b"png" * 10**6}, job)
        time.sleep(0.002)


def test_it_sends_a_cube_and_writes_the_asset(server, start, tmp_path):
    process = start("a red cube", "steps=9")
    serve_until_it_ends(server, process)
    assert process.returncode == 0, process.stderr.read()
    submit = server.of(Submit)[0].body
    assert msgspec.msgpack.decode(submit.job, type=RefineJob) == RefineJob(prompt="a red cube", steps=9)
    sent = {spec.name: np.frombuffer(bytes(server.uploads[spec.digest]), spec.dtype).reshape(spec.shape) for spec in submit.inputs}
    assert sent["vertices"].shape == (8, 3) and np.abs(sent["vertices"]).max() == pytest.approx(0.8)
    corners = sent["vertices"][sent["faces"]]
    outwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert len(corners) == 12 and (np.einsum("ij,ij->i", outwards, corners.mean(1)) > 0).all()
    written = [line.split() for line in (tmp_path / "out" / "asset.obj").read_text().splitlines()]
    np.testing.assert_allclose([list(map(float, w[1:])) for w in written if w[0] == "v"], VERTICES)
    np.testing.assert_array_equal([list(map(int, w[1:])) for w in written if w[0] == "f"], FACES + 1)
    assert (tmp_path / "out" / "base_colour.png").read_bytes() == b"png" * 10**6


def test_it_reads_a_mesh(server, start, tmp_path):
    (tmp_path / "quad.obj").write_text("# a quad\nv 10 10 0\nv 14 10 0\nv 14 12 0\nv 10 12 0\nvt 0 0\nf 1/1 2/1 3/1 4/1\n")
    process = start("a tile", f"mesh={tmp_path / 'quad.obj'}")
    serve_until_it_ends(server, process)
    spec = next(spec for spec in server.of(Submit)[0].body.inputs if spec.name == "vertices")
    vertices = np.frombuffer(bytes(server.uploads[spec.digest]), np.float32).reshape(spec.shape)
    np.testing.assert_allclose(vertices, [[-0.8, -0.4, 0], [0.8, -0.4, 0], [0.8, 0.4, 0], [-0.8, 0.4, 0]], atol=1e-6)


def test_a_fault_ends_it_in_the_servers_words(server, start):
    server.rules[Hello] = lambda message: server.refuse(message, "version", hint="Update this program.")
    process = start("a cup")
    serve_until_it_ends(server, process)
    assert process.returncode == 1
    assert process.stderr.read() == "Refused: version. Update this program.\n"


def test_it_imports_nothing_of_ours_and_is_short():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    imports = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imports <= {"hashlib", "secrets", "struct", "sys", "itertools", "pathlib", "msgspec", "zmq"}
