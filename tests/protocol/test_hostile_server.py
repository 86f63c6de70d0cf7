"""What a faulty or hostile server may say: one event that names it, nothing half-done, and the link stands."""

import msgspec
import numpy as np
import pytest

from protocol.events import Faulted, JobChanged, Link, PreviewArrived, RemarkArrived, ResultArrived, StatusChanged
from protocol.framing import array_spec, encode
from protocol.job import RefineJob
from protocol.messages import (
    ArraySpec,
    Artefact,
    Cancel,
    Chunk,
    Fault,
    Got,
    Grant,
    Header,
    JobState,
    Missing,
    Need,
    Piece,
    Preview,
    Pull,
    Remark,
    Submit,
)
from protocol.version import FRAME_BYTES, VERSION
from tests.protocol.scripted_server import JOB, OTHER, drive, has, links, only, settle

DESCRIPTION = RefineJob(prompt="a red mug")
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
FACES = np.array([[0, 1, 2]], np.int32)
COLOURS = np.zeros((3, 3), np.uint8)


@pytest.fixture
def client(client, server):
    """With a job that is running and previews wanted."""
    client.submit(JOB, DESCRIPTION, {"vertices": VERTICES})
    drive(client, server, until=has(JobChanged))
    client.grant(JOB, 16)
    drive(client, server, until=lambda _: server.of(Grant))
    return client


def one_fault(client, server, code, told="", job=JOB):
    """Exactly one fault is told, and the link stands."""
    events = drive(client, server, until=has(Faulted)) + settle(client, server, seconds=0.05)
    (event,) = only(events, Faulted)
    assert (event.fault.code, event.job) == (code, job)
    assert told in event.fault.sentence and event.fault.sentence.endswith(".")
    assert not links(events)
    assert not only(events, PreviewArrived) and not only(events, ResultArrived)
    server.preview(VERTICES, FACES, COLOURS)
    drive(client, server, until=has(PreviewArrived))


def preview_frames(specs, *raw):
    return [*encode(Header(v=VERSION, id=1, job=JOB), Preview(step=1, topology="a", arrays=())), *raw][:2] + [
        msgspec.msgpack.encode(Preview(step=1, topology="a", arrays=tuple(specs))),
        *raw,
    ]


@pytest.mark.parametrize(
    ("replaced", "told"),
    [
        ({"vertices": VERTICES * np.nan}, "not finite"),
        ({"vertices": VERTICES + np.float32(np.inf)}, "not finite"),
        ({"vertices": VERTICES[:, :2]}, "[3, 2]"),
        ({"vertices": VERTICES.astype(np.int32)}, "int32"),
        ({"vertices": np.zeros((0, 3), np.float32), "colours": COLOURS[:0]}, "0 vertices"),
        ({"vertices": np.zeros((30_000, 3), np.float32), "colours": np.zeros((30_000, 3), np.uint8)}, "30000 vertices"),
        ({"faces": FACES + 1}, "vertex 3"),
        ({"faces": FACES - 1}, "vertex -1"),
        ({"faces": FACES.reshape(3)}, "[3]"),
        ({"faces": FACES.astype(np.float32)}, "float32"),
        ({"colours": COLOURS[:2]}, "2 colours"),
        ({"colours": COLOURS.astype(np.float32)}, "float32"),
        ({"faces": None}, "leaves out its faces"),
    ],
)
def test_a_preview_that_cannot_be_drawn(client, server, replaced, told):
    arrays = {"vertices": VERTICES, "faces": FACES, "colours": COLOURS} | replaced
    server.preview(arrays["vertices"], arrays["faces"], arrays["colours"])
    one_fault(client, server, "malformed", told)


def test_a_billion_vertices_declared(client, server):
    specs = [
        ArraySpec(name="vertices", dtype="float32", shape=(10**9, 3)),
        array_spec("faces", FACES),
        array_spec("colours", COLOURS),
    ]
    server.say_frames(preview_frames(specs, VERTICES.tobytes(), FACES.tobytes(), COLOURS.tobytes()))
    one_fault(client, server, "malformed", "12000000000 bytes")


def test_an_array_larger_than_its_frame(client, server):
    specs = [array_spec("vertices", VERTICES), array_spec("faces", FACES), array_spec("colours", COLOURS)]
    server.say_frames(preview_frames(specs, VERTICES.tobytes()[:-1], FACES.tobytes(), COLOURS.tobytes()))
    one_fault(client, server, "malformed", "36 bytes, but its frame has 35")


