"""Progress bars for a person at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backend.train.journal import Report

PLAIN_LINE_EVERY_S = 20.0


@contextmanager
def progress_bars() -> Iterator[Report]:
    """A `report` for `train_prior` that draws one bar with its remaining time per stage; in a log file, a line now and then."""
    columns = (TextColumn("{task.description:9}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[line]}"))
    with Progress(*columns) as bars:
        tasks: dict[str, TaskID] = {}
        last_line: dict[str, float] = {}

        def report(stage: str, fraction: float, line: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, line="")
            bars.update(tasks[stage], completed=fraction, line=line)
            now = time.monotonic()
            if not bars.console.is_terminal and line and now - last_line.get(stage, -1e9) > PLAIN_LINE_EVERY_S:
                last_line[stage] = now
                bars.console.print(f"{stage} {100 * fraction:.1f} % {line}", highlight=False)

        yield report
