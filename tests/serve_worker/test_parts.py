"""The worker's parts in this process: inputs, pace, weights that stay loaded."""

import weakref

import msgspec
import numpy as np
import pytest

from backend.priors import diffusers_prior
from backend.priors.exemplar_folder import EXEMPLAR
from backend.refine.control import Control
from backend.serve.engine import Engine, _called
from backend.serve.inputs import read_inputs
from backend.serve.orders import Moved, Run, Said, Shown
from backend.serve.pace import Pace
from backend.serve.worker_link import Assignment, WorkerLink
from protocol.errors import ResourceError, UserError
from protocol.framing import BadMessage, array_spec
from protocol.job import RefineJob
from tests.serve_worker.broker import SECRET, stored


def _quads():
    """Two quads side by side, in one map."""
    return {
        "vertices": np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], np.float32),
        "corner_vertex": np.array([0, 1, 2, 3, 1, 4, 5, 2], np.int32),
        "polygon_start": np.array([0, 4], np.int32),
        "uv": np.linspace(0, 1, 16, dtype=np.float32).reshape(8, 2),
    }


def test_a_sketch_with_colours_and_keep_mask(job, ball, tmp_path):
    ball["colours"][0] = np.nan
    ball["colours"][1] = 7.0
    ball["keep"] = np.linspace(-1, 2, len(ball["vertices"]), dtype=np.float32)
    inputs = read_inputs(stored(job, tmp_path, ball))
    assert np.array_equal(inputs.sketch.vertices, ball["vertices"]) and inputs.sketch.faces.dtype == np.int64
    assert np.isnan(inputs.sketch.colours[0]).all() and (inputs.sketch.colours[1] == 1.0).all()
    assert (inputs.keep.min(), inputs.keep.max()) == (0.0, 1.0)
    assert inputs.sketch.vertices.flags.writeable


def test_polygons_with_and_without_a_map(job, tmp_path):
    job = msgspec.structs.replace(job, mode="texture")
    polygons = read_inputs(stored(job, tmp_path, _quads())).polygons
    assert polygons.active_uv == "UVMap" and np.array_equal(polygons.uv_maps["UVMap"], _quads()["uv"])
    plain = {name: array for name, array in _quads().items() if name != "uv"}
    assert read_inputs(stored(job, tmp_path, plain)).polygons.active_uv == ""


