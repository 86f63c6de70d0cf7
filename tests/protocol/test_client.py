"""The regular course of things: submit, previews, commands, results."""

import threading

import msgspec
import numpy as np
import pytest

from protocol.client import Client
from protocol.events import JobChanged, JobsListed, Link, PreviewArrived, Pulling, RemarkArrived, ResultArrived, StatusChanged, Uploading
from protocol.job import RefineJob, Steer
from protocol.messages import Attach, Cancel, Chunk, Forget, Grant, Hello, Pause, Ping, Pull, Remark, Resume, SteerJob, Submit
from tests.protocol.scripted_server import JOB, TOKEN, drive, has, links, only, reached, settle

DESCRIPTION = RefineJob(prompt="a red mug")
TRIANGLE = {
    "vertices": np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
    "faces": np.array([[0, 1, 2]], np.int32),
}
COLOURS = np.full((3, 3), 200, np.uint8)


def submitted(client, server, arrays=None):
    client.submit(JOB, DESCRIPTION, arrays or TRIANGLE, "mug")
    return drive(client, server, until=has(JobChanged))


def test_hello_carries_the_token_and_welcome_makes_ready(server):
    client = Client(server.address, TOKEN, "a test")
    client.connect()
    events = drive(client, server, until=reached(Link.READY))
    assert links(events) == [Link.CONNECTING, Link.HANDSHAKING, Link.READY]
    assert events[-1].welcome.server == "scripted"
    assert server.of(Hello)[0].body.token == TOKEN
    client.close()
    assert links(client.pump(0)) == [Link.OFF]


def test_submit_sends_what_the_server_lacks(client, server):
    events = submitted(client, server)
    assert events[-1].state.state == "queued"
    submit = server.of(Submit)[0]
    assert submit.header.job == JOB
    assert msgspec.msgpack.decode(submit.body.job, type=RefineJob) == DESCRIPTION
    for spec in submit.body.inputs:
        assert bytes(server.uploads[spec.digest]) == TRIANGLE[spec.name].tobytes()
    assert [event.sent for event in only(events, Uploading)][-1] == 48


def test_arrays_the_server_has_are_not_sent_again(client, server):
    submitted(client, server)
    chunks = len(server.of(Chunk))
    client.submit("a" * 32, DESCRIPTION, TRIANGLE)
    drive(client, server, until=has(JobChanged))
    assert len(server.of(Chunk)) == chunks


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((0, 3), np.float32)])
def test_arrays_that_do_not_travel(client, array):
    with pytest.raises(ValueError, match="'vertices'"):
        client.submit(JOB, DESCRIPTION, {"vertices": array})


def test_arrays_in_another_layout_arrive_in_c_order(client, server):
    faces = np.asfortranarray(np.arange(12, dtype=">i4").reshape(4, 3).astype("i4"))
    submitted(client, server, {"faces": faces})
    (data,) = server.uploads.values()
    assert bytes(data) == np.arange(12, dtype="<i4").tobytes()


def test_commands_are_numbered_within_the_job(client, server):
    submitted(client, server)
    client.steer(JOB, Steer(prompt="a blue mug"))
    client.pause(JOB)
    client.resume(JOB)
    drive(client, server, until=lambda _: server.of(Resume))
    told = [(type(m.body), m.header.seq) for m in server.heard if m.header.seq]
    assert told == [(SteerJob, 1), (Pause, 2), (Resume, 3)]
    assert server.of(SteerJob)[0].body.command.prompt == "a blue mug"


def test_commands_to_an_attached_job_go_on_from_the_last_one_taken(client, server):
    submitted(client, server)
    server.states[JOB] = msgspec.structs.replace(server.states[JOB], last_command=7)
    other = Client(server.address, TOKEN, "another")
    other.connect()
    other.cancel(JOB, "finish")
    drive(other, server, until=lambda _: server.of(Cancel))
    assert [type(m.body) for m in server.heard if m.header.job][-2:] == [Attach, Cancel]
    assert server.of(Cancel)[0].header.seq == 8
    other.close()


def test_a_job_stopped_before_it_was_sent_never_reaches_the_server(server):
    client = Client(server.address, TOKEN, "a test")
    client.submit(JOB, DESCRIPTION, TRIANGLE)
    client.cancel(JOB, "discard")
    assert [event.state.state for event in client.pump(0.008)] == ["cancelled"]
    client.connect()
    drive(client, server, until=reached(Link.READY))
    settle(client, server)
    assert not server.of(Submit) and not server.of(Attach)
    client.close()


def test_a_cancel_while_uploading_stops_the_upload(client, server):
    server.rules[Chunk] = lambda message: None
    client.submit(JOB, DESCRIPTION, {"vertices": np.zeros((2**20, 3), np.float32)})
    drive(client, server, until=has(Uploading))
    client.cancel(JOB, "discard")
    drive(client, server, until=lambda _: server.of(Cancel))
    settle(client, server)
    assert len(server.of(Chunk)) <= 2