def test_frames_that_are_missing_or_too_many(client, server):
    specs = [array_spec("vertices", VERTICES), array_spec("faces", FACES), array_spec("colours", COLOURS)]
    server.say_frames(preview_frames(specs, VERTICES.tobytes()))
    one_fault(client, server, "malformed", "3 raw frames")
    server.say_frames([*encode(Header(v=VERSION, id=1), Remark(text="x")), b""])
    one_fault(client, server, "malformed", "0 raw frames", job="")


def test_a_body_that_is_too_large(client, server):
    frames = encode(Header(v=VERSION, id=1), Remark(text="x"))
    server.say_frames([*frames[:2], b"\x00" * (FRAME_BYTES - 1)])
    one_fault(client, server, "too_large", "at most", job="")


def test_a_frame_that_zeromq_does_not_take_ends_the_connection(client, server):
    server.say_frames([b"\x42" * (FRAME_BYTES + 1)])
    assert Link.LOST in links(drive(client, server, until=lambda events: bool(links(events))))


@pytest.mark.parametrize("kind", [0, 2, 63, 200])
def test_kinds_that_no_server_sends(client, server, kind):
    server.say_frames([bytes([kind]), *encode(Header(v=VERSION, id=1, job=JOB), Remark(text="x"))[1:]])
    one_fault(client, server, "unsupported", bytes([kind]).hex())


@pytest.mark.parametrize("changes", [{"fraction": float("nan")}, {"fraction": 1.5}, {"eta_s": float("inf")}, {"rate": -1.0}])
def test_progress_that_cannot_be(client, server, changes):
    server.say(JobState(job=JOB, state="running", last_seq=1, **changes), job=JOB)
    one_fault(client, server, "malformed", next(iter(changes)))


def test_words_about_jobs_that_are_not_held(client, server):
    server.preview(VERTICES, FACES, COLOURS, job=OTHER)
    server.say(JobState(job=OTHER, state="running", last_seq=4), job=OTHER)
    server.record(OTHER, state="done")
    server.say(Remark(text="psst"), job=OTHER, seq=1)
    server.say(Need(missing=(Missing(digest="a" * 64, offset=0),)), 3, OTHER)
    server.say(Fault(code="internal", sentence="Something."), 77, OTHER)
    assert all(isinstance(event, StatusChanged) for event in settle(client, server))
    server.say(Fault(code="internal", sentence="Something."), 77)
    (event,) = only(drive(client, server, until=has(Faulted)), Faulted)
    assert event.job == ""


def test_answers_that_nobody_asked_for(client, server):
    server.say(Got(digest="a" * 64, offset=4, total=4), 999, JOB)
    server.say(Piece(name="vertices", offset=0, total=4), 999, JOB, raw=b"abcd")
    server.say(Need(missing=(Missing(digest="a" * 64, offset=0),)), 999, JOB)
    assert all(isinstance(event, StatusChanged) for event in settle(client, server))


def test_previews_that_were_not_granted(client, server):
    client.grant(JOB, 0)
    server.preview(VERTICES, FACES, COLOURS)
    assert not only(settle(client, server), PreviewArrived)


def test_words_after_a_cancel(client, server):
    client.cancel(JOB, "discard")
    server.preview(VERTICES, FACES, COLOURS)
    assert not only(drive(client, server, until=lambda _: server.of(Cancel)), PreviewArrived)
    server.record(state="cancelled")
    drive(client, server, until=lambda events: any(event.state.state == "cancelled" for event in only(events, JobChanged)))
    client.grant(JOB)
    server.preview(VERTICES, FACES, COLOURS)
    server.say(msgspec.structs.replace(server.states[JOB], state="running", fraction=0.5), job=JOB)
    assert all(isinstance(event, StatusChanged) for event in settle(client, server))
    server.say(Remark(text="Kept until you forget it."), job=JOB, seq=server.states[JOB].last_seq + 1)
    drive(client, server, until=has(RemarkArrived))


def test_a_server_that_wants_data_that_was_not_offered(client, server):
    server.rules[Submit] = lambda m: server.say(Need(missing=(Missing(digest="b" * 64, offset=0),)), m.header.id, m.header.job)
    client.submit(JOB, DESCRIPTION, {"vertices": VERTICES + 1})
    one_fault(client, server, "malformed", "not offered")
    server.rules[Submit] = lambda m: server.say(
        Need(missing=(Missing(digest=m.body.inputs[0].digest, offset=10**6),)), m.header.id, m.header.job
    )
    client.submit(JOB, DESCRIPTION, {"vertices": VERTICES + 2})
    one_fault(client, server, "malformed", "not offered")


def test_a_server_that_never_takes_a_chunk(client, server):
    server.rules[Chunk] = lambda m: server.say(Got(digest=m.body.digest, offset=0, total=m.body.total), m.header.id, m.header.job)
    client.submit(JOB, DESCRIPTION, {"vertices": VERTICES + 1})
    one_fault(client, server, "gap", "does not take")
    assert len(server.of(Chunk)) < 12


