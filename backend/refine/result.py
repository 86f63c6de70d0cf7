"""What a run ended with."""

from dataclasses import dataclass, field
from typing import Any

from backend.refine.export import Exported
from protocol.job import JournalEntry, RefineJob, Stage


@dataclass
class Result:
    """`outcome`: "done", "finished early" (asked to stop, exported all the same) or "paused" (checkpoint; none before the first stage)."""

    outcome: str
    asked: RefineJob
    job: RefineJob  # resolved: its stages written out; with the journal it repeats the run
    journal: tuple[JournalEntry, ...]
    ran: tuple[Stage, ...]  # the stages after all steering, cut where they were cut short
    steps_done: int
    rows: int  # of the denoiser
    device: str
    prior: dict[str, str]
    exported: Exported | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
