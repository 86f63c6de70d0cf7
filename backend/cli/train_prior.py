"""`sketchbridge train-prior`: the starter prior, from code to weights."""

from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.strict import convert


def train_prior_command(
    out: Annotated[Path, typer.Option(help="Folder for the finished weights.")] = Path("out/prior"),
    work: Annotated[Path, typer.Option(help="Folder for pictures, checkpoints and sample sheets.")] = Path("~/.cache/sketchbridge/train"),
    stage: Annotated[str, typer.Option(help="data, vae, denoiser or all.")] = "all",
    minutes: Annotated[float, typer.Option(min=0, help="Wall time of the denoiser's training.")] = 100.0,
    vae_minutes: Annotated[float, typer.Option(min=0, help="Wall time of the compression model's training.")] = 9.0,
    images: Annotated[int, typer.Option(min=64, help="Pictures to make.")] = 110_000,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Highest learning rate of the denoiser.")] = 1e-3,
    start: Annotated[str, typer.Option(help="Exported folder to go on from, with a fresh optimiser; its compression model is kept.")] = "",
    vae: Annotated[str, typer.Option(help="Exported folder whose compression model is used as it is.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoints in --work.")] = True,
) -> None:
    """Train the small prior that ships with the project: procedural pictures, compression model, denoiser."""
    from backend.train.console import progress_bars
    from backend.train.options import TrainOptions
    from backend.train.run import train_prior

    settings: dict[str, Any] = {
        "out": str(out),
        "work": str(work),
        "stage": stage,
        "minutes": minutes,
        "vae_minutes": vae_minutes,
        "images": images,
        "batch": batch,
        "seed": seed,
        "rate": rate,
        "start": start,
        "vae": vae,
        "device": device,
        "resume": resume,
    }
    with progress_bars() as report:
        train_prior(convert(settings, TrainOptions, "The training"), report=report)
