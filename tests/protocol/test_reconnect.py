"""A lost link ends nothing: uploads, results, commands and previews go on from what was acknowledged."""

import msgspec
import numpy as np
import pytest

from protocol.client import Client
from protocol.events import Faulted, JobChanged, JobsListed, Link, PreviewArrived, Pulling, RemarkArrived, ResultArrived, Uploading
from protocol.job import RefineJob
from protocol.messages import Attach, Bye, Cancel, Chunk, Forget, Grant, Hello, JobState, Pause, Pull, Remark, Resume, Submit
from tests.protocol.scripted_server import JOB, OTHER, TOKEN, drive, has, last_link, only, reached, settle

DESCRIPTION = RefineJob(prompt="a red mug")
SMALL = {"vertices": np.ones((5, 3), np.float32)}
LARGE = {"vertices": np.random.default_rng(3).random((2**20, 3), dtype=np.float32)}


def lose_link(client, server):
    """From here on the server has heard only what was sent on the new connection."""
    server.say(Bye())
    drive(client, server, until=reached(Link.LOST))
    settle(client, server, seconds=0.05)
    server.heard.clear()


def come_back(client, server, then=lambda events: False):
    return drive(client, server, until=lambda events: reached(Link.READY)(events) or then(events))


@pytest.fixture
def submitted(client, server):
    client.submit(JOB, DESCRIPTION, SMALL)
    drive(client, server, until=has(JobChanged))
    return client


def test_an_upload_goes_on_from_the_acknowledged_offset(client, server):
    client.submit(JOB, DESCRIPTION, LARGE)
    drive(client, server, until=has(Uploading, 4))
    server.rules[Chunk] = lambda message: None
    had = {digest: len(data) for digest, data in server.uploads.items()}
    lose_link(client, server)
    del server.rules[Chunk]
    drive(client, server, until=has(JobChanged))
    assert [type(message.body) for message in server.heard[:2]] == [Hello, Submit]
    first = server.of(Chunk)[0].body
    assert first.offset == had[first.digest] > 2**20
    assert all(bytes(data) == LARGE["vertices"].tobytes() for data in server.uploads.values())


def test_an_upload_survives_a_server_that_lost_its_last_bytes(client, server):
    client.submit(JOB, DESCRIPTION, LARGE)
    drive(client, server, until=has(Uploading, 4))
    server.rules[Chunk] = lambda message: None
    lose_link(client, server)
    del server.rules[Chunk]
    server.uploads = {digest: data[: 2**20] for digest, data in server.uploads.items()}
    drive(client, server, until=has(JobChanged))
    assert server.of(Chunk)[0].body.offset == 2**20
    assert all(bytes(data) == LARGE["vertices"].tobytes() for data in server.uploads.values())


def test_two_jobs_may_send_the_same_array_at_once(client, server):
    client.submit(JOB, DESCRIPTION, LARGE)
    client.submit(OTHER, DESCRIPTION, LARGE)
    drive(client, server, until=lambda _: {JOB, OTHER} <= {job for job, state in server.states.items() if state.state == "queued"})


def test_a_result_goes_on_from_the_piece_that_arrived(submitted, server):
    server.finished({"vertices": LARGE["vertices"], "sheet.png": b"s" * 3_000_000})
    drive(submitted, server, until=lambda events: any(event.state.results for event in only(events, JobChanged)))
    submitted.pull(JOB, ("sheet.png", "vertices"))
    server.rules[Pull] = lambda message: server.answer(message) if len(server.of(Pull)) <= 5 else None
    received = only(drive(submitted, server, until=has(Pulling, 5)), Pulling)[-1].received
    lose_link(submitted, server)
    del server.rules[Pull]
    events = drive(submitted, server, until=has(ResultArrived))
    first = server.of(Pull)[0].body
    assert (first.name, first.offset) == ("vertices", received - 3_000_000)
    (result,) = only(events, ResultArrived)
    np.testing.assert_array_equal(result.arrays["vertices"], LARGE["vertices"])
    assert result.files["sheet.png"] == b"s" * 3_000_000


def test_every_job_is_attached_to_with_the_last_event_heard(submitted, server):
    server.record(state="running")
    server.record(state="finishing")
    drive(submitted, server, until=has(JobChanged, 2))
    submitted.attach(OTHER, last_seq=5)
    settle(submitted, server, seconds=0.05)
    lose_link(submitted, server)
    server.states[OTHER] = JobState(job=OTHER, state="running", last_seq=5)
    come_back(submitted, server)
    drive(submitted, server, until=lambda _: server.of(Attach))
    assert {(message.header.job, message.body.last_seq) for message in server.of(Attach)} == {(JOB, 3)}


