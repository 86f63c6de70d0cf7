"""What a server says about jobs, and what follows from it. Words that nobody asked for, or about jobs not held, are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.events import Faulted, JobChanged, JobsListed, Pulling, RemarkArrived, StatusChanged, Uploading
from protocol.framing import BadMessage
from protocol.messages import ENDED, Fault, Forget, Got, Jobs, JobState, ListJobs, Need, Piece, Pong, Preview, Remark
from protocol.received import check_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.framing import Message
    from protocol.held_jobs import HeldJob
    from protocol.ledger import Ledger


class Replies:
    """Takes every message that is not about the link itself."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hear: dict[type, Callable[[Message], None]] = {
            Pong: self._on_pong,
            JobState: self._on_state,
            Jobs: self._on_jobs,
            Need: self._on_need,
            Got: self._on_got,
            Preview: self._on_preview,
            Remark: self._on_remark,
            Piece: self._on_piece,
            Fault: self._on_fault,
        }

    def hear(self, message: Message) -> None:
        self._hear[type(message.body)](message)

    def _next_in_record(self, message: Message, held: HeldJob) -> bool:
        """Whether this recorded event is to be told; where one before it is missing, the server is asked once for what was missed."""
        follows = held.follows(message.header.seq, message.header.parent)
        if follows:
            held.last_seq = message.header.seq
        elif follows is False:
            self._ask_again(held)
        return bool(follows)

    def _ask_again(self, held: HeldJob) -> None:
        if not held.attach and held.attached_from != held.last_seq:
            held.attached_from = held.last_seq
            self._ledger.attach(held)

    def _on_pong(self, message: Message) -> None:
        self._ledger.events.append(StatusChanged(message.body.status))

    def _on_jobs(self, message: Message) -> None:
        self._ledger.events.append(JobsListed(message.body.jobs))
        for held in list(self._ledger.jobs.values()):
            first = held.commands[0] if held.commands else None
            if first and isinstance(first.body, Forget) and first.request and first.request == message.header.parent:
                self._ledger.drop(held.job)

    def _on_state(self, message: Message) -> None:
        state: JobState = message.body
        parent, seq = message.header.parent, message.header.seq
        held = self._ledger.jobs.get(state.job)
        if held is None:
            return
        try:
            check_state(state)
        except BadMessage as error:
            self._ledger.fault(error, state.job)
            return
        answers = parent != 0 and parent == held.attach and not seq
        held.known(state, parent)
        if seq:
            if not self._next_in_record(message, held):
                return
        elif answers:
            held.attach, held.token = 0, ""
            held.last_seq = max(held.last_seq, state.last_seq)
        elif held.ended and state.state not in ENDED and not parent:
            return  # progress that was overtaken by the end
        elif state.last_seq > held.last_seq:
            self._ask_again(held)
        held.state = state
        upload = self._ledger.uploads.get(state.job)
        if upload is not None and state.state != "uploading":
            del self._ledger.uploads[state.job]
        self._ledger.events.append(JobChanged(state))

    def _on_need(self, message: Message) -> None:
        upload = self._ledger.uploads.get(message.header.job)
        if upload is None or upload.request != message.header.parent:
            return
        try:
            upload.need(message.body)
        except BadMessage as error:
            self._ledger.give_up(upload, error)
            return
        self._ledger.jobs[upload.job].accepted = True
        self._ledger.events.append(Uploading(upload.job, upload.sent, upload.total))

    def _on_got(self, message: Message) -> None:
        upload = next((upload for upload in self._ledger.uploads.values() if upload.waits_for(message.header.parent)), None)
        if upload is None:
            return
        try:
            upload.got(message.header.parent, message.body)
        except BadMessage as error:
            self._ledger.give_up(upload, error)
            return
        self._ledger.events.append(Uploading(upload.job, upload.sent, upload.total))

    def _on_preview(self, message: Message) -> None:
        held = self._ledger.jobs.get(message.header.job)
        if held is None or held.ended or not held.previews.wanted:
            return
        try:
            self._ledger.events.append(held.previews.take(held.job, message))
        except BadMessage as error:
            self._ledger.fault(error, held.job)

    def _on_remark(self, message: Message) -> None:
        held = self._ledger.jobs.get(message.header.job)
        if held is not None and (not message.header.seq or self._next_in_record(message, held)):
            self._ledger.events.append(RemarkArrived(held.job, message.body))

    def _on_piece(self, message: Message) -> None:
        parent = message.header.parent
        download = next((download for download in self._ledger.downloads if download.waits_for(parent)), None)
        if download is None:
            return
        try:
            download.arrived(parent, message.body, message.raw)
        except BadMessage as error:
            self._ledger.downloads.remove(download)
            self._ledger.fault(error, download.job)
            return
        self._ledger.events.append(Pulling(download.job, download.received, download.total))
        if download.finished:
            self._ledger.finish(download)

    def _on_fault(self, message: Message) -> None:
        """What was asked for and refused is given up, apart from what can be put right: a gap in an upload or in the commands."""
        fault: Fault = message.body
        parent = message.header.parent
        upload = next((u for u in self._ledger.uploads.values() if parent and (u.request == parent or u.waits_for(parent))), None)
        download = next((d for d in self._ledger.downloads if d.waits_for(parent)), None)
        held = next((h for h in self._ledger.jobs.values() if parent and parent == h.attach), None)
        commanded = next((h for h in self._ledger.jobs.values() if parent and h.commands and parent == h.commands[0].request), None)
        job = message.header.job if message.header.job in self._ledger.jobs else ""
        if upload is not None:
            job = upload.job
            if fault.code == "gap" or (fault.code == "digest" and fault.retryable):
                try:
                    upload.stuck()
                except BadMessage as error:
                    self._ledger.give_up(upload, error)
                    return
                upload.restart()
                return
            self._ledger.uploads.pop(job)
            if not upload.accepted:
                self._ledger.drop(job)
        elif download is not None:
            job = download.job
            self._ledger.downloads.remove(download)
        elif held is not None:
            job = held.job
            if held.commands and isinstance(held.commands[0].body, Forget) and fault.code == "unknown_job":
                self._ledger.questions.append(ListJobs())  # the answer to Forget was lost with the link
                self._ledger.drop(job)
                return
            held.attach = 0
            if fault.code == "unknown_job":
                self._ledger.drop(job)
        elif commanded is not None:
            job = commanded.job
            if fault.code == "unknown_job":
                self._ledger.drop(job)
                self._ledger.events.append(Faulted(job, fault))
                return
            command = commanded.commands[0]
            command.seq = command.request = 0
            if fault.code != "gap" or command.renumbered:
                commanded.commands.popleft()
            command.renumbered = True
            self._ledger.attach(commanded)  # its number may count or not: the answer tells
            if fault.code == "gap" and commanded.commands and commanded.commands[0] is command:
                return
        elif message.header.job and not job:
            return  # a late word about a job that is not held any more
        self._ledger.events.append(Faulted(job, fault))
