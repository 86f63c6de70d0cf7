"""What broker and workers tell each other, over loopback in the frames of `protocol.framing`. Both see the store's folder.

The header's `job` names the job, its `seq` is the job's attempt: a worker's words about an older attempt are passed over.

A worker is started as `python -m backend.serve.worker ADDRESS DEVICE` ("tcp://127.0.0.1:41234", "cuda:0"). It connects a DEALER whose
routing id is the secret in the environment variable `SECRET_VARIABLE` (ASCII); the broker hears nobody else. It leaves when the broker
is gone: its parent process is another than at the start, or the connection is lost for some seconds.
"""

from typing import Literal

import msgspec

from protocol.job import JournalEntry, RefineJob, Steer
from protocol.messages import ArraySpec, Artefact, Fault

SECRET_VARIABLE = "SKETCHBRIDGE_WORKER_SECRET"
CHECKPOINT_FILE = "checkpoint.pt"
RESULT_FOLDER = "result"
"""In a job's folder; every artefact lies in it as a file of the artefact's name."""

Outcome = Literal["done", "finished early", "paused", "cancelled", "failed"]


# Broker to worker


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Run this job in `folder`. Inputs lie at `paths` (raw bytes of the arrays, same order); `resume`: from the folder's checkpoint.

    `journal`: steering that took effect in earlier attempts, replayed at its steps; `steers`: (seq, command) not yet in effect.
    """

    job: RefineJob
    folder: str
    inputs: tuple[ArraySpec, ...] = ()
    paths: tuple[str, ...] = ()
    resume: bool = False
    journal: tuple[JournalEntry, ...] = ()
    steers: tuple[tuple[int, Steer], ...] = ()
    preview_vertices: int = 5_000


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """End the run: "pause" and "quit" write a checkpoint, "finish" exports what exists, "discard" keeps nothing."""

    how: Literal["pause", "finish", "discard", "quit"]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Steer the run. `seq` comes back in `Turned`."""

    seq: int
    command: Steer


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """Previews of at most so many vertices are wanted from now on; 0: none."""

    max_vertices: int


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """Give loaded weights back."""


class Quit(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoint what runs and leave."""


# Worker to broker


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life, every second. The first one that is idle says that the worker can take jobs. Memory in bytes, 0 unknown."""

    device: str
    title: str = ""
    idle: bool = True
    starting: bool = False  # libraries are being loaded; not idle yet
    memory_free: int = 0
    memory_total: int = 0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of the run. `phase` "load" and "start" are preparing, "export" and "measure" finishing."""

    phase: str
    step: int
    steps: int
    fraction: float
    eta_s: float | None = None
    rate: float | None = None
    losses: dict[str, float] = {}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A note of the run."""

    text: str
    level: Literal["note", "warning"] = "note"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The surface as it stands: vertices, faces, colours, as in `protocol.messages.Preview`."""

    step: int
    topology: str
    arrays: tuple[ArraySpec, ...]


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """A steer command took effect before this step. `seq` 0: one that was replayed from the journal."""

    seq: int
    entry: JournalEntry
    prompt: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint lies in the folder."""

    step: int


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over; the results lie in the folder's `result`, synced."""

    outcome: Outcome
    step: int = 0
    steps: int = 0
    resolved: RefineJob | None = None
    results: tuple[Artefact, ...] = ()
    fault: Fault | None = None


TO_WORKER: dict[int, type[msgspec.Struct]] = {1: Run, 2: Stop, 3: Turn, 4: Show, 5: Drop, 6: Quit}
FROM_WORKER: dict[int, type[msgspec.Struct]] = {64: Beat, 65: Moved, 66: Said, 67: Shown, 68: Turned, 69: Held, 70: Ended}
