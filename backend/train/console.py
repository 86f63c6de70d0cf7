"""Progress bars for a person at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from backend.train.journal import Report

PLAIN_LINE_EVERY_S = 20.0


def remaining_words(seconds: float | None) -> str:
    """How long it will take, in words.

    Example:
        >>> remaining_words(None), remaining_words(42), remaining_words(65.2 * 60)
        ('', '42 s left', '1 h 05 min left')
    """
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min left" if minutes >= 60 else f"{minutes} min left"


class Pace:
    """Seconds that a stage still takes, from what it did since its first report; resumed stages start where they were."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self.left_s: float | None = None

    def update(self, fraction: float, now_s: float) -> None:
        if self._first is None or fraction < self._first[1]:
            self._first = (now_s, fraction)
        began, done = self._first
        self.left_s = (1 - fraction) * (now_s - began) / (fraction - done) if fraction > done else None


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.finished else f"{remaining_words(task.fields['pace'].left_s):>16}")


@contextmanager
def progress_bars() -> Iterator[Report]:
    """A `report` for `train_prior` that draws one bar with its remaining time per stage; in a log file, a line now and then."""
    name = TextColumn("{task.description:9}", table_column=Column(no_wrap=True, min_width=9))
    columns = (name, BarColumn(bar_width=16), _Left(Column(no_wrap=True, min_width=16)), TextColumn("{task.fields[line]}"))
    with Progress(*columns) as bars:
        tasks: dict[str, TaskID] = {}
        last_line: dict[str, float] = {}
        paces: dict[str, Pace] = {}

        def report(stage: str, fraction: float, line: str) -> None:
            now = time.monotonic()
            pace = paces.setdefault(stage, Pace())
            pace.update(fraction, now)
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, line="", pace=pace)
            bars.update(tasks[stage], completed=fraction, line=line)
            if not bars.console.is_terminal and line and now - last_line.get(stage, -1e9) > PLAIN_LINE_EVERY_S:
                last_line[stage] = now
                bars.console.print(f"{stage} {100 * fraction:.1f} % {remaining_words(pace.left_s)} {line}", highlight=False, soft_wrap=True)

        yield report
