"""Submissions: the same twice, others under the same id, mistakes in one sentence, arrays that arrive in parts."""

import secrets
import signal

import msgspec
import numpy as np
import pytest

from protocol.framing import array_spec
from protocol.messages import ArraySpec, Chunk, Fault, Got, JobState, Need, Submit
from tests.serve.peer import digest_of, submission, triangle


def test_the_same_twice_and_another_under_the_same_id(shared, connect):
    peer = connect(shared)
    job = peer.submit(arrays=triangle())
    again = peer.ask(submission(triangle()), job).body
    assert isinstance(again, JobState) and again.job == job and again.last_seq >= 2
    assert peer.wait_state(job, "done").attempt == 1
    assert peer.ask(submission(triangle()), job).body.state == "done"
    other = peer.ask(submission(triangle(), seed=1), job).body
    assert isinstance(other, Fault) and other.code == "other_content"
    moved = triangle(vertices=np.ones((3, 3), np.float32))
    assert peer.ask(submission(moved), job).body.code == "other_content"
    assert peer.ask(submission(triangle()), job).body.state == "done"


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"sed": 3}, "input", "Did you mean 'seed'?"),
        ({"prompt": "  "}, "input", "prompt is empty"),
        ({"prompt": "x" * 3000}, "input", "2000"),
        ({"prior": "/etc/passwd"}, "input", "no prior '/etc/passwd'"),
        ({"prior": "startr"}, "input", "Did you mean 'starter'?"),
        ({"preset": "defalt"}, "input", "Did you mean 'default'?"),
        ({"method": "sdss"}, "input", "Did you mean 'sds'?"),
        ({"method": "sds", "parameters": {"guidence": 3.0}}, "input", "Did you mean 'guidance'?"),
        ({"method": "sds", "parameters": {"guidance": -3.0}}, "input", "guidance"),
        ({"parameters": {"guidance": 3.0}}, "input", "without a method"),
        ({"stages": [{"name": "a", "method": "nothing"}]}, "input", "no method 'nothing'"),
        ({"stages": [{"name": "a", "step": 3}]}, "input", "Did you mean 'steps'?"),
        ({"front_deg": float("nan")}, "input", "finite"),
        ({"placement": [1.0, 2.0]}, "input", "16 numbers"),
        ({"mode": "illusion"}, "input", "needs 4 prompts"),
        ({"device": "cuda:7"}, "input", "cuda:7"),
        ({"budget": {"texture_px": 16384}}, "input", "texture_px"),
        ({"keep": "x"}, "input", "cannot keep"),
        ({"debias": "/etc/passwd"}, "input", "takes no 'debias'"),
        ({"debias": "bert-base-uncased"}, "input", "Leave it out"),
        ({"source_prompt": "x" * 3000}, "input", "The source prompt has 3000 characters"),
        ({"domain": "x" * 3000}, "input", "The domain has 3000 characters"),
        ({"sed" * 5000: 1}, "input", "no setting"),
    ],
)
def test_mistakes_in_the_job(shared, connect, settings, code, told):
    fault = connect(shared).ask(submission(**settings), secrets.token_hex(16)).body
    assert isinstance(fault, Fault) and fault.code == code
    assert told in f"{fault.sentence} {fault.hint}" and "\n" not in fault.sentence and len(fault.sentence) < 1100


def test_schedule_literals_come_as_lists_or_as_text(shared, connect):
    """As a program sends them, as a panel does, and one that is none."""
    peer = connect(shared)
    for literal in ([0, 40.0, 0.0, 500], "[0, 40.0, 0.0, 500]", 20.0, "20"):
        assert isinstance(peer.ask(submission(method="csd", parameters={"w2": literal}), secrets.token_hex(16)).body, JobState)
    missing = submission(method="pfd", parameters={"inversion_guidance": "", "steps": 3, "perp_neg": True, "solver": "heun"})
    assert isinstance(peer.ask(missing, secrets.token_hex(16)).body, JobState)
    fault = peer.ask(submission(method="csd", parameters={"w2": [0, 40.0]}), secrets.token_hex(16)).body
    assert fault.code == "input" and "a schedule of 3 or 4 numbers" in fault.sentence


@pytest.mark.parametrize("job", [b"\xc1", b"\x93\x01\x02\x03", b"\x91" * 5000 + b"\xc0", b"\x81\x01\x02"])
def test_jobs_that_are_no_map_of_settings(shared, connect, job):
    peer = connect(shared)
    fault = peer.ask(Submit(job=msgspec.Raw(job)), secrets.token_hex(16)).body if job != b"\xc1" else None
    assert fault is None or (isinstance(fault, Fault) and fault.code in ("input", "malformed"))


def _spec(name, shape, dtype="float32"):
    return ArraySpec(name=name, dtype=dtype, shape=shape, digest="0" * 64)


SKETCH = (_spec("vertices", (3, 3)), _spec("faces", (1, 3), "int32"))


