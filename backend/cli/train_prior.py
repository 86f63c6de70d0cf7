"""`sketchbridge train-prior`: a prior from pictures to weights, the shipped one or a user's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.strict import convert


def train_prior_command(
    pictures: Annotated[str, typer.Option(help="Folder of captioned pictures instead of the procedural ones.")] = "",
    mix_zoo: Annotated[float, typer.Option(min=0, max=0.99, help="Share of procedural pictures beside those of --pictures.")] = 0.0,
    start: Annotated[str, typer.Option(help="Exported folder, or starter, to go on from with a fresh optimiser; its sizes are kept.")] = "",
    vae: Annotated[str, typer.Option(help="Exported folder, or starter, whose compression model is used as it is.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the finished weights.")] = Path("out/prior"),
    work: Annotated[Path, typer.Option(help="Folder for pictures, checkpoints and sample sheets.")] = Path("~/.cache/sketchbridge/train"),
    stage: Annotated[str, typer.Option(help="data, vae, denoiser or all.")] = "all",
    minutes: Annotated[float, typer.Option(min=0, help="Wall time of the denoiser's training, over all calls.")] = 100.0,
    vae_minutes: Annotated[float, typer.Option(min=0, help="Wall time of the compression model's training.")] = 9.0,
    stop_after: Annotated[
        float | None, typer.Option(min=0, help="Minutes of this call: then a checkpoint and an export, to go on from later.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Of the denoiser, instead of --minutes: exactly repeatable.")] = None,
    images: Annotated[int | None, typer.Option(min=64, help="Pictures to make; 110000, or 150 copies of each of --pictures.")] = None,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    twins: Annotated[int, typer.Option(min=0, help="Pictures of a step shown again with a wrong view word: teaches view words.")] = 0,
    rate: Annotated[float | None, typer.Option(min=0, help="Highest learning rate of the denoiser; 1e-3, 3e-4 with --start.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    compiled: Annotated[bool, typer.Option(help="Compile the step with torch.compile: worth it on a GPU, needs a compiler.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoints in --work.")] = True,
) -> None:
    """Train a small prior: on procedural pictures, as the shipped one, or on your own captioned pictures."""
    from backend.refine.device import choose_device
    from backend.train.console import progress_bars
    from backend.train.options import TrainOptions
    from backend.train.run import train_prior

    settings: dict[str, Any] = {
        "pictures": pictures,
        "mix_zoo": mix_zoo,
        "start": start,
        "vae": vae,
        "out": str(out),
        "work": str(work),
        "stage": stage,
        "minutes": minutes,
        "vae_minutes": vae_minutes,
        "stop_after": stop_after,
        "steps": steps,
        "images": images,
        "batch": batch,
        "seed": seed,
        "twins": twins,
        "rate": rate,
        "device": str(choose_device(device)),
        "compiled": compiled,
        "resume": resume,
    }
    with progress_bars() as report:
        result = train_prior(convert(settings, TrainOptions, "The training"), report=report)
    for note in result.notes:
        print(note)
    if not result.is_finished:
        print(f"Stopped. The same command{'' if resume else ' without --no-resume'} goes on from here.")
    elif stage in ("all", "denoiser"):
        print(f"{result.out}: {result.size_bytes / 1e6:.1f} MB, {result.samples:,} samples. Use it with --prior {result.out}.")
