"""The client core: everything a front end asks of a server, driven by `pump`. No thread and no call that waits, so it runs in Blender."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from protocol.connection import Connection
from protocol.downloads import Download
from protocol.events import Event, JobChanged
from protocol.framing import BadMessage, decode
from protocol.held_jobs import Command, HeldJob
from protocol.ledger import Ledger
from protocol.messages import (
    ENDED,
    FROM_SERVER,
    Cancel,
    Forget,
    JobState,
    Limits,
    ListJobs,
    Pause,
    ReleaseMemory,
    Resume,
    SteerJob,
)
from protocol.replies import Replies
from protocol.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec
    import numpy as np

    from protocol.job import RefineJob, Steer

LARGEST_WINDOW = 8
SMALLEST_FRAME = 2**16


class Client:
    """One server, any number of jobs. Calls only note what is wanted; `pump` does it and tells what happened.

    A lost link ends no job: once it is back, uploads, commands and results go on from where the server acknowledged them.
    """

    def __init__(self, address: str, token: str, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`address` as "tcp://host:port"; `token` the secret of 32 to 128 characters that owns the jobs; `clock` in seconds."""
        self._connection = Connection(address, token, name, clock)
        self._ledger = Ledger(self._connection)
        self._replies = Replies(self._ledger)

    def connect(self) -> None:
        """Begin to connect; after a lost or refused link, at once."""
        self._connection.open()

    def close(self) -> None:
        """End the connection and free all that belongs to it. Jobs stay held, for another `connect`."""
        self._connection.close()

    def submit(self, job: str, description: RefineJob, arrays: dict[str, np.ndarray], label: str = "") -> None:
        """Run a job. The arrays must not change until the server has them. Errors: ValueError for arrays that do not travel."""
        if job not in self._ledger.uploads:
            self._ledger.uploads[job] = Upload(job, description, arrays, label)
            self._ledger.jobs.setdefault(job, HeldJob(job))

    def steer(self, job: str, command: Steer) -> None:
        self._command(job, SteerJob(command=command))

    def pause(self, job: str) -> None:
        self._command(job, Pause())

    def resume(self, job: str) -> None:
        self._command(job, Resume())

    def cancel(self, job: str, how: Literal["discard", "finish"]) -> None:
        upload = self._ledger.uploads.get(job)
        if upload is not None and not upload.offered:
            self._ledger.drop(job)
            self._ledger.events.append(JobChanged(JobState(job=job, state="cancelled", reason="Stopped before it was sent.")))
            return
        if how == "discard" and upload is not None and upload.accepted:
            del self._ledger.uploads[job]
        held = self._command(job, Cancel(how=how))
        held.previews.wanted = held.previews.wanted and how == "finish"

    def forget(self, job: str) -> None:
        self._command(job, Forget())

    def attach(self, job: str, last_seq: int = 0, token: str = "") -> None:
        """Hold a job that was submitted before, and hear what happened to it since `last_seq`."""
        held = self._ledger.jobs.setdefault(job, HeldJob(job, last_seq=last_seq))
        held.token = token or held.token
        if self._connection.ready:
            self._ledger.attach(held)

    def list_jobs(self) -> None:
        self._ledger.questions.append(ListJobs())

    def grant(self, job: str, previews: int = 1, max_vertices: int = 5_000) -> None:
        """Take so many previews more, of at most that size."""
        self._held(job).previews.want(previews, max_vertices)

    def pull(self, job: str, names: tuple[str, ...]) -> None:
        """Fetch these artefacts of a finished job; they arrive together."""
        self._held(job)
        if not any(download.job == job and download.names == names for download in self._ledger.downloads):
            self._ledger.downloads.append(Download(job, names))

    def release_memory(self) -> None:
        self._ledger.questions.append(ReleaseMemory())

    def pump(self, deadline_s: float) -> list[Event]:
        """Send, receive and check for about `deadline_s` seconds, less where there is nothing to do. What happened, oldest first.

        A single step (a message, a chunk of an upload) is always finished, which takes one to three milliseconds more.
        """
        until = time.perf_counter() + deadline_s
        self._connection.watch()
        while True:
            received = self._receive()
            worked = self._work()
            if not (received or worked) or time.perf_counter() >= until:
                break
        self._connection.check(drained=not received)
        self._tell_link()
        events, self._ledger.events = self._ledger.events, []
        return events

    def _tell_link(self) -> None:
        self._ledger.events += self._connection.changes
        self._connection.changes.clear()

    def _receive(self) -> bool:
        """Takes one message. False where there is none."""
        self._tell_link()
        frames = self._connection.receive()
        if frames is None:
            return False
        try:
            message = decode(frames, FROM_SERVER)
        except BadMessage as error:
            if self._connection.garbled(error):
                self._ledger.fault(error, error.header.job if error.header else "")
            return True
        was_ready = self._connection.ready
        if not self._connection.heard(message):
            self._replies.hear(message)
        elif self._connection.ready and not was_ready:
            self._ledger.take_up()
        return True

    def _work(self) -> bool:
        """Does one thing that waits to be done. False where there is none."""
        ledger = self._ledger
        if self._connection.ready:
            self._say()
        if any(upload.hash_step() for upload in ledger.uploads.values()):
            return True
        if not self._connection.ready:
            return False
        limits = self._limits()
        under_way = sum(each.unanswered for each in ledger.uploads.values()) + sum(each.unanswered for each in ledger.downloads)
        if under_way >= max(1, min(limits.window, LARGEST_WINDOW)):
            return False
        return self._send_chunk(limits) or self._ask_piece(limits)

    def _say(self) -> None:
        """Everything small: questions, submissions, credit, commands."""
        while self._ledger.questions:
            self._connection.send(self._ledger.questions.pop(0))
        for upload in list(self._ledger.uploads.values()):
            if upload.hashed and not upload.submitted:
                self._ask(upload)
        for held in self._ledger.jobs.values():
            if held.accepted and held.previews.untold:
                self._connection.send(held.previews.grant(), held.job)
            command = held.next_command()
            if command is not None:
                command.request = self._connection.send(command.body, held.job, command.seq)

    def _ask(self, upload: Upload) -> None:
        most = self._limits().upload_bytes
        if upload.total > most:
            self._ledger.give_up(upload, BadMessage(f"The job has {upload.total} bytes, but this server takes {most}.", "too_large"))
            self._ledger.drop(upload.job)
            return
        upload.asks(self._connection.send(upload.body(), upload.job))

    def _send_chunk(self, limits: Limits) -> bool:
        for upload in self._ledger.uploads.values():
            chunk = upload.next_chunk(max(limits.frame_bytes, SMALLEST_FRAME))
            if chunk is not None:
                upload.sent_chunk(self._connection.send(chunk[0], upload.job, raw=chunk[1]), *chunk)
                return True
        return False

    def _ask_piece(self, limits: Limits) -> bool:
        for download in list(self._ledger.downloads):
            held = self._ledger.jobs.get(download.job)
            if held is None or held.state is None:
                continue
            try:
                if held.state.state not in ENDED:
                    raise BadMessage(f"The job is {held.state.state} and has no result yet.", "state")
                download.begin(held.state.results)
            except BadMessage as error:
                self._ledger.downloads.remove(download)
                self._ledger.fault(error, download.job)
                continue
            if download.finished:
                self._ledger.finish(download)
                return True
            pull = download.next_pull(max(limits.frame_bytes, SMALLEST_FRAME) // 4 * 4)
            if pull is not None:
                download.asked(self._connection.send(pull, download.job), pull)
                return True
        return False

    def _limits(self) -> Limits:
        welcome = self._connection.welcome
        return welcome.limits if welcome is not None else Limits()

    def _held(self, job: str) -> HeldJob:
        """The job, attached to if it is not held yet."""
        if job not in self._ledger.jobs:
            self.attach(job)
        return self._ledger.jobs[job]

    def _command(self, job: str, body: msgspec.Struct) -> HeldJob:
        held = self._held(job)
        held.commands.append(Command(body))
        return held