@pytest.mark.parametrize(
    ("mode", "inputs", "code", "told"),
    [
        ("prompt", SKETCH, "input", "takes no array 'vertices'"),
        ("sketch", (), "input", "needs the array 'vertices'"),
        ("sketch", SKETCH[:1], "input", "needs the array 'faces'"),
        ("sketch", (*SKETCH, _spec("kep", (3,))), "input", "Did you mean 'keep'?"),
        ("sketch", (*SKETCH, SKETCH[0]), "input", "twice"),
        ("sketch", (*SKETCH, _spec("keep", (4,))), "input", "4 values for 3 of 'vertices'"),
        ("sketch", (_spec("vertices", (3, 2)), SKETCH[1]), "input", "[n,3] float32"),
        ("sketch", (SKETCH[0], _spec("faces", (1, 3))), "input", "int32"),
        ("sketch", (SKETCH[0], _spec("faces", (0, 3), "int32")), "input", "empty"),
        ("sketch", (SKETCH[0], ArraySpec(name="faces", dtype="int32", shape=(1, 3))), "input", "digest"),
        ("sketch", (_spec("vertices", (10**9, 3)), SKETCH[1]), "too_large", "bytes"),
        ("sketch", (SKETCH[0], _spec("faces", (2_000_001, 3), "int32")), "too_large", "2,000,000"),
        ("sketch", (_spec("vertices", (2**52, 3)), SKETCH[1]), "too_large", "bytes"),
        ("texture", SKETCH, "input", "no array 'faces'"),
        (
            "texture",
            (SKETCH[0], _spec("corner_vertex", (4,), "int32"), _spec("polygon_start", (2,), "int32")),
            "input",
            "empty",
        ),
    ],
)
def test_mistakes_in_the_inputs_are_refused_from_their_description(shared, connect, mode, inputs, code, told):
    fault = connect(shared).ask(submission(inputs=inputs, mode=mode), secrets.token_hex(16)).body
    assert isinstance(fault, Fault) and fault.code == code
    assert told in f"{fault.sentence} {fault.hint}"


QUAD = {
    "vertices": np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
    "corner_vertex": np.array([0, 1, 2, 3], np.int32),
    "polygon_start": np.array([0], np.int32),
}


@pytest.mark.parametrize(
    ("mode", "arrays", "told"),
    [
        ("sketch", triangle(vertices=np.full((3, 3), np.nan, np.float32)), "'vertices' holds values that are not finite"),
        ("sketch", triangle(keep=np.array([0, np.inf, 0], np.float32)), "'keep' holds"),
        ("sketch", triangle(colours=np.full((3, 3), -np.inf, np.float32)), "'colours' holds"),
        ("sketch", triangle(faces=np.array([[0, 1, 3]], np.int32)), "'faces' points beyond the 3 vertices"),
        ("sketch", triangle(faces=np.array([[0, -1, 2]], np.int32)), "'faces' points beyond"),
        ("texture", {**QUAD, "corner_vertex": np.array([0, 1, 2, 4], np.int32)}, "'corner_vertex' points beyond"),
        ("texture", {**QUAD, "polygon_start": np.array([1], np.int32)}, "polygon_start"),
        ("texture", {**QUAD, "polygon_start": np.array([0], np.int32), "uv": np.full((4, 2), np.nan, np.float32)}, "'uv' holds"),
    ],
)
def test_arrays_whose_values_cannot_be_used_fail_the_job(shared, connect, mode, arrays, told):
    peer = connect(shared)
    job = peer.submit(arrays=arrays, mode=mode)
    state = peer.wait_state(job, "failed", "queued")
    assert state.state == "failed" and told in state.fault.sentence and state.fault.code == "input"


def test_unknown_colours_and_polygons_are_taken(shared, connect):
    peer = connect(shared)
    coloured = peer.submit(arrays=triangle(colours=np.full((3, 3), np.nan, np.float32), keep=np.ones(3, np.float32)))
    textured = peer.submit(arrays=QUAD, mode="texture")
    assert peer.wait_state(coloured, "done") and peer.wait_state(textured, "done")


BIG = triangle(vertices=np.random.default_rng(0).random((100_000, 3), np.float32))
DIGEST, BYTES = digest_of(BIG["vertices"]), BIG["vertices"].tobytes()


def _chunk(peer, job, offset, count, data=BYTES):
    part = data[offset : offset + count]
    return peer.ask(Chunk(digest=DIGEST, offset=offset, total=len(BYTES)), job, raw=part).body


