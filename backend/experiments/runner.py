"""An experiment from its plan to its results: what is done already is read, the rest is run cell by cell."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from backend.errors import NumericalError, ResourceError, UserError, first_line
from backend.experiments.contract import Cell, Context, Experiment, Result
from backend.experiments.journal import append, key_of, read_lines


class Progress(NamedTuple):
    """Seconds done and in all of this call, as estimated, and what is under way."""

    done_s: float
    total_s: float
    what: str


class Planned(NamedTuple):
    """A cell with its key, its result where it is there already, and else what it will take."""

    cell: Cell
    key: str
    result: Result | None
    seconds: float


def plan_cells(experiment: Experiment, context: Context, weights: Sequence[str]) -> list[Planned]:
    """Every cell, in order. A cell that failed is to be run again. `weights`: fingerprints of what is used beside the spec."""
    done = read_lines(context.folder)
    planned = []
    for cell in experiment.cells(context.plan):
        key = key_of(experiment.name, cell, weights)
        line = done.get(key)
        if line is not None and not line.failure:
            planned.append(Planned(cell, key, Result(cell, line.values, "", line.seconds), 0.0))
        else:
            planned.append(Planned(cell, key, None, max(_seconds(experiment, cell, context), 1e-3)))
    return planned


def _seconds(experiment: Experiment, cell: Cell, context: Context) -> float:
    """A cell that cannot be estimated cannot be run: it takes no time, and fails by itself when its turn comes."""
    try:
        return experiment.seconds(cell, context)
    except (UserError, ResourceError, NumericalError):
        return 0.0


def run_cells(
    experiment: Experiment,
    context: Context,
    planned: Sequence[Planned],
    *,
    listen: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Result]:
    """The results of all cells that are done or could be done before `stop` said so, in order; each is on disk once it is there.

    A cell that fails has its sentence in `Result.failure`. ResourceError if results cannot be written.
    """
    context.folder.mkdir(parents=True, exist_ok=True)
    done_s, total_s = 0.0, sum(entry.seconds for entry in planned)
    results: list[Result] = []
    for cell, key, result, seconds in planned:
        if result is None:
            if stop():
                continue

            def tell(share: float, cell: Cell = cell, before: float = done_s, seconds: float = seconds) -> None:
                listen(Progress(before + seconds * min(max(share, 0.0), 1.0), total_s, cell.name))

            context.tell, context.key = tell, key
            tell(0.0)
            result = _run(experiment, cell, context)
            append(context.folder, key, result)
            done_s += seconds
            listen(Progress(done_s, total_s, cell.name))
        results.append(result)
    return results


def _run(experiment: Experiment, cell: Cell, context: Context) -> Result:
    began = time.perf_counter()
    values: dict[str, Any] = {}
    failure = ""
    try:
        # Through JSON, so that a result is the same whether it was just made or read again.
        values = msgspec.json.decode(msgspec.json.encode(experiment.run(cell, context)))
    except (UserError, ResourceError, NumericalError) as error:
        failure = str(error)
    except Exception as error:
        failure = f"{type(error).__name__}: {first_line(error)}"
    return Result(cell, values, failure, time.perf_counter() - began)