@pytest.mark.parametrize(
    ("mode", "change", "told"),
    [
        ("sketch", {"vertices": np.full((3, 3), np.inf, np.float32)}, "not numbers"),
        ("sketch", {"vertices": None}, "lacks its array 'vertices'"),
        ("sketch", {"faces": np.zeros((0, 3), np.int32)}, "no surface"),
        ("sketch", {"faces": np.array([[0, 1, -1]], np.int32)}, "vertex -1"),
        ("sketch", {"faces": np.zeros((5, 3), np.float32)}, "is float32"),
        ("sketch", {"faces": np.zeros((5, 4), np.int32)}, r"is int32 \[5, 4\]"),
        ("sketch", {"keep": np.zeros(3, np.float32)}, "3 entries for 642 vertices"),
        ("sketch", {"keep": np.full(642, np.nan, np.float32)}, "not numbers"),
        ("texture", {"corner_vertex": np.array([0, 1, 2, 3, 1, 4, 5, 9], np.int32)}, "vertex 9"),
        ("texture", {"corner_vertex": np.array([0, 1, 2, 3, 1, 4, 5, -1], np.int32)}, "vertex -1"),
        ("texture", {"polygon_start": np.array([0, 6], np.int32)}, "three corners"),
        ("texture", {"polygon_start": np.array([0, 4, 2], np.int32)}, "three corners"),
        ("texture", {"polygon_start": np.array([1, 4], np.int32)}, "three corners"),
        ("texture", {"polygon_start": np.zeros(0, np.int32)}, "three corners"),
        ("texture", {"corner_vertex": np.zeros(3000, np.int32), "polygon_start": np.zeros(1, np.int32)}, "3,000 corners"),
        ("texture", {"uv": np.zeros((7, 2), np.float32)}, "8 corners"),
        ("texture", {"uv": np.full((8, 2), np.nan, np.float32)}, "8 corners"),
    ],
)
def test_arrays_that_cannot_be_used_are_one_sentence(job, ball, tmp_path, mode, change, told):
    arrays = {**(ball if mode == "sketch" else _quads()), **change}
    run = stored(msgspec.structs.replace(job, mode=mode), tmp_path, {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(UserError, match=told) as caught:
        read_inputs(run)
    assert caught.value.hint


def test_too_many_faces_are_refused_before_they_are_read(job, ball, tmp_path):
    run = stored(job, tmp_path, ball)
    specs = tuple(msgspec.structs.replace(spec, shape=(10**9, 3)) if spec.name == "faces" else spec for spec in run.inputs)
    with pytest.raises(UserError, match="1,000,000,000 faces"):
        read_inputs(msgspec.structs.replace(run, inputs=specs))


def test_files_of_the_store_that_are_gone_or_cut(job, ball, tmp_path):
    run = stored(job, tmp_path, ball)
    (tmp_path / "input_faces").write_bytes(b"123")
    with pytest.raises(BadMessage, match="declared with"):
        read_inputs(run)
    (tmp_path / "input_faces").unlink()
    with pytest.raises(ResourceError, match="lost the array 'faces'"):
        read_inputs(run)


def test_the_pace_is_that_of_now():
    pace = Pace()
    assert pace.at(0.0, 0, 0.0) == (None, None)
    assert pace.at(0.5, 1, 0.05) == (None, None)
    assert pace.at(2.0, 4, 0.2) == pytest.approx((2.0, 8.0))
    for second in range(3, 200):
        rate, left = pace.at(float(second), 4 + second, 0.2 + second * 0.001)
    assert rate == pytest.approx(1.0) and left == pytest.approx(1000 * (0.8 - 0.199), rel=1e-3)
    assert pace.at(200.0, 204, 0.1) == (None, None)  # steered: there is more to do than was thought
    assert pace.at(202.0, 204, 0.1) == (None, None)  # and nothing was done since
    assert pace.at(204.0, 206, 0.3) == pytest.approx((0.5, 14.0))


def test_reports_name_a_prior_and_not_its_folder(tmp_path):
    assert _called(str(tmp_path)) == _called(f"{EXEMPLAR}{tmp_path}") == tmp_path.name
    assert _called("starter") == "starter" and _called("owner/name") == "owner/name"


def test_weights_stay_until_another_prior_or_a_drop(job, ball, tmp_path, monkeypatch):
    loaded, load = [], diffusers_prior.DiffusersPrior.load

    def counted(*arguments, **options):
        prior = load(*arguments, **options)
        loaded.append(weakref.ref(prior))
        return prior

    monkeypatch.setattr(diffusers_prior.DiffusersPrior, "load", counted)
    engine = Engine("cpu")

    def run(name):
        control = Control()
        control.cancel()  # after loading, before anything is computed
        assignment = Assignment(name, 1, stored(job, tmp_path / name, ball), control, 0)
        assert engine.run(assignment, lambda *words: None).outcome == "cancelled"

    run("one")
    run("two")
    assert len(loaded) == 1 and loaded[0]() is not None
    engine.drop()
    assert loaded[0]() is None
    run("three")
    assert len(loaded) == 2


def test_a_broker_that_does_not_listen_gets_the_newest_progress_and_preview_and_every_other_word(broker_without_worker):
    broker = broker_without_worker
    link = WorkerLink(broker.address, "cpu", SECRET)
    assignment = Assignment("a" * 32, 1, Run(job=RefineJob(prompt="a mug"), folder=""), Control(), 100)
    points = np.zeros((3, 3), np.float32)
    for step in range(200):
        link.tell(assignment, Moved(phase="shape", step=step, steps=200, fraction=0.5))
        link.tell(assignment, Shown(step=step, topology="t", arrays=(array_spec("vertices", points),)), {"vertices": points + step})
        if step % 50 == 0:
            link.tell(assignment, Said(text=f"at {step}"))
    link.start()
    broker.wait_for(Shown, "a" * 32)
    link.close()
    while broker.router.poll(100):
        broker.hear(0)
    words = [word for word in broker.words if word.header.job]
    assert [type(word.body) for word in words] == [Said] * 4 + [Moved, Shown]
    assert [word.body.text for word in words[:4]] == ["at 0", "at 50", "at 100", "at 150"]
    assert words[4].body.step == words[5].body.step == words[5].arrays["vertices"][0, 0] == 199
    assert [word.header.id for word in broker.words] == list(range(1, 1 + len(broker.words)))


def test_what_was_not_foreseen_is_a_fault_with_its_trace(job, ball, tmp_path, monkeypatch):
    def fail(problem):
        def run(*_, **__):
            raise problem

        monkeypatch.setattr("backend.serve.engine.refine", run)
        return Engine("cpu").run(Assignment("x", 1, stored(job, tmp_path, ball), Control(), 0), lambda *words: None).fault

    odd = fail(KeyError("corner"))
    assert (odd.code, odd.retryable) == ("internal", True) and "KeyError" in odd.sentence and "KeyError: 'corner'" in odd.trace
    full = fail(MemoryError())
    assert (full.code, full.retryable) == ("resource", True) and "memory" in full.sentence
    disk = fail(ResourceError("The disk is full.", "Free some space."))
    assert (disk.code, disk.retryable, disk.sentence, disk.hint) == ("resource", True, "The disk is full.", "Free some space.")
