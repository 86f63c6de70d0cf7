"""Is the run still well? Flags stay on the device between checks; a bad answer is one sentence."""

import torch
from torch import Tensor

from backend.errors import NumericalError
from backend.refine.subject import Subject
from backend.refine.workpiece import StepReport
from protocol.job import Stage

COLOUR_FLOOR = 1e-3
WALL_SHARE = 0.2


class Watch:
    """Collects each step's flag and losses; `check` reads them all at once, the only synchronisation of a stage."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.bad = torch.zeros(max(1, steps), dtype=torch.bool, device=device)
        self.levels: dict[int, Tensor] = {}
        self.losses: dict[str, Tensor] = {}

    def note(self, index: int, report: StepReport) -> None:
        self.bad[index] = report.bad
        self.levels[index] = report.t
        self.losses = report.losses

    def check(self, stage: Stage) -> dict[str, float]:
        """The last losses as numbers. NumericalError where a step since the stage began was not finite, naming the first."""
        bad = self.bad.cpu()
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            levels = ", ".join(str(int(t)) for t in self.levels[first])
            raise NumericalError(
                f"Method '{stage.method}' gave numbers that are not finite at step {first} of stage '{stage.name}' (t = {levels}).",
                "Lower the guidance or the rates.",
            )
        self.levels.clear()
        return {name: float(value) for name, value in self.losses.items()}


@torch.no_grad()
def check_subject(subject: Subject, stage: Stage, step: int) -> None:
    """NumericalError where the surface vanished, fills the domain, or its colours collapsed to one."""
    mesh = subject.still()
    if not mesh.faces.shape[0]:
        raise NumericalError(
            f"The surface vanished at step {step} of stage '{stage.name}'.", "Strengthen the anchor or lower the geometry rate."
        )
    at_wall = (mesh.vertices.abs().amax(-1) > 1 - subject.h).float().mean()
    if float(at_wall) > WALL_SHARE:
        raise NumericalError(
            f"The surface ran into the wall of the domain at step {step} of stage '{stage.name}'.",
            "Strengthen the anchor or lower the geometry rate.",
        )
    if stage.optimise != "geometry" and step >= 100 and float(subject.colour(mesh.vertices).std(0).max()) < COLOUR_FLOOR:
        raise NumericalError(
            f"The colours collapsed to a single one at step {step} of stage '{stage.name}'.", "Lower the guidance or the colour rate."
        )


def tidy(subject: Subject) -> None:
    """Push floaters outside and fill bubbles, where the surface can have them."""
    remove = getattr(subject.surface, "remove_floaters", None)
    if remove is not None:
        nothing = subject.start.vertices.new_zeros(0, 3)
        remove(nothing if subject.protected is None else subject.protected)
