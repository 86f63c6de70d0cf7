"""`sketchbridge report`: table and page of a batch, made anew from its folder."""

import json
from pathlib import Path
from typing import Annotated

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

    from backend.cli.make_report import make_report

    console = Console(stderr=True)
    made = make_report(folder, console, judge=judge, clip=clip, most_bytes=page_mib << 20)
    rows = made.batch.rows
    if as_json:
        files = [str(path) for path in made.files]
        told = {"jobs": len(rows), "failed": made.failed, "judged": made.judged, "notes": made.batch.notes, "files": files}
        print(json.dumps(told))
        return
    for note in made.batch.notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    console.print(f"{len(rows)} job{'' if len(rows) == 1 else 's'}, {made.failed} failed, {made.judged} assets judged", highlight=False)
    for path in made.files[:3]:
        console.print(f"  {path}", highlight=False, markup=False)
