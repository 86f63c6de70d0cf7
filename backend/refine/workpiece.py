"""What a run works on, as the run asks about it: an object in space (`ObjectWorkpiece`) or pictures (`PictureWorkpiece`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from backend.refine.events import Preview
from backend.refine.texts import Texts
from protocol.job import Stage, Steer

if TYPE_CHECKING:
    from backend.refine.export import Exported


@dataclass(frozen=True)
class StepReport:
    """Losses as device scalars, the step's noise levels (host) and a device flag that is True where something was not finite."""

    losses: dict[str, Tensor]
    t: Tensor
    bad: Tensor


class Stepper(Protocol):
    """One stage under way: its optimiser's moments, its weights, its critic."""

    stage: Stage

    def step(self, index: int, texts: Texts, *, averages: bool) -> StepReport:
        """Step `index` of the stage (0-based); `averages`: it is late enough in the run to count into what is exported."""
        ...

    def settle(self) -> list[str]:
        """The last step was made: put right what the stage left behind; sentences for the artist."""
        ...

    def rehearse(self) -> None:
        """Look, encode and lead a gradient back as a step does, without a method; nothing is changed."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None:
        """The stage is over: the prior is as it was before."""
        ...


class Workpiece(Protocol):
    """Everything of a run that depends on what is made. The run itself knows stages, commands, checkpoints and time."""

    notes: list[str]

    def begin(self, stages: Sequence[Stage]) -> None:
        """Settle what depends on the stages. Once, before anything moves or a state is loaded."""
        ...

    def wants_start(self, stages: Sequence[Stage]) -> bool:
        """Whether a fresh run has a `start` to make before its first step."""
        ...

    def start(self, texts: Texts, should_stop: Callable[[], bool]) -> None: ...

    def stepper(self, stage: Stage, first_step: int) -> Stepper:
        """The stage whose first step is `first_step` of the run."""
        ...

    def check(self, stage: Stage, step: int) -> None:
        """NumericalError where what is made has become unusable after `step` steps of the run."""
        ...

    def steer(self, command: Steer) -> None:
        """Apply what of a command concerns the workpiece; what held it to the old prompt lets go."""
        ...

    def preview(self, step: int) -> Preview: ...

    def finish(self) -> None:
        """No step will follow: put averaged weights in place."""
        ...

    def export(self, out: Path | None, should_stop: Callable[[], bool]) -> "Exported":
        """The asset, its pictures and their files; nothing is written without `out`. Errors: Cancelled once `should_stop` says yes."""
        ...

    def measure(self, exported: "Exported") -> dict[str, Any]:
        """Facts for the report."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...