def test_chunks_missing_repeated_and_damaged(shared, connect):
    peer = connect(shared)
    job = secrets.token_hex(16)
    need = peer.ask(submission(BIG), job).body
    assert isinstance(need, Need) and {missing.offset for missing in need.missing} == {0} and len(need.missing) == 2
    assert _chunk(peer, job, 0, 400_000).offset == 400_000
    assert _chunk(peer, job, 800_000, 100_000) == Got(digest=DIGEST, offset=400_000, total=len(BYTES)), "a gap is not filled"
    assert _chunk(peer, job, 0, 400_000).offset == 400_000, "a repeated chunk changes nothing"
    assert _chunk(peer, job, 400_000, 10, b"x" * len(BYTES)).offset == 400_010
    fault = _chunk(peer, job, 400_010, len(BYTES))
    assert fault.code == "digest" and fault.retryable
    need = peer.ask(submission(BIG), job).body
    assert {missing.offset for missing in need.missing} == {0}, "a damaged array starts over"
    peer.upload(job, need, BIG)
    assert peer.wait_state(job, "done")


def test_chunks_that_fit_nothing(shared, connect):
    peer = connect(shared)
    job = secrets.token_hex(16)
    stray = {"vertices": np.random.default_rng(5).random((7, 3), np.float32), "faces": np.array([[0, 1, 6]], np.int32)}
    peer.ask(submission(stray), job)
    digest = digest_of(stray["vertices"])
    assert peer.ask(Chunk(digest="1" * 64, offset=0, total=3), job, raw=b"abc").body.code == "digest"
    assert peer.ask(Chunk(digest=digest, offset=0, total=3), job, raw=b"abc").body.code == "malformed"
    assert peer.ask(Chunk(digest=digest, offset=0, total=84), job).body.code == "malformed"
    assert peer.ask(Chunk(digest=digest, offset=0, total=84), job, raw=b"x" * 85).body.code == "malformed"
    stranger = connect(shared)
    assert stranger.ask(Chunk(digest=digest, offset=0, total=84), job, raw=stray["vertices"].tobytes()).body.code == "digest"
    assert {missing.offset for missing in peer.ask(submission(stray), job).body.missing} == {0}


def test_two_jobs_wait_for_the_same_array(shared, connect):
    peer = connect(shared)
    arrays = triangle(vertices=np.random.default_rng(6).random((3, 3), np.float32))
    first, second = secrets.token_hex(16), secrets.token_hex(16)
    need = peer.ask(submission(arrays), first).body
    assert isinstance(peer.ask(submission(arrays, seed=2), second).body, Need)
    peer.upload(first, need, arrays)
    late = arrays["faces"].tobytes()
    assert peer.ask(Chunk(digest=digest_of(arrays["faces"]), offset=0, total=len(late)), second, raw=late).body.offset == len(late)
    assert peer.wait_state(first, "done") and peer.wait_state(second, "done")


def test_an_upload_goes_on_after_the_link_and_after_the_server(start, connect):
    server = start()
    peer = connect(server)
    job = secrets.token_hex(16)
    peer.ask(submission(BIG), job)
    _chunk(peer, job, 0, 300_000)
    peer.close()
    again = connect(server, token=peer.token)
    assert max(missing.offset for missing in again.ask(submission(BIG), job).body.missing) == 300_000
    assert _chunk(again, job, 300_000, 100_000).offset == 400_000
    server.stop(signal.SIGKILL)
    last = connect(start(), token=peer.token)
    need = last.ask(submission(BIG), job).body
    assert max(missing.offset for missing in need.missing) == 400_000
    last.upload(job, need, BIG)
    assert last.wait_state(job, "done")


def test_arrays_of_one_client_are_not_there_for_another(shared, connect):
    """Knowing a digest must not be enough to use somebody's mesh."""
    peer = connect(shared)
    assert peer.wait_state(peer.submit(arrays=triangle()), "done")
    assert isinstance(connect(shared).ask(submission(triangle()), secrets.token_hex(16)).body, Need)
    assert isinstance(peer.ask(submission(triangle()), secrets.token_hex(16)).body, JobState)


def test_too_many_jobs(start, connect):
    peer = connect(start(limits={"jobs": 2}))
    specs = tuple(array_spec(name, array, digest_of(array)) for name, array in BIG.items())
    jobs = [secrets.token_hex(16) for _ in range(3)]
    answers = [peer.ask(submission(inputs=specs, mode="sketch", seed=n), job).body for n, job in enumerate(jobs)]
    assert isinstance(answers[0], Need) and isinstance(answers[1], Need)
    assert answers[2].code == "busy" and "2 jobs" in answers[2].sentence


def test_a_disk_that_refuses_a_sketch_is_named_with_a_remedy(start, connect):
    server = start()
    peer, inputs = connect(server), server.data / "inputs"
    inputs.write_bytes(b"")  # in the way of the folder
    job = secrets.token_hex(16)
    (missing, *_) = peer.ask(submission(triangle()), job).body.missing
    whole = {digest_of(array): array.tobytes() for array in triangle().values()}[missing.digest]
    fault = peer.ask(Chunk(digest=missing.digest, offset=0, total=len(whole)), job, raw=whole).body
    assert fault.code == "resource" and "disk refused the sketch" in fault.sentence and "submit it again" in fault.hint
    inputs.unlink()
    assert peer.wait_state(peer.submit(arrays=triangle()), "done")
