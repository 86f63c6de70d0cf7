"""What clients ask for besides commands: a greeting, a submission with its arrays, lists, previews, results."""

import logging
from collections.abc import Callable, Mapping

from backend.serve.blobs import Blobs
from backend.serve.capabilities import MODES, PRESETS, OfferedPrior, methods
from backend.serve.check_job import check_arrays, content_of, read_job
from backend.serve.clients import Clients, Connection, Credit, owner_of
from backend.serve.faults import Refused, fault_of
from backend.serve.orders import RESULT_FOLDER, Drop
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from backend.serve.workers import Workers
from protocol.errors import UserError
from protocol.framing import Message, array_bytes
from protocol.messages import (
    Attach,
    Chunk,
    Got,
    Grant,
    Hello,
    Jobs,
    Limits,
    ListJobs,
    Missing,
    Need,
    Piece,
    Ping,
    Pong,
    Pull,
    ReleaseMemory,
    Status,
    Submit,
    Welcome,
)
from protocol.version import VERSION

log = logging.getLogger(__name__)


def choose_version(low: tuple[int, int], high: tuple[int, int]) -> tuple[int, int]:
    """The newest version that both sides speak. Errors: Refused("version") that says which side to update."""
    spoken = (
        f"The client speaks versions {_dotted(low)} to {_dotted(high)} of the protocol, this server {VERSION[0]}.0 to {_dotted(VERSION)}."
    )
    if high < (VERSION[0], 0):
        raise Refused("version", spoken, "Update the Blender extension.")
    if low > VERSION:
        raise Refused("version", spoken, "Update the server.")
    return min(high, VERSION)


