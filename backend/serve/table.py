"""All jobs and their queue: in memory to be asked, in the store to outlive this process."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from backend.serve.faults import Refused
from backend.serve.store import Recorded, Store
from backend.serve.stored_job import StoredJob
from protocol.messages import Fault, JobState, Remark, State
from protocol.version import BODY_BYTES

Announce = Callable[[StoredJob, int, Recorded], None]
REMARK_CHARACTERS = 4000
LISTED_BYTES = BODY_BYTES - 1024


class JobTable:
    """The jobs by id, and the order of those that wait.

    Every change goes through `change` or `remark`: written to the store, then handed to `announce` with its number within the job.
    """

    def __init__(self, store: Store, announce: Announce) -> None:
        self.store = store
        self._announce = announce
        self.jobs: dict[str, StoredJob] = {job.id: job for job in store.jobs()}
        self._queue = [job.id for job in sorted(self.jobs.values(), key=lambda job: job.rank) if job.state == "queued"]
        self._places: dict[str, int] = {}
        self._shifted = False

    def of(self, owner: str) -> Iterator[StoredJob]:
        return (job for job in self.jobs.values() if job.owner == owner)

    def owned(self, job: str, owner: str) -> StoredJob:
        """The job. Errors: Refused("unknown_job") if there is none, or it is another client's: the two look alike from outside."""
        found = self.jobs.get(job)
        if found is None or found.owner != owner:
            raise Refused("unknown_job", "The server knows no such job of yours.", "Submit it again.")
        return found

    @property
    def queue(self) -> tuple[StoredJob, ...]:
        """The jobs that wait, next one first."""
        return tuple(self.jobs[job] for job in self._queue)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def place(self, job: StoredJob) -> int:
        """Jobs before it in the queue."""
        if not self._places:
            self._places = {waiting: place for place, waiting in enumerate(self._queue)}
        return self._places.get(job.id, 0)

    def shifted(self) -> bool:
        """Whether places in the queue may have changed since this was last asked."""
        shifted, self._shifted = self._shifted, False
        return shifted

    def waits(self, job: str) -> bool:
        return self.jobs[job].state == "queued"

    def public(self, job: StoredJob) -> JobState:
        return job.public(self.place(job))

    def listed(self, owner: str) -> tuple[JobState, ...]:
        """The owner's jobs, newest first, short enough for one message: long lists lose details, then their oldest jobs."""
        jobs = sorted(self.of(owner), key=lambda job: job.submitted_at, reverse=True)
        full = tuple(map(self.public, jobs))
        if _size(full) <= LISTED_BYTES:
            return full
        listed, size = [], 0
        for state in full:
            brief = msgspec.structs.replace(state, prompt=state.prompt[:80], reason=state.reason[:80], losses={}, results=(), fault=None)
            size += _size(brief)
            if size > LISTED_BYTES:
                break
            listed.append(brief)
        return tuple(listed)

    def add(self, job: StoredJob) -> None:
        """A new job, still uploading."""
        job.submitted_at = time.time()
        self.jobs[job.id] = job
        self.change(job, "uploading", "Waits for its arrays." if job.inputs else "")

    def change(self, job: StoredJob, state: State, reason: str, fault: Fault | None = None) -> None:
        """Put the job into `state` (which may be the one it is in), record that, and tell its owner."""
        if (state == "queued") != (job.state == "queued"):
            self._requeue(job, state == "queued", front=False)
        job.state, job.reason, job.fault = state, reason, fault
        job.changed_at = time.time()
        if not job.on_worker:
            job.eta_s, job.rate, job.device = None, None, ""
        self._record(job, None)

    def put_first(self, job: StoredJob, reason: str) -> None:
        """Back to the front of the queue."""
        self._requeue(job, True, front=True)
        job.state = "queued"
        self.change(job, "queued", reason)

    def remark(self, job: StoredJob, remark: Remark) -> None:
        """One sentence about the run, recorded."""
        self._record(job, Remark(text=remark.text[:REMARK_CHARACTERS], level=remark.level))

    def save(self, job: StoredJob) -> None:
        """Write down what is not announced, such as a checkpoint."""
        self.store.save(job)

    def remove(self, job: StoredJob) -> None:
        """Forget an ended job."""
        del self.jobs[job.id]
        self.store.remove(job.id)

    def _record(self, job: StoredJob, remark: Remark | None) -> None:
        job.last_seq += 1
        body = self.public(job) if remark is None else remark
        self.store.record(job.id, job.last_seq, time.time(), body)
        self.store.save(job)
        self._announce(job, job.last_seq, body)

    def _requeue(self, job: StoredJob, waits: bool, front: bool) -> None:
        if job.id in self._queue:
            self._queue.remove(job.id)
        if waits:
            ranks = [self.jobs[self._queue[0 if front else -1]].rank] if self._queue else [0]
            job.rank = ranks[0] + (-1 if front else 1)
            self._queue.insert(0 if front else len(self._queue), job.id)
        self._places, self._shifted = {}, True


def _size(value: Any) -> int:
    return len(msgspec.msgpack.encode(value))
