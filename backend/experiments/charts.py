"""Figures of experiments: marks with spreads, lines, and sheets of pictures. Labels stand beside what they name; no legend needed."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from backend.experiments.contract import Spread

DPI, WIDTH_IN = 150, 7.2
MARK, LINES = "#c44601", ("#1f6fb2", "#c44601", "#3a8f5c", "#8a5fb0", "#7a7a7a", "#b8860b")
GREY = "#8c8c8c"
LETTERS = 14  # above a column
NARROW = 2.0
"""A logarithmic axis reaches this factor beyond values that are closer together."""


class Mark(NamedTuple):
    """A method's place in a figure."""

    label: str
    x: Spread
    y: Spread


class Line(NamedTuple):
    """One quantity over another: y and its spread at every x."""

    label: str
    x: Sequence[float]
    y: Sequence[Spread]


def scatter(
    path: Path, marks: Sequence[Mark], *, x: str, y: str, levels: Sequence[tuple[str, float]] = (), log_x: bool = False,
    log_y: bool = False, title: str = "",
) -> Path:  # fmt: skip
    """A labelled mark with error bars each; `levels` are dashed lines across, for what is not a method."""
    from adjustText import adjust_text  # here, as matplotlib

    figure, axis = _axes(4.6)
    axis.set(xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
    for side in (*[axis.xaxis] * log_x, *[axis.yaxis] * log_y):  # 60, not 6 x 10^1
        side.set_major_formatter("{x:g}")
        side.set_minor_formatter("{x:g}")
    axis.margins(x=0.14, y=0.1)
    heights = [mark.y.mean for mark in marks] + [value for _, value in levels]
    for is_log, values, limit in ((log_x, [mark.x.mean for mark in marks], axis.set_xlim), (log_y, heights, axis.set_ylim)):
        if is_log and max(values) < NARROW * min(values):  # of one value alone the axis would have no length
            limit(min(values) / NARROW, max(values) * NARROW)
    lowest = min((value for _, value in levels), default=0.0)
    for label, value in levels:
        axis.axhline(value, color=GREY, linewidth=1, linestyle="--", zorder=1)
        place = {"ha": "right", "va": "top" if value == lowest else "bottom"}
        axis.annotate(label, (1.0, value), xycoords=("axes fraction", "data"), fontsize=8, color=GREY, **place)
    for mark in marks:
        axis.errorbar(
            mark.x.mean, mark.y.mean, xerr=mark.x.deviation, yerr=mark.y.deviation, fmt="o", color=MARK, markersize=5, elinewidth=0.8
        )
    labels = [axis.text(mark.x.mean, mark.y.mean, mark.label, fontsize=9) for mark in marks]
    _label(figure, axis, x, y, title)
    adjust_text(
        labels, ax=axis, expand=(1.2, 1.6), force_text=(0.5, 0.8), max_move=None, iter_lim=1000,  # not its clock: alike on a busy machine
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6},
    )  # fmt: skip
    figure.savefig(path)
    return path


def lines(path: Path, drawn: Sequence[Line], *, x: str, y: str, title: str = "") -> Path:
    """A line each, with its spread as a band, named at its last point."""
    figure, axis = _axes(4.0)
    for line, colour in zip(drawn, [LINES[k % len(LINES)] for k in range(len(drawn))], strict=True):
        means = np.array([value.mean for value in line.y])
        apart = np.array([value.deviation for value in line.y])
        axis.plot(line.x, means, "o-", color=colour, linewidth=1.6, markersize=4)
        axis.fill_between(line.x, means - apart, means + apart, color=colour, alpha=0.15, linewidth=0)
        axis.annotate(line.label, (line.x[-1], means[-1]), xytext=(6, 0), textcoords="offset points", color=colour, fontsize=9, va="center")
    axis.margins(x=0.16)
    _label(figure, axis, x, y, title)
    figure.savefig(path)
    return path


def sheet(path: Path, rows: Sequence[tuple[str, np.ndarray]], columns: Sequence[str] = ()) -> Path:
    """Rows of pictures [n, S, S, 3] uint8 with their names to the left, and names above the columns."""
    across, down = max(len(pictures) for _, pictures in rows), len(rows)
    left, top, side = 1.6, 0.55 if columns else 0.05, 0.86
    figure = _figure(left + across * side + 0.05, top + down * side + 0.05)
    width, height = figure.get_size_inches()
    for r, (label, pictures) in enumerate(rows):
        y = height - top - (r + 1) * side
        shown = "\n".join(wrap(label, 2 * LETTERS - 9))
        figure.text((left - 0.08) / width, (y + side / 2) / height, shown, ha="right", va="center", fontsize=9)
        for c, picture in enumerate(pictures):
            axis = figure.add_axes(((left + c * side) / width, y / height, (side - 0.04) / width, (side - 0.04) / height))
            axis.imshow(picture, interpolation="nearest" if len(picture) < 100 else "antialiased")
            axis.set_axis_off()
            if r == 0 and c < len(columns):
                words = "\n".join(wrap(columns[c], LETTERS))
                figure.text((left + (c + 0.48) * side) / width, 1 - (top - 0.05) / height, words, ha="center", va="bottom", fontsize=6.5)
    figure.savefig(path)
    return path


def _figure(width_in: float, height_in: float) -> Any:
    import matplotlib.figure  # here: drawing comes last and the import is slow

    return matplotlib.figure.Figure(figsize=(width_in, height_in), dpi=DPI)


def _axes(height_in: float) -> tuple[Any, Any]:
    figure = _figure(WIDTH_IN, height_in)
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def _label(figure: Any, axis: Any, x: str, y: str, title: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
