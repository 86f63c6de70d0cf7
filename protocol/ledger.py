"""The books of a client: its jobs, what travels for them, and what its owner is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.events import Event, Faulted
from protocol.held_jobs import HeldJob
from protocol.messages import Attach, Fault

if TYPE_CHECKING:
    import msgspec

    from protocol.connection import Connection
    from protocol.downloads import Download
    from protocol.framing import BadMessage
    from protocol.uploads import Upload


class Ledger:
    """`events`: oldest first, until `Client.pump` hands them out. `questions`: to be asked once there is a link."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.events: list[Event] = []
        self.jobs: dict[str, HeldJob] = {}
        self.uploads: dict[str, Upload] = {}
        self.downloads: list[Download] = []
        self.questions: list[msgspec.Struct] = []

    def attach(self, held: HeldJob) -> None:
        """Asks for what happened since the last event that was heard."""
        held.attach = self._connection.send(Attach(last_seq=held.last_seq, token=held.token), held.job)

    def take_up(self) -> None:
        """A new connection: everything unfinished is taken up again."""
        for upload in self.uploads.values():
            upload.restart()
        for download in self.downloads:
            download.restart()
        for job, held in self.jobs.items():
            held.restart()
            if job not in self.uploads:
                self.attach(held)

    def drop(self, job: str) -> None:
        """The job is held no longer."""
        self.jobs.pop(job, None)
        self.uploads.pop(job, None)
        self.downloads = [download for download in self.downloads if download.job != job]

    def give_up(self, upload: Upload, error: BadMessage) -> None:
        """The upload cannot go on; the job stays held."""
        self.uploads.pop(upload.job, None)
        self.fault(error, upload.job)

    def finish(self, download: Download) -> None:
        self.downloads.remove(download)
        self.events.append(download.result())

    def fault(self, error: BadMessage, job: str) -> None:
        """Tells of one thing that went wrong."""
        fault = Fault(code=error.code, sentence=error.sentence, hint=error.hint)
        self.events.append(Faulted(job if job in self.jobs else "", fault))