def test_unacknowledged_commands_are_sent_again_with_their_number(submitted, server):
    server.rules[Pause] = lambda message: None
    submitted.pause(JOB)
    submitted.resume(JOB)
    drive(submitted, server, until=lambda _: server.of(Pause))
    lose_link(submitted, server)
    del server.rules[Pause]
    drive(submitted, server, until=lambda _: server.of(Resume))
    order = [(type(m.body), m.header.seq) for m in server.heard if m.header.job]
    assert order == [(Attach, 0), (Pause, 1), (Resume, 2)]
    settle(submitted, server)
    assert server.states[JOB].last_command == 2


def test_a_command_that_was_taken_before_the_link_went_is_not_repeated(submitted, server):
    """Its answer was lost; the number tells the server, and the state tells the client."""

    def take_silently(message):
        server.states[JOB] = msgspec.structs.replace(server.states[JOB], last_command=message.header.seq, last_seq=2)

    server.rules[Pause] = take_silently
    submitted.pause(JOB)
    drive(submitted, server, until=lambda _: server.of(Pause))
    del server.rules[Pause]
    lose_link(submitted, server)
    come_back(submitted, server)
    settle(submitted, server)
    submitted.resume(JOB)
    drive(submitted, server, until=lambda _: server.of(Resume))
    assert server.of(Resume)[0].header.seq == 2
    assert server.states[JOB].last_command == 2


def test_credit_and_faces_are_renewed(submitted, server):
    faces, colours = np.array([[0, 1, 2]], np.int32), np.zeros((5, 3), np.uint8)
    submitted.grant(JOB, 4, 700)
    drive(submitted, server, until=lambda _: server.of(Grant))
    server.preview(SMALL["vertices"], faces, colours)
    drive(submitted, server, until=has(PreviewArrived))
    lose_link(submitted, server)
    drive(submitted, server, until=lambda _: server.of(Grant))
    assert (server.of(Grant)[0].body.previews, server.of(Grant)[0].body.max_vertices) == (3, 700)
    server.preview(SMALL["vertices"], None, colours)
    events = drive(submitted, server, until=has(Faulted))
    assert not only(events, PreviewArrived)
    server.preview(SMALL["vertices"], faces, colours)
    (preview,) = only(drive(submitted, server, until=has(PreviewArrived)), PreviewArrived)
    assert preview.same_topology  # as what was shown last, whatever lies between


def test_a_forget_whose_answer_was_lost(submitted, server):
    server.rules[Forget] = lambda message: server.states.clear()
    submitted.forget(JOB)
    drive(submitted, server, until=lambda _: server.of(Forget))
    lose_link(submitted, server)
    server.rules[Forget] = lambda message: server.refuse(message, "unknown_job")
    events = drive(submitted, server, until=has(JobsListed)) + settle(submitted, server)
    assert not only(events, Faulted)
    assert only(events, JobsListed)[0].jobs == ()


def test_a_job_the_server_has_lost_is_told_and_dropped(submitted, server):
    server.rules[Pause] = lambda message: server.refuse(message, "unknown_job") if not server.states else None
    submitted.pause(JOB)
    drive(submitted, server, until=lambda _: server.of(Pause))
    server.states.clear()
    lose_link(submitted, server)
    events = drive(submitted, server, until=has(Faulted)) + settle(submitted, server)
    (fault,) = only(events, Faulted)
    assert (fault.job, fault.fault.code) == (JOB, "unknown_job")
    lose_link(submitted, server)
    come_back(submitted, server)
    settle(submitted, server)
    assert not server.of(Attach)


def test_another_token_is_shown_when_a_job_is_taken_over(client, server):
    server.states[JOB] = JobState(job=JOB, state="running", last_seq=9)
    client.attach(JOB, 4, "u" * 40)
    drive(client, server, until=has(JobChanged))
    assert (server.of(Attach)[0].body.token, server.of(Attach)[0].body.last_seq) == ("u" * 40, 4)
    lose_link(client, server)
    come_back(client, server)
    drive(client, server, until=lambda _: server.of(Attach))
    assert (server.of(Attach)[0].body.token, server.of(Attach)[0].body.last_seq) == ("", 9)  # ours by now


def test_calls_made_without_a_link_are_kept(server):
    client = Client(server.address, TOKEN, "a test")
    client.submit(JOB, DESCRIPTION, SMALL)
    client.grant(JOB)
    client.cancel(OTHER, "finish")
    server.states[OTHER] = JobState(job=OTHER, state="running", last_command=2)
    client.list_jobs()
    client.connect()
    events = drive(client, server, until=lambda events: has(JobsListed)(events) and server.of(Cancel) and server.of(Grant))
    assert server.of(Cancel)[0].header.seq == 3
    assert not only(events, Faulted)
    told = [type(message.body) for message in server.heard if message.header.job == JOB]
    assert told.index(Submit) < told.index(Grant)  # a server knows no credit of a job that it has not heard of
    client.close()