class Requests:
    """Answers the requests of one client after the other. Errors of a request are raised as `SketchBridgeError`."""

    def __init__(
        self,
        table: JobTable,
        blobs: Blobs,
        clients: Clients,
        workers: Workers,
        offered: Mapping[str, OfferedPrior],
        server: str,
        limits: Limits,
    ) -> None:
        self._table, self._blobs, self._clients, self._workers = table, blobs, clients, workers
        self._offered, self._server, self._limits = offered, server, limits
        self._methods = methods(offered["starter"].card)
        self._answers: dict[type, Callable[[Connection, Message], None]] = {
            Ping: self._ping,
            Submit: self._submit,
            Chunk: self._chunk,
            Attach: self._attach,
            ListJobs: self._list,
            Grant: self._grant,
            Pull: self._pull,
            ReleaseMemory: self._release_memory,
        }

    def hello(self, peer: bytes, message: Message) -> None:
        """Greet a client and tell it all that a user interface is built from."""
        body: Hello = message.body
        version = choose_version(body.low, body.high)
        if self._clients.full and self._clients.get(peer) is None:
            raise Refused("busy", "The server has as many clients as it takes.", "Try again later.", retryable=True)
        connection = self._clients.greet(peer, body.token, body.client, version)
        welcome = Welcome(
            version=version,
            server=self._server,
            modes=MODES,
            presets=PRESETS,
            methods=self._methods,
            priors=tuple(each.info for each in self._offered.values()),
            limits=self._limits,
            status=self._status(connection),
        )
        connection.push(welcome, message.header.id)
        log.info("client '%s' connected", body.client)

    def answer(self, connection: Connection, message: Message) -> None:
        """Anything but hello and commands."""
        self._answers[type(message.body)](connection, message)

    def _ping(self, connection: Connection, message: Message) -> None:
        connection.push(Pong(status=self._status(connection)), message.header.id)

    def _release_memory(self, connection: Connection, message: Message) -> None:
        for worker in self._workers:
            if worker.state == "idle":
                worker.order(Drop())
        self._ping(connection, message)

    def _list(self, connection: Connection, message: Message) -> None:
        connection.push(Jobs(jobs=self._table.listed(connection.owner)), message.header.id)

    def _submit(self, connection: Connection, message: Message) -> None:
        body: Submit = message.body
        if not message.header.job:
            raise Refused("malformed", "The submission names no job.", "Put 32 random hexadecimal digits into the header.")
        job = self._table.jobs.get(message.header.job)
        described = read_job(body, self._offered, self._limits)
        self._check_device(described.device)
        content = content_of(described, body.inputs)
        if job is None:
            if sum(not each.ended for each in self._table.of(connection.owner)) >= self._limits.jobs:
                raise Refused(
                    "busy", f"You have {self._limits.jobs} jobs that wait or run; no more are taken.", "Cancel some.", retryable=True
                )
            job = StoredJob(
                id=message.header.job,
                owner=connection.owner,
                uploader=connection.owner,
                content=content,
                job=described,
                inputs=body.inputs,
                label=body.label,
                prompt=described.prompt,
            )
            connection.watching.add(job.id)
            self._table.add(job)
        job = self._table.owned(job.id, connection.owner)
        connection.watching.add(job.id)
        if job.content != content:
            raise Refused("other_content", "Another job was submitted under this id.", "Make a new id for a new job.")
        if job.state == "uploading" and (missing := self._missing(job)):
            connection.push(Need(missing=missing), message.header.id, job.id)
            return
        self._queue_if_complete(job)
        connection.push(self._table.public(job), message.header.id, job.id)

    def _chunk(self, connection: Connection, message: Message) -> None:
        body: Chunk = message.body
        # Of any state: what is left of a window may come when another job with the same array has completed it.
        wanting = [job for job in self._table.of(connection.owner) if any(spec.digest == body.digest for spec in job.inputs)]
        wanting.sort(key=lambda job: (job.id != message.header.job, job.state != "uploading"))
        if not wanting:
            raise Refused("digest", f"No job of yours waits for the array {body.digest[:12]}.", "Submit the job first.")
        total = next(array_bytes(spec) for spec in wanting[0].inputs if spec.digest == body.digest)
        if body.total != total or not message.raw:
            raise Refused(
                "malformed", f"A chunk of {len(message.raw)} of {body.total} bytes came for an array of {total}.", "Send it again."
            )
        try:
            have = self._blobs.write(wanting[0].uploader, body.digest, total, body.offset, message.raw)
        except OSError as error:
            hint = "Free some space there, discard the job and submit it again."
            raise Refused("resource", f"The server's disk refused the sketch: {error.strerror}.", hint) from None
        connection.push(Got(digest=body.digest, offset=have, total=total), message.header.id, message.header.job)
        if have == total:
            for job in wanting:
                self._queue_if_complete(job)

    def _queue_if_complete(self, job: StoredJob) -> None:
        """Into the queue once all arrays are here and their values can be used; a job whose values cannot has failed."""
        if job.state != "uploading" or self._missing(job):
            return
        try:
            check_arrays(job.inputs, {spec.name: self._blobs.path(job.uploader, spec.digest) for spec in job.inputs})
        except UserError as error:
            self._table.change(job, "failed", error.sentence, fault_of(error))
            return
        self._table.change(job, "queued", "Waits for a worker.")

    def _missing(self, job: StoredJob) -> tuple[Missing, ...]:
        missing = {}
        for spec in job.inputs:
            total = array_bytes(spec)
            have = self._blobs.have(job.uploader, spec.digest, total)
            if have < total:
                missing[spec.digest] = Missing(digest=spec.digest, offset=have)
        return tuple(missing.values())

    def _attach(self, connection: Connection, message: Message) -> None:
        body: Attach = message.body
        job = self._table.jobs.get(message.header.job)
        if job is not None and body.token and job.owner == owner_of(body.token):
            job.owner = connection.owner
            self._table.save(job)
            self._clients.disown(job.id, connection.owner)
        job = self._table.owned(message.header.job, connection.owner)
        connection.watching.add(job.id)
        for seq, event in self._table.store.events(job.id, body.last_seq):
            connection.push(event, message.header.id, job.id, seq)
        connection.push(self._table.public(job), message.header.id, job.id)

    def _grant(self, connection: Connection, message: Message) -> None:
        body: Grant = message.body
        job = self._table.owned(message.header.job, connection.owner)
        connection.watching.add(job.id)
        connection.credit[job.id] = Credit(body.previews, min(body.max_vertices, self._limits.preview_vertices))

    def _pull(self, connection: Connection, message: Message) -> None:
        body: Pull = message.body
        job = self._table.owned(message.header.job, connection.owner)
        artefact = next((each for each in job.results if each.name == body.name), None)
        if job.state != "done" or artefact is None:
            raise Refused("state", f"The job has no artefact '{body.name[:80]}'.", "Wait until it is done, and pull what it lists.")
        if body.offset > artefact.bytes:
            raise Refused(
                "malformed", f"'{artefact.name}' has {artefact.bytes} bytes, but byte {body.offset} was asked for.", "Start over."
            )
        path = self._table.store.job_folder(job.id) / RESULT_FOLDER / artefact.name
        try:
            with path.open("rb") as file:
                file.seek(body.offset)
                data = file.read(min(body.count, artefact.bytes - body.offset))
        except OSError as error:
            raise Refused("resource", f"'{artefact.name}' cannot be read: {error.strerror}.", "Run the job again.") from None
        piece = Piece(name=artefact.name, offset=body.offset, total=artefact.bytes)
        connection.push(piece, message.header.id, job.id, raw=data)

    def _status(self, connection: Connection) -> Status:
        """Devices and counts; of jobs only the client's own are named."""
        devices = []
        for worker in self._workers:
            job = self._table.jobs.get(worker.job)
            devices.append(worker.public(job.id if job is not None and job.owner == connection.owner else ""))
        running = sum(device.state == "busy" for device in devices)
        return Status(devices=tuple(devices), queued=self._table.waiting, running=running)

    def _check_device(self, wanted: str) -> None:
        names = {worker.device for worker in self._workers}
        names |= {name.partition(":")[0] for name in names}
        if names and wanted not in ("auto", *names):
            raise UserError(f"This server has no device '{wanted[:80]}'.", f"Use auto, or one of {', '.join(sorted(names))}.")


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
