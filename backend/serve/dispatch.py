"""Jobs onto workers, and what workers say about them back into the table."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from backend.serve.blobs import Blobs
from backend.serve.capabilities import OfferedPrior
from backend.serve.crew import Audience, Crew
from backend.serve.orders import CHECKPOINT_FILE, RESULT_FOLDER, Ended, Held, Moved, Run, Said, Show, Shown, Stop, Turn, Turned
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from backend.serve.workers import Deadlines, Worker
from protocol.framing import Message
from protocol.messages import Artefact, Fault, Remark, State

log = logging.getLogger(__name__)

ATTEMPTS = 3
FULL = 0.999
"""Progress before the results can be pulled stays below 1."""

_PREPARING = ("load", "start")
_FINISHING = ("export", "measure")
_WORDS: dict[State, str] = {
    "preparing": "Loads the prior and the sketch.",
    "running": "Runs.",
    "finishing": "Writes the asset.",
}


class Dispatch:
    """Gives waiting jobs to idle workers and follows their runs to the end, through lost workers.

    `attempts`: those that may be lost one after the other without a newer checkpoint. `results`: the folder in a job's own where its
    results lie.
    """

    attempts = ATTEMPTS
    results = RESULT_FOLDER

    def __init__(
        self,
        table: JobTable,
        workers: Crew,
        clients: Audience,
        blobs: Blobs,
        offered: Mapping[str, OfferedPrior],
        deadlines: Deadlines,
    ) -> None:
        self._table, self._workers, self._clients, self._blobs = table, workers, clients, blobs
        self._offered = offered
        self._deadlines = deadlines
        self._cancel_until: dict[str, float] = {}
        self.closing = False

    def recover(self) -> None:
        """After a start: jobs that ran when the server went down wait again, before all others."""
        interrupted = [job for job in self._table.jobs.values() if job.on_worker]
        for job in sorted(interrupted, key=lambda job: job.rank, reverse=True):
            self._leave_worker(job, "The server was restarted; the job goes on.")

    def assign(self) -> None:
        """Every idle worker gets the first job that its device fits."""
        idle = [worker for worker in self._workers if worker.state == "idle"]
        if self.closing or not idle or not self._table.waiting:
            return
        for job in self._table.queue:
            worker = next((each for each in idle if fits(job.job.device, each.device)), None)
            if worker is not None:
                self._run(job, worker)
                idle = [each for each in idle if each.state == "idle"]
            if not idle:
                return

    def heard(self, worker: Worker, message: Message) -> None:
        """One message of a worker."""
        body = message.body
        if not message.header.job or message.header.job != worker.job or message.header.seq != worker.attempt:
            return
        job = self._table.jobs[worker.job]
        if isinstance(body, Moved):
            self._moved(job, body)
        elif isinstance(body, Said):
            self._table.remark(job, Remark(text=body.text, level=body.level))
        elif isinstance(body, Shown):
            self._clients.show(job.id, body, message.arrays)
        elif isinstance(body, Turned):
            self._turned(job, body)
        elif isinstance(body, Held):
            # A run that starts over from its checkpoint writes older ones again; only a newer one is getting on.
            job.lost = 0 if body.step > job.held_step else job.lost
            job.held_step = max(body.step, job.held_step)
            self._table.save(job)
        elif isinstance(body, Ended):
            self._ended(job, worker, body)

    def stop(self, job: StoredJob) -> None:
        """Tell the worker of the job how it is wanted to stop."""
        worker = self._worker_of(job)
        if worker is None or not job.wanted:
            return
        worker.order(Stop(how=job.wanted))
        if job.wanted == "discard":
            self._cancel_until.setdefault(job.id, time.monotonic() + self._deadlines.cancel)

    def steer(self, job: StoredJob) -> None:
        """Hand the newest steering to the worker of the job, if it is on one."""
        worker = self._worker_of(job)
        if worker is not None:
            seq, command = job.steers[-1]
            worker.order(Turn(seq=seq, command=command))

    def has_checkpoint(self, job: StoredJob) -> bool:
        """Whether a run of the job can be taken up again; a worker's word of its last checkpoint may have been lost with the server."""
        return job.held_step >= 0 or (self._table.store.job_folder(job.id) / CHECKPOINT_FILE).exists()

    def tick(self, now: float) -> None:
        """Lost workers, cancels that were not obeyed, and the size of previews that is wanted."""
        for job_id, until in tuple(self._cancel_until.items()):
            job = self._table.jobs[job_id]
            worker = self._worker_of(job)
            if worker is not None and now > until:
                log.warning("the worker on %s did not cancel in time and is ended", worker.device)
                self._workers.end(worker)
                self._lost(worker)
        for worker in self._workers.lost(now):
            self._lost(worker)
        for worker in self._workers:
            if worker.state == "busy":
                vertices = self._clients.wanted_vertices(worker.job)
                if vertices != worker.showing:
                    worker.showing = vertices
                    worker.order(Show(max_vertices=vertices))

    def _run(self, job: StoredJob, worker: Worker) -> None:
        prior = self._offered.get(job.job.prior)
        if prior is None:  # the server was started with other priors than when the job came
            sentence = f"This server offers the prior '{job.job.prior}' no longer."
            fault = Fault(code="resource", sentence=sentence, hint="Start it with that --prior, and resume the job.", retryable=True)
            self._table.change(job, "failed", sentence, fault)
            return
        folder = self._table.store.job_folder(job.id)
        resume = self.has_checkpoint(job)
        job.attempt += 1
        job.phase = ""
        vertices = self._clients.wanted_vertices(job.id)
        worker.give(
            job.id,
            job.attempt,
            Run(
                job=msgspec.structs.replace(job.job, prior=prior.location),
                folder=str(folder),
                inputs=job.inputs,
                paths=tuple(str(self._blobs.path(job.uploader, spec.digest)) for spec in job.inputs),
                resume=resume,
                journal=job.journal,
                steers=job.steers,
                preview_vertices=vertices,
            ),
        )
        worker.showing = vertices
        reason = "Goes on from its last checkpoint." if resume else _WORDS["preparing"]
        job.device = worker.device
        self._table.change(job, "preparing", reason)
        if job.wanted:  # asked to finish while it waited
            self.stop(job)

    def _moved(self, job: StoredJob, moved: Moved) -> None:
        job.phase, job.step, job.steps = moved.phase, moved.step, moved.steps
        job.fraction = max(job.fraction, min(FULL, moved.fraction))
        job.eta_s, job.rate, job.losses = moved.eta_s, moved.rate, moved.losses
        state: State = "preparing" if moved.phase in _PREPARING else "finishing" if moved.phase in _FINISHING else "running"
        if state != job.state:
            self._table.change(job, state, job.reason if job.wanted else _WORDS[state])
        else:
            self._clients.touch(job.id, job.owner)

    def _turned(self, job: StoredJob, turned: Turned) -> None:
        """A steering is in effect: from the pending ones into the journal. Replayed ones are in the journal already."""
        job.prompt = turned.prompt or job.prompt
        if turned.seq in {seq for seq, _ in job.steers}:
            job.steers = tuple(steer for steer in job.steers if steer[0] != turned.seq)
            job.journal = (*job.journal, turned.entry)
            said = f"now towards '{turned.entry.command.prompt}'" if turned.entry.command.prompt else "the new freedom of the shape holds"
            self._table.remark(job, Remark(text=f"From step {turned.entry.step} on: {said}."))
        self._table.save(job)
        self._clients.touch(job.id, job.owner)

    def _ended(self, job: StoredJob, worker: Worker, ended: Ended) -> None:
        worker.free()
        worker.failures = 0
        self._off_worker(job)
        job.step, job.steps = ended.step or job.step, ended.steps or job.steps
        job.resolved = ended.resolved or job.resolved
        wanted, job.wanted = job.wanted, ""
        if ended.outcome in ("done", "finished early"):
            self._done(job, ended)
        elif ended.outcome == "cancelled":
            self._discard(job, "Cancelled.")
        elif ended.outcome == "failed":
            fault = ended.fault or Fault(code="internal", sentence="The run failed without saying why.", hint="See the worker's log.")
            self._table.change(job, "failed", fault.sentence, fault)
        elif wanted == "pause":
            self._table.change(job, "paused", "Paused.")
        elif wanted == "discard":
            self._discard(job, "Cancelled.")
        else:
            job.wanted = wanted
            self._table.put_first(job, "The server was stopped; the job goes on when it starts." if self.closing else "Goes on.")

    def _done(self, job: StoredJob, ended: Ended) -> None:
        folder = self._table.store.job_folder(job.id) / self.results
        missing = [artefact.name for artefact in ended.results if not _is_there(folder, artefact)]
        if missing or not ended.results:
            lacking = ", ".join(missing) or "there is none"
            fault = Fault(code="internal", sentence=f"The run ended without its result ({lacking}).", hint="Try again.", retryable=True)
            self._table.change(job, "failed", fault.sentence, fault)
            return
        if job.steers:
            job.steers = ()
            self._table.remark(job, Remark(text="The last change came after the last step and has no effect.", level="warning"))
        job.results, job.fraction = ended.results, 1.0
        self._table.change(job, "done", "Finished early, as asked." if ended.outcome == "finished early" else "Done.")

    def _lost(self, worker: Worker) -> None:
        job = self._table.jobs.get(worker.job)
        worker.free()
        if job is None:
            return
        if job.wanted != "discard" and not self.closing:
            job.lost += 1
        if job.lost >= self.attempts:
            self._off_worker(job)
            job.lost, job.wanted = 0, ""
            fault = Fault(
                code="worker_lost",
                sentence=f"The worker on {worker.device} died {self.attempts} times at this job without getting on.",
                hint="Resume it to try again; its log says more.",
                retryable=True,
            )
            self._table.change(job, "failed", fault.sentence, fault)
        else:
            self._leave_worker(job, "Its worker was lost; the job goes on.")

    def _leave_worker(self, job: StoredJob, reason: str) -> None:
        """The job's worker is gone: what is left is what was wanted, or the queue."""
        self._off_worker(job)
        wanted, job.wanted = job.wanted, ""
        if wanted == "discard":
            self._discard(job, "Cancelled; its worker was ended.")
        elif wanted == "pause":
            self._table.change(job, "paused", "Paused at its last checkpoint; its worker was lost.")
        else:
            job.wanted = wanted
            self._table.put_first(job, reason)

    def _discard(self, job: StoredJob, reason: str) -> None:
        self._table.store.empty(job.id)
        job.held_step, job.steers = -1, ()
        self._table.change(job, "cancelled", reason)

    def _off_worker(self, job: StoredJob) -> None:
        self._cancel_until.pop(job.id, None)
        self._clients.hide(job.id)

    def _worker_of(self, job: StoredJob) -> Worker | None:
        return next((worker for worker in self._workers if worker.job == job.id), None)


def fits(wanted: str, device: str) -> bool:
    """Does the device do for a job that wants "auto", "cpu", "cuda" or "cuda:1"?"""
    return wanted in ("auto", device, device.partition(":")[0])


def _is_there(folder: Path, artefact: Artefact) -> bool:
    path = folder / artefact.name
    return path.parent == folder and path.is_file() and path.stat().st_size == artefact.bytes
