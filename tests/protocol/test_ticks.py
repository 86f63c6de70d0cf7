"""How long a call of `pump` holds up its caller: 8 ms, and 20 ms while something large travels.

Other programs may take the processor in the middle of a call, so the bounds are on the time that the call itself worked; the time on
the clock, which the artist feels, is printed, and all but one in a hundred are held to three times as much.
"""

import threading
import time

import numpy as np
import pytest

from protocol.events import JobChanged, Pulling, RemarkArrived, ResultArrived, Uploading
from protocol.job import RefineJob
from protocol.messages import Remark
from tests.protocol.scripted_server import JOB, drive, has, only

TICK_S = 0.008
LARGE_S = 0.020
VERTICES = np.random.default_rng(5).random((64 * 2**20 // 12, 3), dtype=np.float32)


class Timed:
    """Pumps a client as a timer would, and keeps how long each call worked and lasted."""

    def __init__(self, client) -> None:
        self._client = client
        self.worked: list[float] = []
        self.lasted: list[float] = []

    def pump(self, _: float):
        clock, worked = time.perf_counter(), time.thread_time()
        events = self._client.pump(TICK_S)
        self.worked.append(1e3 * (time.thread_time() - worked))
        self.lasted.append(1e3 * (time.perf_counter() - clock))
        return events

    def report(self, what: str, most_s: float, capsys) -> None:
        """Prints the figures, holds them to the bound, and starts over."""
        middle, late = np.percentile(self.lasted, [50, 99])
        lasted = f"median {middle:.1f} ms, 99 % {late:.1f} ms, longest {max(self.lasted):.1f} ms"
        with capsys.disabled():
            print(f"\n{what}: {len(self.lasted)} pumps, {lasted}, of which {max(self.worked):.1f} ms at work")
        assert max(self.worked) < 1e3 * most_s
        assert late < 3e3 * most_s
        self.worked, self.lasted = [], []


@pytest.fixture
def timed(client):
    return Timed(client)


def test_64_mib_up_and_more_down(timed, client, server, capsys):
    before = threading.enumerate()
    client.submit(JOB, RefineJob(prompt="a red mug"), {"vertices": VERTICES})
    events = drive(timed, server, until=has(JobChanged), within_s=60)
    assert only(events, Uploading)[-1].sent == VERTICES.nbytes
    assert all(bytes(data) == VERTICES.tobytes() for data in server.uploads.values())
    timed.report("upload of 64 MiB", LARGE_S, capsys)

    server.finished({"vertices": VERTICES, "base_colour.png": VERTICES.tobytes()[: 30 * 2**20]})
    drive(timed, server, until=has(JobChanged))
    client.pull(JOB, ("base_colour.png", "vertices"))
    events = drive(timed, server, until=has(ResultArrived), within_s=60)
    assert len(only(events, Pulling)) == 94
    np.testing.assert_array_equal(only(events, ResultArrived)[0].arrays["vertices"], VERTICES)
    timed.report("result of 94 MiB", LARGE_S, capsys)
    assert threading.enumerate() == before


@pytest.mark.parametrize("events", [0, 10, 100])
def test_small_messages(timed, client, server, capsys, events):
    client.submit(JOB, RefineJob(prompt="a red mug"), {"vertices": VERTICES[:10]})
    drive(client, server, until=has(JobChanged))
    for _ in range(20):
        seq = server.states[JOB].last_seq
        for index in range(events):
            server.record(state="running", fraction=index / 100)
        drive(timed, server, until=has(JobChanged, events))
        assert server.states[JOB].last_seq == seq + events
        timed.pump(TICK_S)
    timed.report(f"{events} events", 1.5 * TICK_S, capsys)


def test_a_flood_is_taken_a_tick_at_a_time(timed, client, server, capsys):
    client.submit(JOB, RefineJob(prompt="a red mug"), {"vertices": VERTICES[:10]})
    drive(client, server, until=has(JobChanged))
    for seq in range(2, 202):
        server.say(Remark(text="x" * 4000), job=JOB, seq=seq)
    drive(timed, server, until=has(RemarkArrived, 200))
    timed.report("200 long remarks", 1.5 * TICK_S, capsys)
