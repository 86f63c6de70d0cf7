"""Commands of clients: numbered within their job, taken once each, and what each does in every state."""

from backend.serve.blobs import Blobs
from backend.serve.check_job import check_steer
from backend.serve.clients import Clients, Connection
from backend.serve.dispatch import Dispatch
from backend.serve.faults import Refused, fault_of
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from protocol.errors import SketchBridgeError
from protocol.framing import Message
from protocol.messages import Cancel, Forget, Jobs, Limits, Pause, Resume, SteerJob


class Commands:
    """Takes the commands of one client after the other."""

    def __init__(self, table: JobTable, dispatch: Dispatch, clients: Clients, blobs: Blobs, limits: Limits) -> None:
        self._table, self._dispatch, self._clients, self._blobs, self._limits = table, dispatch, clients, blobs, limits

    def take(self, connection: Connection, message: Message) -> None:
        """Apply a command and answer it.

        One that was taken before is answered with the present state. One that cannot be done here and now counts as taken: it is
        answered with a fault, and its number is in the state recorded beside.

        Errors: Refused("unknown_job"), Refused("gap") where commands before this one are missing.
        """
        header, body = message.header, message.body
        job = self._table.owned(header.job, connection.owner)
        connection.watching.add(job.id)
        if 0 < header.seq <= job.last_command:
            connection.push(self._table.public(job), header.id, job.id)
            return
        if header.seq != job.last_command + 1:
            connection.push(self._table.public(job), 0, job.id)
            raise Refused(
                "gap",
                f"Command {header.seq} of the job came, but the next one is {job.last_command + 1}.",
                "Send the missing ones first.",
                retryable=True,
            )
        job.last_command = header.seq
        try:
            if isinstance(body, Cancel):
                # First the state it found, then what became of it, so that the newest word is the last one.
                connection.push(self._table.public(job), header.id, job.id)
                self._cancel(job, body)
            elif isinstance(body, Forget):
                self._forget(job)
                connection.push(Jobs(jobs=self._table.listed(connection.owner)), header.id)
            else:
                if isinstance(body, SteerJob):
                    self._steer(job, body)
                elif isinstance(body, Pause):
                    self._pause(job)
                elif isinstance(body, Resume):
                    self._resume(job)
                connection.push(self._table.public(job), header.id, job.id)
        except SketchBridgeError as error:
            connection.push(fault_of(error), header.id, job.id)
            self._table.change(job, job.state, job.reason, job.fault)

    def _steer(self, job: StoredJob, body: SteerJob) -> None:
        check_steer(body.command, self._limits)
        if job.ended or job.state == "finishing" or job.wanted in ("finish", "discard"):
            raise Refused("state", f"The job is {job.state} and can be steered no more.", "Start a new run.")
        job.steers = (*job.steers, (job.last_command, body.command))
        self._dispatch.steer(job)
        self._table.change(job, job.state, "Takes the new direction at its next step." if job.on_worker else job.reason)

    def _pause(self, job: StoredJob) -> None:
        if job.ended or job.state == "uploading":
            raise Refused("state", f"The job is {job.state} and cannot be paused.", "Wait until it is queued or runs.")
        if job.wanted in ("finish", "discard"):
            raise Refused("state", "The job is already stopping.", "Wait for it.")
        if job.state == "queued":
            self._table.change(job, "paused", "Paused before it ran.")
        elif job.on_worker:
            job.wanted = "pause"
            self._dispatch.stop(job)
            self._table.change(job, job.state, "Pauses at its next step.")
        else:
            self._table.change(job, job.state, job.reason)

    def _resume(self, job: StoredJob) -> None:
        if job.state in ("done", "cancelled", "uploading"):
            raise Refused("state", f"The job is {job.state} and cannot be resumed.", "Submit it again under a new id.")
        if job.state == "failed":
            if job.fault is None or not job.fault.retryable:
                raise Refused("state", "The job failed for a reason that trying again does not cure.", "Change it and submit it anew.")
            job.lost = 0
        if job.on_worker and job.wanted == "pause":
            # The worker is stopping already; it gives the job back and gets it again.
            job.wanted = ""
            self._table.change(job, job.state, "Goes on after its checkpoint.")
        elif job.state in ("paused", "failed"):
            self._table.change(job, "queued", "Waits for a worker.")
        else:
            self._table.change(job, job.state, job.reason)

    def _cancel(self, job: StoredJob, body: Cancel) -> None:
        if job.ended:
            self._table.change(job, job.state, job.reason, job.fault)
        elif job.on_worker:
            if job.wanted != "discard":
                job.wanted = body.how
            self._dispatch.stop(job)
            self._table.change(job, job.state, "Cancels." if job.wanted == "discard" else "Stops and writes what it has.")
        elif body.how == "finish" and self._dispatch.has_checkpoint(job):
            job.wanted = "finish"
            self._table.put_first(job, "Waits for a worker to write what it has.")
        else:
            self._table.store.empty(job.id)
            job.steers, job.held_step = (), -1
            self._table.change(job, "cancelled", "Cancelled before it ran." if job.attempt == 0 else "Cancelled.")

    def _forget(self, job: StoredJob) -> None:
        if not job.ended:
            raise Refused("state", f"The job is {job.state}; only ended jobs can be forgotten.", "Cancel it first.")
        self._clients.forget(job.id)
        self._table.remove(job)
        used = {(each.uploader, spec.digest) for each in self._table.jobs.values() for spec in each.inputs}
        self._blobs.remove_unused(used, job.uploader)
