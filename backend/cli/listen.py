"""A run's events for a person at a terminal, or for a program reading lines."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from backend.cli.preview import write_preview
from backend.refine.events import Event, Note, Preview, Progress
from backend.refine.result import Result


class ProgressBar:
    """A bar with phase, percentage and ETA; previews as pictures in `out/previews`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.console = Console(stderr=True)
        self.bars = Bars(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        self.task = self.bars.add_task("load", total=1.0, left="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.bars.stop()
        else:  # an error leaves its sentence and no bar, nor the empty line that ends one
            self.bars.live.transient = True
            self.bars.live.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            left = "" if event.eta_s is None else f"about {event.eta_s:.0f} s left"
            self.bars.update(self.task, completed=event.fraction, description=event.phase, left=left)
        elif isinstance(event, Preview):
            write_preview(event, self.out)
        elif isinstance(event, Note):
            style = "yellow" if event.level == "warning" else "dim"
            self.console.print(f"{event.level}: {event.text}", style=style, highlight=False)

    def finish(self, result: Result, files: list[Path]) -> None:
        self.console.print(f"{result.outcome}: {result.steps_done} steps, {sum(result.seconds.values()):.0f} s", highlight=False)
        for path in files:
            self.console.print(f"  {path}", highlight=False)


class JsonLines:
    """One JSON object per progress, note or preview on stdout, with an `event` field; previews as pictures in `out/previews`."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preview):
            self._print("preview", {"step": event.step, "picture": str(write_preview(event, self.out)), "faces": len(event.faces)})
        elif isinstance(event, Progress | Note):
            self._print(type(event).__name__.lower(), vars(event))

    def finish(self, result: Result, files: list[Path]) -> None:
        self._print("result", {"outcome": result.outcome, "steps": result.steps_done, "files": [str(path) for path in files]})

    def _print(self, event: str, fields: dict[str, object]) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)
