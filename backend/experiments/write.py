"""What an experiment leaves in its folder, and its part of a page of results."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from backend.assets.atomic import write_bytes
from backend.experiments.contract import Experiment, Result
from backend.experiments.page import put
from backend.experiments.report import csv_text, failures_text, markdown_text

PAGE = "tables.md"


def write_all(experiment: Experiment, results: Sequence[Result], folder: Path, heading: str) -> list[Path]:
    """Tables first, since they are what must not be lost: a CSV each, those for a page as Markdown, then the figures."""
    tables = experiment.tables(results)
    made = [write_bytes(folder / f"{table.name}.csv", csv_text(table).encode()) for table in tables]
    failed = failures_text(results)
    page = [heading, "", *(markdown_text(table) for table in tables if table.on_page), *([f"Failed:\n\n{failed}"] if failed else [])]
    made.append(write_bytes(folder / PAGE, "\n".join(page).encode()))
    return [*made, *experiment.figures(results, folder)]


def publish(name: str, made: Sequence[Path], page: Path) -> list[Path]:
    """Put the tables and figures just made between the marks of the experiment in a Markdown page; figures go to `pictures` beside it.

    Returns what was written. UserError, and nothing written, if the page has no such marks.
    """
    own = next(path for path in made if path.name == PAGE).read_text(encoding="utf-8").rstrip() + "\n"
    pictures = page.parent / "pictures"
    figures = {path: pictures / f"{name}_{path.name}" for path in made if path.suffix == ".png"}
    for path, copy in figures.items():
        own += f"\n![{path.stem.replace('_', ' ')}](pictures/{copy.name})\n"
    written = [put(own, page, f"experiment {name}")]
    pictures.mkdir(exist_ok=True)
    return [*written, *(Path(shutil.copyfile(path, copy)) for path, copy in figures.items())]
