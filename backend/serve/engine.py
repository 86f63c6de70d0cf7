"""One job at a time on one device: `backend.refine` in the words of `orders`."""

import logging
import os
import platform
import traceback
from pathlib import Path

import msgspec
import torch

from backend.errors import Cancelled, NumericalError, ResourceError, SketchBridgeError
from backend.priors.card import PriorCard
from backend.priors.contract import Prior
from backend.priors.exemplar_folder import EXEMPLAR
from backend.priors.resolve import resolve_prior
from backend.refine.device import choose_device
from backend.refine.inputs import Inputs
from backend.refine.resolve import resolve
from backend.refine.result import Result
from backend.refine.run import refine
from backend.serve.faults import fault_of
from backend.serve.inputs import read_inputs
from backend.serve.orders import CHECKPOINT_FILE, Ended, Moved, Run, Said
from backend.serve.results import read_manifest, write_manifest, write_results
from backend.serve.run_words import RunWords, Tell
from backend.serve.worker_link import Assignment
from protocol.job import RefineJob
from protocol.messages import Artefact, Fault

log = logging.getLogger(__name__)

TRACE_CHARACTERS = 16_000


class Engine:
    """Runs jobs on `device`; the weights of the last prior stay loaded until another is named, or `drop`.

    On the CPU every core is used, as torch does by itself; OMP_NUM_THREADS=1 makes runs repeatable bit for bit. `broken`: the device
    may have been left in a state that only a new process gets rid of.
    """

    def __init__(self, device: str) -> None:
        """Errors: as `choose_device`."""
        self.device = choose_device(device)
        self.broken = False
        self._prior: tuple[str, Prior] | None = None

    @property
    def title(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        count = torch.get_num_threads()
        return f"{platform.machine()} CPU, {count} thread{'s' if count > 1 else ''}"

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the device, 0 unknown."""
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            return free, total
        if not hasattr(os, "sysconf"):
            return 0, 0
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")

    def drop(self) -> None:
        """Give the loaded weights back."""
        self._prior = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def run(self, assignment: Assignment, tell: Tell) -> Ended:
        """How the job ended; whatever goes wrong is in its fault."""
        words = RunWords(assignment, tell)
        try:
            return self._run(assignment, words)
        except Cancelled:
            return Ended(outcome="cancelled", step=words.step, steps=words.steps)
        except Exception as error:
            log.warning("job %s failed", assignment.job, exc_info=True)
            return Ended(outcome="failed", step=words.step, steps=words.steps, fault=self._fault(error))

    # Where a job comes from and where its results go: here the server's store.

    def finished(self, folder: Path) -> Ended | None:
        """How the job in `folder` ended, if it did in an attempt that nobody heard of."""
        return read_manifest(folder)

    def inputs(self, run: Run) -> Inputs:
        """What the job is made from. Errors: UserError, ResourceError."""
        return read_inputs(run)

    def asked(self, run: Run) -> RefineJob:
        """The job as the run and its report know it."""
        # Inputs come in the domain, and so goes the result; how the client placed them there is its own affair.
        return msgspec.structs.replace(run.job, device=str(self.device), placement=(), prior=_called(run.job.prior))

    def leave(self, result: Result, folder: Path) -> tuple[Artefact, ...]:
        """Put the results in their place."""
        return write_results(result, folder)

    def seal(self, ended: Ended, folder: Path) -> None:
        """From now on the job is finished, whoever hears of it."""
        write_manifest(ended, folder)

    def _run(self, assignment: Assignment, words: RunWords) -> Ended:
        run, folder = assignment.run, Path(assignment.run.folder)
        finished = self.finished(folder)
        if finished is not None:
            return finished
        for half_written in folder.glob(".*.part"):
            half_written.unlink(missing_ok=True)
        resume = run.resume and (folder / CHECKPOINT_FILE).is_file()
        if run.resume and not resume:
            words.tell(assignment, Said(text="There is no checkpoint, so the run starts from the beginning."))
        inputs = Inputs() if resume else self.inputs(run)
        job = self.asked(run)
        resolve(job, PriorCard())  # before weights are loaded
        words.tell(assignment, Moved(phase="load", step=0, steps=0, fraction=0.0))
        result = refine(
            job,
            inputs,
            out=folder,
            prior=self._load(run.job),
            control=assignment.control,
            listen=words,
            resume=resume,
            keep_checkpoint=True,
        )
        steps = sum(stage.steps for stage in result.ran)
        if result.outcome == "paused":
            return Ended(outcome="paused", step=result.steps_done, steps=steps, resolved=result.job)
        if assignment.control.stop == "discard":  # it came when the asset was there already, but nobody else has seen it
            raise Cancelled("The run was cancelled.")
        ended = Ended(
            outcome="finished early" if result.outcome == "finished early" else "done",
            step=result.steps_done,
            steps=steps,
            resolved=result.job,
            results=self.leave(result, folder),
        )
        self.seal(ended, folder)
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        return ended

    def _load(self, job: RefineJob) -> Prior:
        if self._prior is None or self._prior[0] != job.prior:
            self.drop()
            self._prior = (job.prior, resolve_prior(job.prior, self.device))
        return self._prior[1]

    def _fault(self, error: Exception) -> Fault:
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
        if is_out_of_memory(error):
            self.drop()
            out_of_memory = ResourceError(
                "The device has not enough memory for this job.", "Ask for fewer views, a smaller texture or prior, or free some memory."
            )
            return msgspec.structs.replace(fault_of(out_of_memory), retryable=True, trace=trace)
        if isinstance(error, NumericalError) and isinstance(error.__cause__, NumericalError):
            error = error.__cause__  # without the folder in which the last good state lies
        if isinstance(error, SketchBridgeError):
            return msgspec.structs.replace(fault_of(error), retryable=isinstance(error, ResourceError), trace=trace)
        self.broken = self.device.type == "cuda"
        return Fault(
            code="internal",
            sentence=f"The run failed in a way that was not foreseen ({type(error).__name__}).",
            hint="Try it again; if it fails again, report it with the trace.",
            retryable=True,
            trace=trace,
        )


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _called(prior: str) -> str:
    """The name of a prior in reports, which know no folders of the server."""
    folder = Path(prior.removeprefix(EXEMPLAR))
    return folder.name if folder.is_dir() else prior