@pytest.mark.parametrize(("code", "told"), [("other_content", "Refused"), ("unknown_job", "Refused")])
def test_a_refused_submission(client, server, code, told):
    server.rules[Submit] = lambda message: server.refuse(message, code)
    client.submit(OTHER, DESCRIPTION, {"vertices": VERTICES})
    one_fault(client, server, code, told, job=OTHER)


def test_a_chunk_answered_with_a_gap_is_asked_for_anew(client, server):
    def once(message):
        del server.rules[Chunk]
        server.refuse(message, "gap")

    server.rules[Chunk] = once
    client.submit(OTHER, DESCRIPTION, {"vertices": VERTICES + 1})
    events = drive(client, server, until=has(JobChanged))
    assert not only(events, Faulted) and len(server.of(Submit)) == 3


# Results


def finish(client, server, artefacts):
    server.finished(artefacts)
    drive(client, server, until=lambda events: any(event.state.results for event in only(events, JobChanged)))


def declared(client, server, *artefacts):
    server.record(state="done", results=artefacts)
    drive(client, server, until=lambda events: any(event.state.results for event in only(events, JobChanged)))


def result_fault(client, server, code, told, names=("vertices", "faces")):
    client.pull(JOB, names)
    events = drive(client, server, until=has(Faulted)) + settle(client, server, seconds=0.05)
    (event,) = only(events, Faulted)
    assert (event.job, event.fault.code) == (JOB, code) and told in event.fault.sentence
    assert not only(events, ResultArrived) and not links(events)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"vertices": VERTICES * np.nan, "faces": FACES}, "not finite"),
        ({"vertices": VERTICES, "faces": FACES + 1}, "vertex 3"),
        ({"vertices": VERTICES, "faces": FACES - 5}, "vertex -5"),
        ({"vertices": VERTICES[:, :2].copy(), "faces": FACES}, "[3, 2]"),
        ({"vertices": VERTICES, "faces": FACES.astype(np.float32)}, "float32"),
    ],
)
def test_a_result_that_cannot_be_used(client, server, arrays, told):
    finish(client, server, arrays)
    result_fault(client, server, "malformed", told)
    server.finished({"vertices": VERTICES, "faces": FACES})
    drive(client, server, until=has(JobChanged))
    client.pull(JOB, ("vertices", "faces"))
    drive(client, server, until=has(ResultArrived))


def test_a_damaged_result(client, server):
    finish(client, server, {"vertices": VERTICES, "faces": FACES})
    server.artefacts["faces"] = FACES[:, ::-1].tobytes()
    result_fault(client, server, "digest", "'faces'")


def test_results_declared_larger_than_anything(client, server):
    declared(client, server, Artefact(name="vertices", bytes=12 * 10**9, digest="a" * 64, dtype="float32", shape=(10**9, 3)))
    result_fault(client, server, "too_large", "12000000000", ("vertices",))
    assert not server.of(Pull)


@pytest.mark.parametrize("shape", [(5, 3), (), (3, 3, 1, 1)])
def test_results_whose_shape_does_not_fit_their_size(client, server, shape):
    declared(client, server, Artefact(name="vertices", bytes=36, digest="a" * 64, dtype="float32", shape=shape))
    result_fault(client, server, "malformed", "declared", ("vertices",))


def test_results_that_are_not_there(client, server):
    client.pull(JOB, ("vertices",))
    (event,) = only(drive(client, server, until=has(Faulted)), Faulted)
    assert event.fault.code == "state" and "queued" in event.fault.sentence
    finish(client, server, {"vertices": VERTICES})
    result_fault(client, server, "input", "'../../etc/passwd'", ("../../etc/passwd",))


@pytest.mark.parametrize("change", [{"offset": 4}, {"name": "faces"}, {"total": 40}, {"raw": b"short"}, {"raw": b"x" * 37}])
def test_pieces_that_were_not_asked_for(client, server, change):
    finish(client, server, {"vertices": VERTICES, "faces": FACES})

    def answer(message):
        piece = {"name": "vertices", "offset": 0, "total": 36} | {key: value for key, value in change.items() if key != "raw"}
        server.say(Piece(**piece), message.header.id, JOB, raw=change.get("raw", VERTICES.tobytes()))

    server.rules[Pull] = answer
    result_fault(client, server, "malformed", "were asked for", ("vertices",))


def test_a_refused_piece(client, server):
    finish(client, server, {"vertices": VERTICES})
    server.rules[Pull] = lambda message: server.refuse(message, "unknown_job")
    result_fault(client, server, "unknown_job", "Refused", ("vertices",))
