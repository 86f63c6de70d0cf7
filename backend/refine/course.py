"""Where a run stands and how it got there: what steering changes and a checkpoint holds, beside the workpiece."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from backend.refine.control import Command
from backend.refine.steering import steered
from protocol.job import JournalEntry, Stage

AVERAGED_SHARE = 0.3
"""Of all steps, at the end: their weights are averaged for the export."""


@dataclass
class Course:
    """`stages`: those before the present one cut where they were cut short, the rest as planned. `tags` are those of the journal."""

    stages: list[Stage]
    prompt: str
    journal: list[JournalEntry] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    done: int = 0  # steps over all stages

    @property
    def total(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def averages(self) -> bool:
        """Whether the step just under way is one of the last ones."""
        return self.done >= int((1 - AVERAGED_SHARE) * self.total)

    def note(self, command: Command) -> None:
        """Into the journal: it takes effect before the next step."""
        self.journal.append(JournalEntry(self.done, command.steer))
        self.tags.append(command.tag)

    def turn(self, prompt: str, stage_index: int, index: int) -> int:
        """Another prompt at step `index` of that stage; the stage to go on with."""
        self.prompt = prompt
        self.stages, again = steered(self.stages, stage_index, index)
        return again

    def left(self, stage_index: int, index: int) -> list[Stage]:
        """What is still to do at step `index` of that stage."""
        stage = self.stages[stage_index]
        return [msgspec.structs.replace(stage, steps=stage.steps - index), *self.stages[stage_index + 1 :]]

    def state(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "prompt": self.prompt,
            "stages": msgspec.json.encode(self.stages),
            "journal": msgspec.json.encode(self.journal),
            "tags": list(self.tags),
        }

    @staticmethod
    def from_state(held: dict[str, Any]) -> "Course":
        return Course(
            msgspec.json.decode(held["stages"], type=list[Stage]),
            held["prompt"],
            msgspec.json.decode(held["journal"], type=list[JournalEntry]),
            list(held["tags"]),
            held["done"],
        )
