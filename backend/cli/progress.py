"""The progress bar of commands that know beforehand how many seconds their parts will take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from backend.refine.estimate import in_words

Show = Callable[[float, float, str], None]


@contextmanager
def estimated_bar(console: Console) -> Iterator[Show]:
    """A bar with the time left, and what moves it: seconds done and in all, as estimated, and what is under way.

    A log file gets a line for every new thing instead.
    """
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console) as bars:
        task = bars.add_task("", total=1.0, left="")

        def show(done_s: float, total_s: float, what: str) -> None:
            elapsed = bars.tasks[0].elapsed or 0.0
            share = done_s / total_s if total_s else 1.0
            left = f"about {in_words(elapsed * (1.0 - share) / share)} left" if 0.01 < share < 1.0 else ""
            if not console.is_terminal and what != bars.tasks[0].description:
                console.print(f"{100 * share:3.0f} % {what} {left}", highlight=False)
            bars.update(task, completed=share, description=what, left=left)

        yield show
