"""What a Ray cluster runs for a batch: a process on one device that keeps its weights. Files come and go in messages."""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec
import numpy as np

from backend.batch.pilot import Cost, Gauge
from backend.serve.orders import CHECKPOINT_FILE, Beat, Ended, Held, Moved, Run, Shown
from backend.serve.run_words import Tell
from backend.serve.worker_link import Assignment
from protocol.job import RefineJob

if TYPE_CHECKING:
    from backend.refine.inputs import Inputs

Carried: TypeAlias = "Inputs | Exception | None"
"""What a job is made from, read where its files are; why it could not be read; None for a job without files."""

GATHER_S = 0.05
"""Words of so long go in one message; most of them replace one another."""


class Runner(Protocol):
    """Runs jobs on one device, as `NodeEngine`. `carried`: what the next one is made from."""

    carried: Carried
    broken: bool

    @property
    def title(self) -> str: ...

    def memory(self) -> tuple[int, int]: ...

    def run(self, assignment: Assignment, tell: Tell) -> Ended: ...


@dataclass(frozen=True)
class Word:
    """What a run has to say, with the arrays that it describes and files of the job's folder, by their paths in it."""

    body: msgspec.Struct
    job: str = ""
    attempt: int = 0
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class JobActor:
    """The worker's life without its socket. `run` computes; `hear` and `order` are called meanwhile, from threads of their own."""

    def __init__(self, device: str, load: Callable[[str], Runner]) -> None:
        """`load`: makes the runner for a device. Errors: as `load`."""
        self._device = device
        self._runner = load(device)
        self._assignment: Assignment | None = None
        self._words: list[Word] = []
        self._said = threading.Condition()

    def hear(self, patience_s: float) -> list[Word]:
        """A sign of life, and what was said since the last call; waits for a word for so long.

        Errors: RuntimeError once the device is broken and everything was heard: only a new process helps.
        """
        with self._said:
            said = self._said.wait_for(lambda: self._words, patience_s)
        if said:
            time.sleep(GATHER_S)
        with self._said:
            words, self._words = self._words, []
        if not words and self._runner.broken:
            raise RuntimeError(f"the device {self._device} was left broken")
        free, total = self._runner.memory()
        idle = self._assignment is None
        return [Word(Beat(device=self._device, title=self._runner.title, idle=idle, memory_free=free, memory_total=total)), *words]

    def run(self, job: str, attempt: int, run: Run, checkpoint: bytes | None, carried: Carried) -> None:
        """One attempt at a job in a folder of this machine; how it ended is the last word about it, with all that it left."""
        with tempfile.TemporaryDirectory(prefix="sketchbridge-") as scratch:
            folder = Path(scratch)
            if checkpoint is not None:
                (folder / CHECKPOINT_FILE).write_bytes(checkpoint)
            self._runner.carried = carried
            assignment = Assignment.of(job, attempt, msgspec.structs.replace(run, folder=scratch))
            self._assignment = assignment
            ended = self._runner.run(assignment, self._tell)
            self._assignment = None
            self._say(Word(ended, job, attempt, files=_left_in(folder)))

    def order(self, job: str, attempt: int, body: msgspec.Struct) -> None:
        """For the run under way; what is meant for another comes too late."""
        assignment = self._assignment
        if assignment is not None and (assignment.job, assignment.attempt) == (job, attempt):
            assignment.obey(body)

    def _tell(self, assignment: Assignment, body: msgspec.Struct, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        files = {}
        if isinstance(body, Held):  # read now, by the thread that writes it: the bytes are those of this step
            files[CHECKPOINT_FILE] = (Path(assignment.run.folder) / CHECKPOINT_FILE).read_bytes()
        self._say(Word(body, assignment.job, assignment.attempt, arrays or {}, files))

    def _say(self, word: Word) -> None:
        """Progress, previews and checkpoints replace older ones that nobody has fetched: a slow network never holds up a run."""
        with self._said:
            if isinstance(word.body, Moved | Shown | Held):
                self._words = [each for each in self._words if type(each.body) is not type(word.body)]
            self._words.append(word)
            self._said.notify_all()


class PilotActor:
    """Measures what jobs cost, where the actors will run."""

    def __init__(self, device: str) -> None:
        self._gauge = Gauge(device)

    def measure(self, job: RefineJob, inputs: "Inputs") -> Cost:
        """Errors: as `Gauge`; UserError for a prior that this machine lacks."""
        from backend.batch.node_engine import check_prior_here

        check_prior_here(job.prior)
        return self._gauge(job, inputs)


def node_engine(device: str) -> Runner:
    """The runner of real jobs."""
    from backend.batch.node_engine import NodeEngine

    return NodeEngine(device)


def _left_in(folder: Path) -> dict[str, bytes]:
    """All files but the checkpoint, which has come with its own word."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != CHECKPOINT_FILE and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