# What was recorded


def test_recorded_events_are_told_once_and_in_order(submitted, server):
    server.say(Remark(text="two"), job=JOB, seq=2)
    server.say(Remark(text="two again"), job=JOB, seq=2)
    server.say(Remark(text="one again"), job=JOB, seq=1)
    server.say(Remark(text="three"), job=JOB, seq=3)
    events = drive(submitted, server, until=has(RemarkArrived, 2)) + settle(submitted, server)
    assert [event.remark.text for event in only(events, RemarkArrived)] == ["two", "three"]
    assert not server.of(Attach)


def test_a_gap_is_asked_for_once(submitted, server):
    def replay(message):
        for seq in range(message.body.last_seq + 1, 5):
            server.say(Remark(text=str(seq)), message.header.id, JOB, seq)
        server.say(msgspec.structs.replace(server.states[JOB], last_seq=4), message.header.id, JOB)

    server.rules[Attach] = replay
    server.say(Remark(text="4"), job=JOB, seq=4)
    server.say(Remark(text="4"), job=JOB, seq=4)
    events = drive(submitted, server, until=has(RemarkArrived, 3)) + settle(submitted, server)
    assert [event.remark.text for event in only(events, RemarkArrived)] == ["2", "3", "4"]
    assert [message.body.last_seq for message in server.of(Attach)] == [1]


def test_a_condensed_replay_is_taken_as_it_is(submitted, server):
    server.rules[Attach] = lambda message: (
        server.say(Remark(text="the last of many"), message.header.id, JOB, 40),
        server.say(msgspec.structs.replace(server.states[JOB], last_seq=40), message.header.id, JOB),
    )
    server.say(Remark(text="lost"), job=JOB, seq=9)
    drive(submitted, server, until=has(RemarkArrived))
    server.say(Remark(text="next"), job=JOB, seq=41)
    drive(submitted, server, until=has(RemarkArrived))
    assert len(server.of(Attach)) == 1


def test_a_server_that_cannot_close_the_gap_is_not_asked_for_ever(submitted, server):
    server.rules[Attach] = lambda message: server.say(server.states[JOB], message.header.id, JOB)
    for _ in range(5):
        server.say(Remark(text="far"), job=JOB, seq=9)
        settle(submitted, server, seconds=0.05)
    assert len(server.of(Attach)) == 1


def test_a_missed_last_event_shows_in_the_progress(submitted, server):
    server.states[JOB] = msgspec.structs.replace(server.states[JOB], state="running", last_seq=3)
    server.say(server.states[JOB], job=JOB)
    drive(submitted, server, until=lambda _: server.of(Attach))
    assert server.of(Attach)[0].body.last_seq == 1


# Refused commands


def test_a_refused_command_is_told_and_the_next_one_numbered_by_the_servers_word(submitted, server):
    def refuse_but_count(message):
        server.states[JOB] = msgspec.structs.replace(server.states[JOB], last_command=message.header.seq)
        server.refuse(message, "state")

    server.rules[Resume] = refuse_but_count
    submitted.resume(JOB)
    submitted.pause(JOB)
    events = drive(submitted, server, until=lambda _: server.of(Pause))
    assert [(event.job, event.fault.code) for event in only(events, Faulted)] == [(JOB, "state")]
    assert server.of(Pause)[0].header.seq == 2
    server.rules[Resume] = lambda message: server.refuse(message, "state")
    submitted.resume(JOB)
    submitted.cancel(JOB, "finish")
    drive(submitted, server, until=lambda _: server.of(Cancel))
    assert [message.header.seq for message in server.of(Resume)][1:] == [3]
    assert server.of(Cancel)[0].header.seq == 3


def test_a_command_number_that_does_not_fit_is_corrected_once(submitted, server):
    server.states[JOB] = msgspec.structs.replace(server.states[JOB], last_command=5)
    server.rules[Pause] = lambda message: server.refuse(message, "gap") if message.header.seq != 6 else server.answer(message)
    submitted.pause(JOB)
    drive(submitted, server, until=lambda _: server.states[JOB].last_command == 6)
    assert [message.header.seq for message in server.of(Pause)] == [1, 6]
    server.rules[Pause] = lambda message: server.refuse(message, "gap")
    submitted.pause(JOB)
    events = drive(submitted, server, until=has(Faulted))
    assert only(events, Faulted)[0].fault.code == "gap"
    assert last_link(events) is None
