"""What a run tells the outside while it goes: progress, previews and sentences for the artist."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from protocol.job import Steer


@dataclass(frozen=True)
class Progress:
    """`fraction` 0..1 over the whole run (1 only when the files are written); seconds since the start and, once known, to the end."""

    phase: str
    step: int
    steps: int
    fraction: float
    elapsed_s: float
    eta_s: float | None
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """The surface as it stands, in the sketch's own coordinates: vertices [V,3] float32, faces [F,3] int32, colours [V,3] uint8 display.

    A picture is an upright plane; `picture` [H,W,3] uint8 is then it itself.
    """

    step: int
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class Note:
    """One sentence for the artist; `level` is "note" or "warning"."""

    text: str
    level: str = "note"


@dataclass(frozen=True)
class Steered:
    """A command took effect before `step` (over all stages); `prompt` is what is painted from here on.

    `tag` is what came with the command, `replayed` says that it came from the journal.
    """

    step: int
    command: Steer
    prompt: str
    tag: int = 0
    replayed: bool = False


@dataclass(frozen=True)
class Checkpointed:
    """From here the run can go on, whatever happens."""

    step: int


Event = Progress | Preview | Note | Steered | Checkpointed
Listener = Callable[[Event], None]