def test_previews_are_completed_from_the_faces_sent_before(client, server):
    submitted(client, server)
    client.grant(JOB, 3, 9000)
    drive(client, server, until=lambda _: server.of(Grant))
    assert (server.of(Grant)[0].body.previews, server.of(Grant)[0].body.max_vertices) == (3, 9000)
    server.preview(TRIANGLE["vertices"], TRIANGLE["faces"], COLOURS)
    server.preview(TRIANGLE["vertices"] + 1, None, COLOURS)
    server.preview(TRIANGLE["vertices"], TRIANGLE["faces"][:, ::-1], COLOURS, topology="b")
    first, second, third = only(drive(client, server, until=has(PreviewArrived, 3)), PreviewArrived)
    assert not first.same_topology and second.same_topology and not third.same_topology
    np.testing.assert_array_equal(second.faces, TRIANGLE["faces"])
    np.testing.assert_array_equal(second.vertices, TRIANGLE["vertices"] + 1)


def test_a_result_arrives_once_and_whole(client, server):
    submitted(client, server)
    vertices = np.random.default_rng(1).random((400_000, 3), dtype=np.float32)
    faces = np.random.default_rng(2).integers(0, 400_000, (700_000, 3), dtype=np.int32)
    png = bytes(range(256)) * 9000
    server.finished({"vertices": vertices, "faces": faces, "base_colour.png": png, "empty.json": b"", "sheet.png": b"unwanted"})
    drive(client, server, until=has(JobChanged))
    client.pull(JOB, ("faces", "empty.json", "base_colour.png", "vertices"))
    events = drive(client, server, until=has(ResultArrived)) + settle(client, server)
    (result,) = only(events, ResultArrived)
    np.testing.assert_array_equal(result.arrays["vertices"], vertices)
    np.testing.assert_array_equal(result.arrays["faces"], faces)
    assert result.files == {"base_colour.png": png, "empty.json": b""}
    assert all(message.body.name != "sheet.png" for message in server.of(Pull))
    received = [event.received for event in only(events, Pulling)]
    assert received == sorted(received) and received[-1] == only(events, Pulling)[-1].total


def test_an_empty_result_needs_no_piece(client, server):
    submitted(client, server)
    server.finished({"report.json": b""})
    drive(client, server, until=has(JobChanged))
    client.pull(JOB, ("report.json",))
    (result,) = only(drive(client, server, until=has(ResultArrived)), ResultArrived)
    assert result.files == {"report.json": b""} and not server.of(Pull)


def test_no_more_than_the_window_is_under_way(client, server):
    open_now, most = 0, 0

    def count(message):
        nonlocal open_now, most
        waiting.append(message)
        open_now += 1
        most = max(most, open_now)

    waiting = []
    server.rules[Chunk] = count
    client.submit(JOB, DESCRIPTION, {"vertices": np.zeros((10**6, 3), np.float32)})
    for _ in range(400):
        settle(client, server, seconds=0.002)
        if waiting:
            server.answer(waiting.pop(0))
            open_now -= 1
        elif JOB in server.states and server.states[JOB].state == "queued":
            break
    assert server.states[JOB].state == "queued"
    assert most == 2


def test_remarks_and_lists(client, server):
    submitted(client, server)
    server.say(Remark(text="The stem is thin."), job=JOB, seq=2)
    client.list_jobs()
    client.release_memory()
    events = drive(client, server, until=lambda events: all(has(kind)(events) for kind in (RemarkArrived, JobsListed, StatusChanged)))
    assert only(events, RemarkArrived)[0].remark.text == "The stem is thin."
    assert [state.job for state in only(events, JobsListed)[0].jobs] == [JOB]


def test_a_forgotten_job_is_held_no_longer(client, server):
    submitted(client, server)
    server.record(state="cancelled")
    client.forget(JOB)
    drive(client, server, until=has(JobsListed))
    server.record(state="queued")
    assert not only(settle(client, server), JobChanged)
    assert server.of(Forget)[0].header.seq == 1


def test_a_quiet_link_is_kept_alive_by_pings(client, server):
    events = drive(client, server, until=has(StatusChanged, 3))
    assert len(server.of(Ping)) >= 3 and not links(events)


def test_no_thread_is_started(server):
    before = threading.enumerate()  # other tests of this process may have left some
    client = Client(server.address, TOKEN, "a test")
    client.connect()
    drive(client, server, until=reached(Link.READY))
    submitted(client, server, {"vertices": np.zeros((2**20, 3), np.float32)})
    assert threading.enumerate() == before
    client.close()
    assert threading.enumerate() == before
