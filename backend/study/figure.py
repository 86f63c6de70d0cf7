"""One picture per test bed, and one of the pictures: small multiples, the nearest to the target first."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.study.beds import Bed
from backend.study.outcome import Outcome

WIDTH_PX, DPI = 1200, 100
PANEL_COLUMNS = 5
PICTURE_COLUMNS = 2
TARGET_COLOURS = ("#ffffff", "#dcebf7", "#b3d3ec", "#7fb3dc", "#4a90c8")  # one hue, light to dark
POINT_COLOUR, EDGE_COLOUR = "#c44601", "#ffffff"  # against blue it stays apart for every kind of colour vision
TITLE_PT, NOTE_PT = 15, 12
GRID = 160


def write_bed_figure(on: Bed, outcomes: Sequence[Outcome], path: Path) -> Path:
    """Target density in blue, points in orange: the target alone, the start, then every method that ran, by energy distance.

    Crosses on the frame are points outside of the window. Under each panel two bars show the share of each mode: what the target wants
    (blue) and what there is (orange).
    """
    references = [outcome for outcome in outcomes if not outcome.method]
    ran = sorted((o for o in outcomes if o.method and o.fit), key=lambda o: o.fit.distance if o.fit else math.inf)
    shown = [*references, *ran]
    rows = math.ceil(len(shown) / PANEL_COLUMNS)
    height = int(rows * WIDTH_PX / PANEL_COLUMNS * (1.38 if len(on.modes) > 1 else 1.2))
    figure = _figure(WIDTH_PX, height)
    density = _density(on)
    many = len(on.modes) > 1
    margins = {"left": 0.01, "right": 0.99, "top": 1.0 - 36 / height, "bottom": 8 / height}
    grid = figure.add_gridspec(rows, PANEL_COLUMNS, wspace=0.08, hspace=0.28, **margins)
    for index, outcome in enumerate(shown):
        cell = grid[index // PANEL_COLUMNS, index % PANEL_COLUMNS]
        inner = cell.subgridspec(2, 1, height_ratios=(10, 1.8) if many else (10, 0.01), hspace=0.06)
        _panel(figure.add_subplot(inner[0]), on, density, outcome)
        if many:
            _shares(figure.add_subplot(inner[1]), on, outcome)
    figure.savefig(path)
    return path


def write_picture_figure(outcomes: Sequence[Outcome], path: Path) -> Path:
    """A row of pictures per method, the prior's own sampler first."""
    shown = [outcome for outcome in outcomes if outcome.pictures is not None]
    rows = math.ceil(len(shown) / PICTURE_COLUMNS)
    count = max(len(outcome.pictures) for outcome in shown if outcome.pictures is not None)
    side = WIDTH_PX / PICTURE_COLUMNS / count
    figure = _figure(WIDTH_PX, int(rows * (side + 34)))
    for index, (outcome, axis) in enumerate(zip(shown, figure.subplots(rows, PICTURE_COLUMNS, squeeze=False).flat, strict=False)):
        assert outcome.pictures is not None
        strip = torch.cat(list(outcome.pictures.permute(0, 2, 3, 1)), dim=1).numpy()
        axis.imshow(strip, interpolation="nearest")
        axis.set_title(outcome.title, fontsize=TITLE_PT, loc="left", pad=4, fontweight="normal" if index else "bold")
    for axis in figure.axes:
        axis.set_axis_off()
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=1.0 - 28 / (rows * (side + 34)), wspace=0.03, hspace=0.18)
    figure.savefig(path)
    return path


def _figure(width_px: int, height_px: int) -> Any:
    import matplotlib.figure  # here: drawing comes last and the import is slow

    return matplotlib.figure.Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI)


def _panel(axis: Any, on: Bed, density: np.ndarray, outcome: Outcome) -> None:
    x, y = on.centre
    window = (x - on.half_width, x + on.half_width, y - on.half_width, y + on.half_width)
    top = density.max()
    axis.contourf(density, levels=[top * share for share in (0.0, 0.02, 0.1, 0.3, 0.6, 1.0)], colors=TARGET_COLOURS, extent=window)
    is_target = not outcome.method and outcome.title == "target"
    if outcome.points is not None and not is_target:
        # As many points in every panel: those that follow the first ones only make an estimate smoother.
        points = outcome.points[: on.particles].numpy() - np.array(on.centre)
        reach = np.abs(points).max(1)
        inside = reach <= on.half_width
        shown = points[inside] + np.array(on.centre)
        axis.scatter(shown[:, 0], shown[:, 1], s=13, c=POINT_COLOUR, edgecolors=EDGE_COLOUR, linewidths=0.35, zorder=3)
        # What has left the window stands on its frame, in the direction in which it went.
        left = points[~inside] * (on.half_width / reach[~inside])[:, None] + np.array(on.centre)
        axis.scatter(left[:, 0], left[:, 1], s=40, c=POINT_COLOUR, marker="X", linewidths=0, zorder=5, clip_on=False)
    axis.set_xlim(window[:2])
    axis.set_ylim(window[2:])
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    strong = not outcome.method
    for spine in axis.spines.values():
        spine.set_color("#222222" if strong else "#b0b0b0")
        spine.set_linewidth(2.0 if strong else 1.0)
    axis.set_title(outcome.title, fontsize=TITLE_PT, pad=5, fontweight="bold" if strong else "normal")
    if outcome.fit is not None and not is_target:
        note = f"{outcome.fit.distance:.3f}" if outcome.fit.distance >= 0.0095 else f"{outcome.fit.distance:.4f}"
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        axis.text(0.97, 0.03, note, transform=axis.transAxes, fontsize=NOTE_PT, ha="right", va="bottom", bbox=box, zorder=4)


def _shares(axis: Any, on: Bed, outcome: Outcome) -> None:
    place = np.arange(len(on.modes))
    axis.bar(place - 0.2, on.shares, 0.4, color=TARGET_COLOURS[-1])
    if outcome.fit is not None and not (not outcome.method and outcome.title == "target"):
        axis.bar(place + 0.2, np.minimum(outcome.fit.fractions, 1.0), 0.4, color=POINT_COLOUR)
    axis.set_xlim(-0.6, len(on.modes) - 0.4)
    axis.set_ylim(0, 1)
    axis.set_xticks([])
    axis.set_yticks([])
    for name, spine in axis.spines.items():
        spine.set_visible(name == "bottom")


def _density(on: Bed) -> np.ndarray:
    """The target on a grid over the window, [GRID, GRID], rows upward: at the lowest noise level, as good as none."""
    line = torch.linspace(-on.half_width, on.half_width, GRID, dtype=torch.float64)
    y, x = torch.meshgrid(line + on.centre[1], line + on.centre[0], indexing="ij")
    points = torch.stack([x, y], dim=-1).view(-1, 2, 1, 1)
    condition = on.prior.embed(["target"]).expand(len(points))
    return on.prior.log_prob(points, torch.zeros(len(points), dtype=torch.int64), condition).exp().view(GRID, GRID).numpy()
