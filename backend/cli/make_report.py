"""Table and page of a batch behind a bar: how far, how much longer, and a way to stop the judging."""

import signal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backend import gallery


def make_report(folder: Path, console: Console, **options: Any) -> gallery.Made:
    """As `gallery.make` with these `options`. Ctrl-C and SIGTERM end the judging, not the report; a second one ends both, and so does
    the first where nothing is judged.

    Errors: as `gallery.make`; KeyboardInterrupt for the second signal.
    """
    stopped = False

    def note_interrupt(*_: Any) -> None:
        nonlocal stopped
        if stopped or not options.get("judge", True):
            raise KeyboardInterrupt
        stopped = True

    before = [(number, signal.signal(number, note_interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    columns = (TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=1.0)

            def show(told: gallery.Told) -> None:
                bar.update(task, completed=told.share, description=told.what)

            return gallery.make(folder, tell=show, stop=lambda: stopped, **options)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
