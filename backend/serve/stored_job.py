"""A job as the server keeps it."""

from typing import Literal

import msgspec

from protocol.job import JournalEntry, RefineJob, Steer
from protocol.messages import ENDED, ArraySpec, Artefact, Fault, JobState, State


class StoredJob(msgspec.Struct, kw_only=True):
    """Everything known about a job. Only `table.JobTable` and `dispatch` change it; the store writes it down whole.

    `owner` and `uploader`: SHA-256 of a client's token; the uploader's inputs are the job's even after another client took it over.
    `content`: digest of job and inputs. `rank`: lower runs first. `attempt`: runs begun. `lost`: attempts lost since the last
    checkpoint. `held_step`: step of the last checkpoint, -1 without one. `wanted`: how a run under way was told to stop.
    `journal`: steering in effect; `steers`: (number of the command, steering) not yet in effect.
    """

    id: str
    owner: str
    uploader: str
    content: str
    job: RefineJob
    inputs: tuple[ArraySpec, ...] = ()
    label: str = ""
    prompt: str = ""
    state: State = "uploading"
    reason: str = ""
    rank: int = 0
    attempt: int = 0
    lost: int = 0
    held_step: int = -1
    wanted: Literal["", "pause", "finish", "discard"] = ""
    journal: tuple[JournalEntry, ...] = ()
    steers: tuple[tuple[int, Steer], ...] = ()
    resolved: RefineJob | None = None
    results: tuple[Artefact, ...] = ()
    fault: Fault | None = None
    last_seq: int = 0
    last_command: int = 0
    submitted_at: float = 0.0
    changed_at: float = 0.0
    phase: str = ""
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    eta_s: float | None = None
    rate: float | None = None
    losses: dict[str, float] = {}
    device: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def on_worker(self) -> bool:
        return self.state in ("preparing", "running", "finishing")

    def public(self, place: int) -> JobState:
        """What its owner is told; `place`: jobs before it in the queue."""
        return JobState(
            job=self.id,
            state=self.state,
            label=self.label,
            mode=self.job.mode,
            prompt=self.prompt,
            reason=self.reason,
            place=place,
            phase=self.phase,
            step=self.step,
            steps=self.steps,
            fraction=self.fraction,
            eta_s=self.eta_s,
            rate=self.rate,
            losses=self.losses,
            attempt=max(1, self.attempt),
            last_seq=self.last_seq,
            last_command=self.last_command,
            submitted_at=self.submitted_at,
            changed_at=self.changed_at,
            device=self.device,
            results=self.results,
            fault=self.fault,
        )
