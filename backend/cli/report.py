"""`sketchbridge report`: table and page of a batch, made anew from its folder."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.errors import UserError


def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder that `sketchbridge batch` wrote.")],
    judge: Annotated[bool, typer.Option(help="Judge the assets that have no scores yet; scores once found are kept.")] = True,
    clip: Annotated[Path | None, typer.Option(help="Folder of a CLIP model, for the similarity of views and prompts.")] = None,
    page_mib: Annotated[int, typer.Option(min=0, help="Assets inside the page up to this size; more go into files beside it.")] = 96,
    as_json: Annotated[bool, typer.Option("--json", help="What was made as one line of JSON on stdout.")] = False,
) -> None:
    """Make table.csv, table.parquet and index.html of a batch. Nothing is run again."""
    if not folder.is_dir():
        raise UserError(f"There is no folder '{folder}'.", "Name the folder that `sketchbridge batch` wrote.")
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from backend.gallery import Told, make

    stopped = False

    def note_interrupt(*_: Any) -> None:
        nonlocal stopped
        if stopped:  # asked twice: at once
            raise KeyboardInterrupt
        stopped = True

    console = Console(stderr=True)
    previous = signal.signal(signal.SIGINT, note_interrupt)
    columns = (TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=1.0)

            def show(told: Told) -> None:
                bar.update(task, completed=told.share, description=told.what)

            made = make(folder, judge=judge, clip=clip, most_bytes=page_mib << 20, tell=show, stop=lambda: stopped)
    finally:
        signal.signal(signal.SIGINT, previous)
    rows = made.batch.rows
    if as_json:
        files = [str(path) for path in made.files]
        told = {"jobs": len(rows), "failed": made.failed, "judged": made.judged, "notes": made.batch.notes, "files": files}
        print(json.dumps(told))
        return
    for note in made.batch.notes:
        console.print(f"note: {note}", style="yellow", highlight=False)
    console.print(f"{len(rows)} job{'' if len(rows) == 1 else 's'}, {made.failed} failed, {made.judged} assets judged", highlight=False)
    for path in made.files[:3]:
        console.print(f"  {path}", highlight=False)
