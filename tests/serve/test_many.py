"""Ten thousand jobs that wait: started, listed and refused as quickly as one."""

import secrets
import time

import msgspec

from backend.serve.clients import owner_of
from backend.serve.store import Store
from backend.serve.stored_job import StoredJob
from protocol.job import RefineJob
from protocol.messages import Attach, Cancel, ListJobs, Ping
from protocol.version import BODY_BYTES
from tests.serve.peer import Server, submission


def test_ten_thousand_jobs(tmp_path, connect):
    tokens = [secrets.token_hex(16) for _ in range(10)]
    store = Store(tmp_path / "data")
    ids = [secrets.token_hex(16) for _ in range(10_000)]
    described = RefineJob(prompt="a red flower " * 100, mode="prompt")
    for rank, job in enumerate(ids):
        owner = owner_of(tokens[rank % 10])
        store.save(
            StoredJob(
                id=job, owner=owner, uploader=owner, content="", job=described, prompt=described.prompt,
                state="queued", rank=rank, submitted_at=float(rank), label="a name",
            )
        )  # fmt: skip
    store.close()
    with Server(tmp_path / "empty", worker=["/bin/false"]) as server:
        connect(server)
        empty_s = time.perf_counter() - server.began
    with Server(tmp_path / "data", worker=["/bin/false"]) as server:
        peer = connect(server, token=tokens[0])
        full_s = time.perf_counter() - server.began
        print(f"\nfrom starting the process to Welcome: {empty_s:.2f} s without jobs, {full_s:.2f} s with 10 000")
        assert full_s < 6 * empty_s
        began = time.perf_counter()
        jobs = peer.ask(ListJobs()).body.jobs
        print(f"1000 jobs listed in {1000 * (time.perf_counter() - began):.0f} ms")
        assert [state.job for state in jobs] == ids[0::10][::-1]
        assert jobs[-1].place == 0 and jobs[0].place == 9990
        assert len(msgspec.msgpack.encode(jobs)) < BODY_BYTES
        assert peer.ask(Ping()).body.status.queued == 10_000
        refused = peer.ask(submission(), secrets.token_hex(16)).body
        assert refused.code == "busy" and "1000" in refused.sentence
        assert peer.ask(Attach(), ids[20]).body.place == 20
        began = time.perf_counter()
        for job in ids[0:200:10]:
            assert peer.ask(Cancel(), job, 1).body.state == "queued"
        print(f"20 of them cancelled in {1000 * (time.perf_counter() - began):.0f} ms")
        assert peer.ask(Attach(), ids[9990]).body.place == 9990 - 20
        assert peer.ask(submission(), secrets.token_hex(16)).body.place == 10_000 - 20
        peer.close()
