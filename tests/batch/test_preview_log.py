"""`--rerun`: the previews of a batch in a log that Rerun's own reader understands."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from backend.batch.engines import LocalEngine
from backend.batch.plan import plan_of
from backend.batch.run import PREVIEW_VERTICES
from backend.cli.main import app
from tests.batch.batch_process import Process
from tests.batch.conftest import IDLE, QUICK


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "jobs.jsonl"
    job = {"mode": "prompt", "prompt": ["a cup", "broken"], "seed": [0, 1], "steps": 30, "preview_every": 10, "checkpoint_every": 10}
    path.write_text(json.dumps(job) + "\n")
    return path


@pytest.fixture
def batch(monkeypatch, jobs, out):
    monkeypatch.setattr("backend.cli.batch.engine_on", lambda devices, workers: LocalEngine(("cpu",), 2, IDLE, QUICK))
    return lambda *options: CliRunner().invoke(app, ["batch", str(jobs), "--out", str(out), *options])


def rows(path):
    """Every row of the log: where, {column: value}."""
    from rerun.chunk import RrdReader

    reader = RrdReader(path)
    (recording,) = reader.recordings()
    read = []
    for chunk in reader.stream(store=recording).to_chunks():
        batch = chunk.to_record_batch()
        columns = [column.cast("int64") if pa.types.is_temporal(column.type) else column for column in batch.columns]
        read += [(chunk.entity_path, row) for row in pa.table(columns, batch.schema.names).to_pylist()]
    return recording, read


def meshes(read):
    """By job, the rows with a mesh."""
    found = {}
    for where, row in read:
        if row.get("Mesh3D:vertex_positions"):
            found.setdefault(where.removeprefix("/jobs/"), []).append(row)
    return found


def test_without_the_package_it_says_how_to_install_it(batch, out, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    said = batch("--rerun", str(tmp_path / "previews.rrd"))
    assert said.exit_code == 3 and len(said.stderr.splitlines()) == 1 and not out.exists()
    assert "rerun-sdk, which is not installed. Install it with `python -m pip install -c constraints.txt -e '.[rerun]'`" in said.stderr


def test_another_kind_of_file_is_refused(batch, out, tmp_path):
    for name in ("previews.glb", ""):
        said = batch("--rerun", str(tmp_path / name))
        assert said.exit_code == 2 and "should be a file that ends in '.rrd'" in said.stderr and not out.exists()


@pytest.mark.rerun
def test_every_job_is_there_with_its_steps(batch, out, jobs, tmp_path):
    said = batch("--rerun", str(tmp_path / "logs" / "previews.rrd"), "--json")
    assert said.exit_code == 5, said.output
    recording, read = rows(tmp_path / "logs" / "previews.rrd")
    assert recording.application_id == "sketchbridge_batch"
    ids = [job.id for job in plan_of(jobs).plan.jobs]
    found = meshes(read)
    assert set(found) == {job for job in ids if "cup" in job}
    for seen in found.values():
        assert [row["step"] for row in seen] == [10, 20, 30]
        assert sorted(row["elapsed"] for row in seen) == [row["elapsed"] for row in seen]
        for row in seen:
            places = np.array(row["Mesh3D:vertex_positions"])
            assert places.shape == (PREVIEW_VERTICES, 3) and (places == row["step"]).all()
            assert np.array(row["Mesh3D:triangle_indices"]).shape == (2, 3)
            assert len(row["Mesh3D:vertex_normals"]) == len(row["Mesh3D:vertex_colors"]) == PREVIEW_VERTICES
    words = [row["TextLog:text"][0] for _, row in read if row.get("TextLog:text")]
    broken = next(job for job in ids if "broken" in job)
    assert f"{broken}: failed. It broke." in words and f"{next(iter(found))}: done. Done." in words


@pytest.mark.rerun
def test_a_second_run_keeps_the_log_of_the_first(batch, tmp_path):
    path = tmp_path / "previews.rrd"
    batch("--rerun", str(path))
    before = path.read_bytes()
    said = batch("--rerun", str(path), "--retry-failed", "--json")
    assert path.read_bytes() == before and "previews-2.rrd" in said.stdout
    (first, _), (second, read) = rows(path), rows(tmp_path / "previews-2.rrd")
    assert first.recording_id == second.recording_id and not meshes(read)


@pytest.mark.rerun
@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_the_log_of_a_killed_batch_can_be_read(jobs, out, tmp_path):
    lines = jobs.read_text().replace('"steps": 30', '"steps": 5000')
    jobs.write_text(lines)
    path = tmp_path / "previews.rrd"
    process = Process(jobs, out, rerun=path)
    process.wait_step(200, 120)
    process.kill_all()
    found = meshes(rows(path)[1])
    assert found and all(row["step"] == 10 * (k + 1) for seen in found.values() for k, row in enumerate(seen))
