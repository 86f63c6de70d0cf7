"""Loss curves of a training: training and held-out numbers of one kind on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

AVERAGED_OVER = 0.02  # of a curve's points: the line over the points that were measured


@dataclass(frozen=True)
class Panel:
    """One axis: what it shows with its unit, and the recorded numbers by name with their labels."""

    title: str
    unit: str
    curves: dict[str, str]
    is_log: bool = True


PANELS = {
    "denoiser": (
        Panel(
            "Noise error",
            "mean squared error",
            {
                "error": "training",
                "loss": "training, weighted",
                "held_out": "held out",
                "held_out_low_t": "held out, t < 333",
                "held_out_high_t": "held out, t > 666",
            },
        ),
        Panel("Speed", "samples per second", {"samples_per_s": "training"}, is_log=False),
    ),
    "vae": (
        Panel(
            "Losses",
            "display range -1..1",
            {"loss": "training", "reconstruction": "reconstruction", "teacher": "distance to the teacher"},
        ),
        Panel("Colour error", "L1 of the chroma planes", {"chroma": "training", "held_out_chroma_l1": "held out"}),
        Panel(
            "Reconstruction",
            "PSNR in dB",
            {"held_out_psnr_db": "held out", "held_out_linear_psnr_db": "held out, linear code"},
            is_log=False,
        ),
    ),
}


def draw_curves(records: Sequence[dict[str, float]], stage: str, path: Path) -> None:
    """A PNG with the stage's panels that have something to show; nothing where none has."""
    import matplotlib.figure  # here: drawing is rare and the import is slow
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panels = [p for p in PANELS[stage] if any(name in r for r in records for name in p.curves)]
    if not panels:
        return
    figure = matplotlib.figure.Figure(figsize=(5.5 * len(panels), 4), layout="constrained")
    figure.suptitle(f"{'Denoiser' if stage == 'denoiser' else 'Autoencoder'}, {max(int(r['step']) for r in records):,} steps", fontsize=11)
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, label in panel.curves.items():
            points = np.array([(r["step"], r[name]) for r in records if name in r and np.isfinite(r[name])])
            if len(points):
                _curve(axis, points, label)
        axis.set(title=panel.title, xlabel="optimiser step", ylabel=panel.unit)
        if panel.is_log:
            axis.set_yscale("log")
            axis.yaxis.set_minor_locator(LogLocator(subs=(2, 4, 6)))
            for ticks in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
                ticks(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axis.set_ylim(bottom=0)
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(True, which="both", lw=0.3, alpha=0.6)
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=90)


def _curve(axis, points: np.ndarray, label: str) -> None:  # points [N, 2]
    reach = int(AVERAGED_OVER * len(points))
    if reach < 2:
        axis.plot(points[:, 0], points[:, 1], lw=1.2, marker="o" if len(points) < 40 else None, ms=3, label=label)
        return
    padded = np.pad(points[:, 1], reach, mode="edge")
    smooth = np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid")
    (line,) = axis.plot(points[:, 0], smooth, lw=1.4, label=label)
    axis.plot(points[:, 0], points[:, 1], lw=0.4, alpha=0.3, color=line.get_color())
