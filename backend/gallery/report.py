"""Table and page of a batch's folder, made of what lies there. Nothing is run again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import SketchBridgeError, first_line
from backend.gallery.collect import FAILED, Batch, collect
from backend.gallery.page import MOST_BYTES, write_page
from backend.gallery.scores import Scorer, score_all
from backend.gallery.table import write_table


@dataclass(frozen=True)
class Told:
    """How far the report is: `share` of all the work 0..1, and what is being done."""

    share: float
    what: str


@dataclass(frozen=True)
class Made:
    """The files written, the table as collected, and how many assets were judged anew."""

    files: list[Path]
    batch: Batch
    judged: int = 0

    @property
    def failed(self) -> int:
        return sum(row["status"] == FAILED for row in self.batch.rows)


def write(out: Path) -> list[Path]:
    """`table.csv`, `table.parquet` and `index.html` in the folder `out` of a batch. Errors: as `make`."""
    return make(out).files


def not_made(out: Path, error: Exception) -> str:
    """What to say of a report that `error` has prevented, where what it reports on is done and must not fail with it."""
    why = str(error) if isinstance(error, SketchBridgeError) else f"{first_line(error)}."
    return f"The report could not be made: {why} Try `sketchbridge report {out}`."


def make(
    out: Path,
    *,
    judge: bool = True,
    clip: Path | None = None,
    most_bytes: int = MOST_BYTES,
    tell: Callable[[Told], None] = lambda told: None,
    stop: Callable[[], bool] = lambda: False,
) -> Made:
    """The report of the batch in `out`, whatever of it has run.

    Args:
        judge: whether assets that have no scores yet are judged; scores once found are kept in the jobs' folders.
        clip: folder of a CLIP model, for the similarity of views and prompts; None: none, but similarities once found stay.
        most_bytes: of assets inside the page; more are put beside it.
        stop: asked between assets while they are judged; the rest of them then stays without scores.

    Errors: UserError for a folder without a batch, ResourceError where the disk refuses.
    """
    batch = collect(out)
    jobs = max(len(batch.rows), 1)
    done = 0

    def step(share: float, before: float, what: str) -> Callable[[str], None]:
        def one(job: str) -> None:
            nonlocal done
            tell(Told(before + share * min(done / jobs, 1.0), f"{what} {job}"))
            done += 1

        return one

    judging = 0.7 if judge else 0.0
    scorer = Scorer(only_kept=not judge, clip_folder=clip)
    score_all(batch, scorer, step(judging, 0.0, "judging"), stop)
    done = 0
    # The page first: what cannot be shown is said in the table too.
    page = write_page(batch, out, step(1.0 - judging, judging, "drawing"), most_bytes)
    tables = write_table(batch.rows, out)
    tell(Told(1.0, "done"))
    return Made([*tables, *page], batch, scorer.judged)
