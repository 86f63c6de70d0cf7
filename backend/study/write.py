"""Everything a comparison leaves in its folder."""

from collections.abc import Sequence
from pathlib import Path

from backend.study.beds import BEDS, bed
from backend.study.compare import PICTURES
from backend.study.figure import write_bed_figure, write_picture_figure
from backend.study.outcome import Outcome
from backend.study.table import write_table


def write_all(outcomes: Sequence[Outcome], out: Path, seed: int) -> list[Path]:
    """The table, then one PNG per test bed and one of the pictures: the table first, since it is what must not be lost."""
    made = write_table(outcomes, out)
    for name in BEDS:
        own = [outcome for outcome in outcomes if outcome.bed == name]
        if own:
            made.append(write_bed_figure(bed(name, seed), own, out / f"{name}.png"))
    if any(outcome.pictures is not None for outcome in outcomes):
        made.append(write_picture_figure([outcome for outcome in outcomes if outcome.bed == PICTURES], out / "pictures.png"))
    return made
