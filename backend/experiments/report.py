"""Tables of an experiment as CSV, for programs, and Markdown, for people."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence

from backend.experiments.contract import Result, Spread, Table

Entry = str | int | float | Spread | None


def spread(values: Iterable[float]) -> Spread | None:
    """Mean and standard deviation over repetitions; None for no value at all, or where one is not finite."""
    found = [float(value) for value in values]
    if not found or not all(map(math.isfinite, found)):
        return None
    return Spread(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else 0.0, len(found))


def csv_text(table: Table) -> str:
    """One line per row; a column that has a spread anywhere is followed by its deviation, empty for a single repetition."""
    wide = [any(isinstance(row[k], Spread) for row in table.rows) for k in range(len(table.columns))]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([text for name, both in zip(table.columns, wide, strict=True) for text in ([name, f"{name} sd"] if both else [name])])
    for row in table.rows:
        cells: list[str] = []
        for entry, both in zip(row, wide, strict=True):
            mean = entry.mean if isinstance(entry, Spread) else entry
            deviation = f"{entry.deviation:.6g}" if isinstance(entry, Spread) and entry.repetitions > 1 else ""
            cells += [_plain(mean), *([deviation] if both else [])]
        writer.writerow(cells)
    return written.getvalue()


def markdown_text(table: Table) -> str:
    """The title, the table, the note below it."""
    lines = [f"**{table.title}**", "", f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    for row in table.rows:
        cells = [_shown(entry, table.digits.get(name, 3)) for name, entry in zip(table.columns, row, strict=True)]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def failures_text(results: Sequence[Result]) -> str:
    """What failed and why, one line each; "" if nothing did."""
    return "".join(f"- {result.cell.name}: {result.failure}\n" for result in results if result.failure)


def _plain(entry: Entry) -> str:
    return "" if entry is None else f"{entry:.6g}" if isinstance(entry, float) else str(entry)


def _shown(entry: Entry, digits: int) -> str:
    if isinstance(entry, Spread):
        shown = f"{entry.mean:.{digits}f}"
        return shown if entry.repetitions < 2 else f"{shown} ± {entry.deviation:.{digits}f}"
    return "" if entry is None else f"{entry:.{digits}f}" if isinstance(entry, float) else str(entry)
