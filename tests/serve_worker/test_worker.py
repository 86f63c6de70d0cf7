"""A worker process under orders: what it tells, what it leaves, and that it stops when and how it is told to."""

import io
import json

import numpy as np
from PIL import Image

from backend.serve.orders import Beat, Held, Moved, Shown
from tests.serve_worker.broker import result, stored


def test_a_job_runs_to_its_end(shared, job, ball, tmp_path):
    """Progress, previews of one size, checkpoints; the artefacts are what their manifest says."""
    shared.order(stored(job, tmp_path, ball, preview_vertices=200), "a" * 32, 1)
    ended = shared.finish("a" * 32)
    assert (ended.step, ended.steps) == (16, 16)
    assert ended.resolved.prior == "tiny" and len(ended.resolved.stages) == 2

    arrays = result(tmp_path, ended)
    assert arrays["vertices"].shape[1] == arrays["faces"].shape[1] == 3
    assert arrays["faces"].max() == len(arrays["vertices"]) - 1
    edges = np.sort(arrays["faces"][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # seams are closed
    assert arrays["loop_uv"].shape == (3 * len(arrays["faces"]), 2)
    assert arrays["loop_uv"].min() >= 0 and arrays["loop_uv"].max() <= 1
    assert np.allclose(np.ptp(arrays["vertices"], axis=0), 1.6, atol=0.35)
    for name in ("base_colour.png", "normal.png"):
        assert Image.open(io.BytesIO((tmp_path / "result" / name).read_bytes())).size == (64, 64)
    names = {artefact.name for artefact in ended.results}
    assert names == {"vertices", "faces", "loop_uv", "base_colour.png", "normal.png", "asset.glb", "sheet.png", "report.json"}
    report = json.loads((tmp_path / "result" / "report.json").read_text())
    assert report["outcome"] == "done" and report["job"]["prior"] == "tiny"
    assert not (tmp_path / "checkpoint.pt").exists() and not list(tmp_path.glob("**/.*"))

    moved = [word.body for word in shared.all(Moved, "a" * 32)]
    assert moved[0].phase in ("load", "start")  # a newer word replaces one that still waits
    assert {"shape", "bridge", "export"} <= {body.phase for body in moved}
    assert all(0 <= body.fraction < 1 for body in moved)
    assert moved[-1].step == 16 and any(body.losses for body in moved)
    assert [word.body.step for word in shared.all(Held, "a" * 32)] == [3, 6, 9, 12, 15, 16]

    shown = shared.all(Shown, "a" * 32)
    assert all(100 < len(word.arrays["vertices"]) <= 200 for word in shown)
    shape = {word.body.step: word for word in shown if word.body.step <= 6}
    assert len(shape) >= 2 and not np.array_equal(shape[min(shape)].arrays["vertices"], shape[max(shape)].arrays["vertices"])
    still = [word for word in shown if word.body.step > 8]
    assert len(still) >= 2 and len({word.body.topology for word in still}) == 1
    assert all(np.array_equal(word.arrays["faces"], still[0].arrays["faces"]) for word in still)
    assert not np.array_equal(still[0].arrays["colours"], still[-1].arrays["colours"])
    beats = [word.body for word in shared.words if isinstance(word.body, Beat)]
    assert beats[0].starting and not beats[0].idle and beats[-1].memory_total > 0
