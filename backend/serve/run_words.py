"""A run's events in the words of `orders`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from backend.refine.events import Checkpointed, Event, Note, Preview, Progress, Steered
from backend.serve.decimate import Decimator
from backend.serve.orders import Held, Moved, Said, Shown, Turned
from backend.serve.pace import Pace
from backend.serve.worker_link import Assignment
from protocol.framing import array_spec
from protocol.job import JournalEntry

BEFORE_STAGES = ("load", "start", "warm start")

Tell = Callable[..., None]
"""`WorkerLink.tell`."""


@dataclass
class RunWords:
    """The listener of one attempt; `step` of `steps` is where it stands."""

    assignment: Assignment
    tell: Tell
    step: int = 0
    steps: int = 0
    pace: Pace = field(default_factory=Pace)
    decimate: Decimator = field(default_factory=Decimator)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._moved(event)
        elif isinstance(event, Preview):
            self._shown(event)
        elif isinstance(event, Note):
            self.tell(self.assignment, Said(text=event.text, level="warning" if event.level == "warning" else "note"))
        elif isinstance(event, Steered):
            self.tell(self.assignment, Turned(seq=event.tag, entry=JournalEntry(event.step, event.command), prompt=event.prompt))
        elif isinstance(event, Checkpointed):
            self.tell(self.assignment, Held(step=event.step))

    def _moved(self, event: Progress) -> None:
        if event.phase == "done":  # not before the results lie in their place
            return
        self.step, self.steps = event.step, event.steps
        if event.phase in BEFORE_STAGES:
            rate, eta_s = None, None
        else:
            self.assignment.underway = True
            rate, eta_s = self.pace.at(time.monotonic(), event.step, event.fraction)
        moved = Moved(
            phase=event.phase,
            step=event.step,
            steps=event.steps,
            fraction=event.fraction,
            eta_s=eta_s,
            rate=rate,
            losses=event.losses,
        )
        self.tell(self.assignment, moved)

    def _shown(self, event: Preview) -> None:
        most = self.assignment.max_vertices
        if not most or not len(event.faces):
            return
        small = self.decimate(event.vertices, event.faces, event.colours, most)
        arrays: dict[str, np.ndarray] = {"vertices": small.vertices, "faces": small.faces, "colours": small.colours}
        specs = tuple(array_spec(name, array) for name, array in arrays.items())
        self.tell(self.assignment, Shown(step=event.step, topology=small.topology, arrays=specs), arrays)
