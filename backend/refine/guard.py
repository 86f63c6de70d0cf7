"""After a stage that moved the shape: does it still have everything that was drawn? If not, the change is taken back by halves."""

import torch

from backend.geometry.fidelity import Fidelity
from backend.refine.subject import Subject

RECALL_FLOOR = 0.95
ROUGHNESS_CEILING = 1.5  # times the sketch's own
HALVINGS = 3


@torch.no_grad()
def settle_shape(subject: Subject) -> list[str]:
    """Halve the change of the shape until no stroke is lost, recall holds and nothing is rougher than drawn; sentences for the artist.

    After three halvings the change is dropped: the result then has the sketch's own shape. Does nothing without a sketch.
    """
    if subject.meter is None:
        return []
    first = wrong = complaint(subject.meter.measure(subject.still()), subject.at_start)
    share = 1.0
    for _ in range(HALVINGS):
        if not wrong:
            break
        share /= 2
        _scale(subject, 0.5)
        wrong = complaint(subject.meter.measure(subject.still()), subject.at_start)
    if wrong:
        share = 0.0
        _scale(subject, 0.0)
    if not first:
        return []
    kept = "was taken back" if share == 0 else f"was reduced to {share:.0%}"
    return [f"The shape's change {kept}, because {first}."]


def complaint(now: Fidelity, start: Fidelity) -> str:
    """What is wrong with a shape compared with its start, as a clause; "" if nothing is."""
    lost = sorted((set(now.severed) | set(now.parted)) - set(start.severed) - set(start.parted))
    if lost:
        return f"{len(lost)} of {len(now.stroke_recall)} strokes would have been severed or parted"
    if now.result_pieces > max(start.result_pieces, now.sketch_pieces):
        return f"it would have fallen into {now.result_pieces} pieces"
    if now.recall < min(RECALL_FLOOR, start.recall):
        return f"only {now.recall:.0%} of the sketch would have been kept"
    if now.roughness > ROUGHNESS_CEILING * now.sketch_roughness:
        return "the surface would have become rough"
    return ""


def _scale(subject: Subject, factor: float) -> None:
    for leaf in subject.surface.parameters().values():
        leaf.mul_(factor)
