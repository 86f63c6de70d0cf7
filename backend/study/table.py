"""The outcomes of a comparison as CSV, for programs, and as Markdown, for people."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from backend.study.beds import BEDS, bed
from backend.study.outcome import Outcome

COLUMNS = (
    "bed",
    "method",
    "title",
    "settings",
    "energy_distance",
    "mode_fractions",
    "within_mode",
    "mean_error",
    "covariance_error",
    "trace_ratio",
    "steps",
    "rows",
    "rows_per_step",
    "seconds_per_step",
    "remark",
)


def csv_text(outcomes: Sequence[Outcome]) -> str:
    """One line per outcome under `COLUMNS`; numbers as far as they mean something, empty where there is none."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_csv_row(outcome) for outcome in outcomes)
    return written.getvalue()


def markdown_text(outcomes: Sequence[Outcome]) -> str:
    """A table per test bed and one for the pictures; what was not run, or not to its end, says why in its last column."""
    parts = []
    for name in dict.fromkeys(outcome.bed for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.bed == name]
        parts += [f"### {bed(name).title if name in BEDS else 'Pictures'}", "", *_markdown_table(own), ""]
    return "\n".join(parts)


def write_table(outcomes: Sequence[Outcome], out: Path) -> list[Path]:
    """`table.csv` and `table.md` in the folder `out`."""
    made = {out / "table.csv": csv_text(outcomes), out / "table.md": markdown_text(outcomes)}
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


def _csv_row(outcome: Outcome) -> list[str]:
    fit, gaussian = outcome.fit, outcome.gaussian
    ran = outcome.steps > 0
    return [
        outcome.bed,
        outcome.method,
        outcome.title,
        json.dumps(outcome.settings, ensure_ascii=False) if outcome.settings else "",
        f"{fit.distance:.6f}" if fit else "",
        " ".join(f"{share:.4f}" for share in fit.fractions) if fit else "",
        f"{fit.within:.4f}" if fit else "",
        *([f"{value:.5f}" for value in gaussian] if gaussian else [""] * 3),
        str(outcome.steps) if ran else "",
        f"{outcome.rows:.2f}" if ran else "",
        f"{outcome.rows_per_step:.2f}" if ran else "",
        f"{outcome.seconds_per_step:.5f}" if ran else "",
        outcome.reason,
    ]


def _markdown_table(outcomes: Sequence[Outcome]) -> list[str]:
    names = ["method", "settings"]
    fitted, family = any(outcome.fit for outcome in outcomes), any(outcome.gaussian for outcome in outcomes)
    if fitted:
        names += ["energy distance"]
    if family:
        names += ["mean error", "covariance error", "trace ratio"]
    elif fitted:
        names += ["mode fractions", "spread within"]
    names += ["rows/step", "steps", "s/step", "remark"]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for outcome in outcomes:
        cells = [outcome.title, _settings(outcome)]
        fit, gaussian = outcome.fit, outcome.gaussian
        if fitted:
            cells += [f"{fit.distance:.4f}" if fit else ""]
        if family:
            cells += [f"{value:.3f}" for value in gaussian] if gaussian else [""] * 3
        elif fitted:
            cells += [" ".join(f"{share:.2f}" for share in fit.fractions), f"{fit.within:.3f}"] if fit else ["", ""]
        ran = outcome.steps > 0
        cells += [
            f"{outcome.rows_per_step:.1f}" if ran else "",
            str(outcome.steps) if ran else "",
            f"{outcome.seconds_per_step:.4f}" if ran else "",
            outcome.reason,
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return lines


def _settings(outcome: Outcome) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in outcome.settings.items())


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
