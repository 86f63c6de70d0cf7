"""The server's dispatcher with a batch's rules: warm weights first, and what to do about a job that failed."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from backend.batch.attempts import ALIKE, LOST, MEMORY, Attempt, note_attempt, quarantine, what_next
from backend.batch.check_job import card_of
from backend.batch.warm_order import WarmOrder
from backend.serve.blobs import Blobs
from backend.serve.capabilities import OfferedPrior
from backend.serve.crew import Audience, Crew
from backend.serve.dispatch import Dispatch, fits
from backend.serve.orders import Ended
from backend.serve.stored_job import StoredJob
from backend.serve.table import JobTable
from backend.serve.workers import Deadlines, Worker
from protocol.messages import Fault, PriorInfo


class BatchDispatch(Dispatch):
    """Gives the jobs of a batch to its workers. `note` is told what is worth a sentence."""

    attempts = ALIKE
    results = ""

    def __init__(self, table: JobTable, crew: Crew, audience: Audience, order: WarmOrder, note: Callable[[str], None]) -> None:
        blobs = Blobs(table.store.folder / "inputs")  # which stays empty: jobs name files
        priors = {job.job.prior for job in table.jobs.values() if not job.ended and job.state != "paused"}
        super().__init__(table, crew, audience, blobs, offered(priors), Deadlines())
        self._order, self._note = order, note

    def assign(self) -> None:
        """Every idle worker gets the job that suits what it has loaded."""
        if self.closing or not self._table.waiting:
            return
        for index, worker in enumerate(self._workers):
            if worker.state == "idle":
                job = self._order.choose(index, self._table.queue, time.monotonic(), partial(_fits, worker.device))
                if job is not None:
                    self._run(job, worker)

    def _lost(self, worker: Worker) -> None:
        job = self._table.jobs.get(worker.job)
        self._order.forget(next(index for index, each in enumerate(self._workers) if each is worker))
        if job is None or self.closing:
            super()._lost(worker)
            return
        self._note(f"The worker on {worker.device} was lost at step {job.step} of '{job.label}'.")
        attempts = self._noted(job, worker.device, f"The worker on {worker.device} was lost.", LOST)
        super()._lost(worker)
        if job.state == "failed" and job.fault is not None:
            self._quarantine(job, job.fault, attempts)

    def _ended(self, job: StoredJob, worker: Worker, ended: Ended) -> None:
        device = worker.device
        super()._ended(job, worker, ended)
        if job.state != "failed" or job.fault is None:
            return
        fault = job.fault
        attempts = self._noted(job, device, fault.sentence, fault.code)
        smaller = ended.resolved if fault.code == MEMORY else None
        do = what_next(attempts, fault, smaller is not None)
        if do == "quarantine":
            self._quarantine(job, fault, attempts)
        elif do == "again":
            self._note(f"'{job.label}' failed and is tried once more: {fault.sentence}")
            self._table.change(job, "queued", "Tried once more.")
        elif smaller is not None:
            self._note(f"'{job.label}' is tried with fewer views in a step: {fault.sentence}")
            job.job, job.held_step = smaller, -1
            (self._folder(job) / "checkpoint.pt").unlink(missing_ok=True)
            self._table.change(job, "queued", "Tried with fewer views in a step.")

    def _noted(self, job: StoredJob, device: str, sentence: str, code: str) -> tuple[Attempt, ...]:
        return note_attempt(self._folder(job), Attempt(sentence=sentence, worker=device, step=job.step, code=code))

    def _quarantine(self, job: StoredJob, fault: Fault, attempts: tuple[Attempt, ...]) -> None:
        if fault.code == LOST:
            fault = msgspec.structs.replace(fault, hint="Run the batch again with --retry-failed; the logs of the workers say more.")
        quarantine(self._folder(job), fault, attempts)
        self._note(f"'{job.label}' failed: {fault.sentence}")

    def _folder(self, job: StoredJob) -> Path:
        return self._table.store.job_folder(job.id)


def _fits(device: str, job: StoredJob) -> bool:
    return fits(job.job.device, device)


def offered(priors: Iterable[str]) -> dict[str, OfferedPrior]:
    """The priors of a batch under the names by which they are loaded: its jobs come from whoever runs it."""
    cards = {prior: card_of(prior) for prior in priors}
    return {prior: OfferedPrior(prior, card, PriorInfo(name=prior[-128:], title=card.name)) for prior, card in cards.items()}
