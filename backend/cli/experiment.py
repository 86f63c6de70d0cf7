"""`sketchbridge experiment`: the sources' experiments on a prior, cell by cell, with tables and figures."""

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.cli.options import make_folder
from protocol.errors import UserError
from protocol.strict import nearest

if TYPE_CHECKING:
    from backend.experiments.contract import Plan
    from backend.priors.card import PriorCard
    from backend.priors.contract import Prior


PRECISIONS = {"auto": None, "fp32": "float32", "bf16": "bfloat16"}


def experiment_command(
    name: Annotated[str, typer.Argument(help="Which one; without a name they are listed.")] = "",
    prior: Annotated[str, typer.Option(help="starter, a diffusers folder, a hub id, or exemplar:FOLDER.")] = "starter",
    seeds: Annotated[int, typer.Option(min=0, max=100, help="Repetitions; 0: as the budget says.")] = 0,
    budget: Annotated[str, typer.Option(help="quick (minutes) or full (as published).")] = "full",
    captions: Annotated[int, typer.Option(min=0, max=5000, help="Captions, prompts or objects; 0: as the budget says.")] = 0,
    steps: Annotated[int, typer.Option(min=0, max=100_000, help="Steps of a run; 0: as the budget says.")] = 0,
    methods: Annotated[str, typer.Option(help="Only these methods or variants, with commas between.")] = "",
    equal: Annotated[str, typer.Option(help="rows or steps: what every method gets the same number of.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder; what it holds already is not run again. [out/experiment/NAME]")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only list the cells and how long they would take.")] = False,
    write: Annotated[Path | None, typer.Option(help="Also put tables and figures into this page, between the experiment's marks.")] = None,
    clip: Annotated[str, typer.Option(help="Folder of a CLIP model, for similarities beside the judge's.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="Of the prior's networks: fp32, bf16 or auto (bf16 on CUDA alone).")] = "auto",
) -> None:
    """Run an experiment: its estimate, its cells, its tables and figures."""
    from backend.experiments.page import place_in
    from backend.experiments.registry import EXPERIMENTS, WITH_CLIP, experiment

    if not name:
        for listed, (_, summary) in EXPERIMENTS.items():
            print(f"{listed:<16} {summary}")
        return
    found = experiment(name)
    checks = ((budget, ("quick", "full"), "budget"), (equal, ("", "rows", "steps"), "equal number"), (precision, PRECISIONS, "precision"))
    for given, allowed, what in checks:
        if given not in allowed:
            raise UserError(f"There is no {what} '{given}'.", nearest(given, [word for word in allowed if word]))
    if clip and name not in WITH_CLIP:
        raise UserError(f"The experiment '{name}' shows no CLIP similarity.", f"Leave --clip out; {', '.join(WITH_CLIP)} has it.")
    if write is not None:
        place_in(write, f"experiment {name}")

    import torch
    from rich.console import Console

    from backend.cli.progress import estimated_bar
    from backend.experiments.contract import Context, Plan
    from backend.experiments.runner import plan_cells, run_cells
    from backend.experiments.write import publish, write_all
    from backend.priors.resolve import resolve_prior
    from backend.refine.device import choose_device
    from backend.refine.estimate import in_words

    folder = out or Path("out/experiment") / name
    named = PRECISIONS[precision]
    loaded = resolve_prior(prior, choose_device(device), dtype=getattr(torch, named) if named else None)
    if precision not in ("auto", precision_of(loaded)):
        raise UserError(f"'{loaded.card.name}' has no networks to run in {precision}.", "Leave --precision out.")
    chosen = tuple(dict.fromkeys(part.strip() for part in methods.split(",") if part.strip()))
    asked = Plan(loaded.card, budget, seeds, captions, steps, chosen, equal)  # type: ignore[arg-type]
    found.cells(asked)  # a plan that cannot be followed is refused before anything is made
    context = Context(loaded, folder, asked, clip=clip)
    if clip:
        _ = context.clip_model  # a folder that holds none is told before anything is run
    console = Console(stderr=True)
    if not plan:
        make_folder(folder)
    weights = _fingerprints(loaded, clip)
    planned = plan_cells(found, context, weights)
    open_cells = [entry for entry in planned if entry.result is None]
    total = sum(entry.seconds for entry in open_cells)
    here = f", {len(planned) - len(open_cells)} of them done already" if len(open_cells) < len(planned) else ""
    console.print(f"{found.title}: {len(planned)} cells{here}; about {in_words(total)} on this machine.", highlight=False)
    if plan:
        for entry in planned:
            print(f"{entry.cell.name:<48} {'done' if entry.result is not None else 'about ' + in_words(entry.seconds)}")
        return

    stopped = False
    previous = signal.getsignal(signal.SIGINT)

    def note_interrupt(*_: Any) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGINT, previous)  # the second one ends it at once
        console.print("stopping after this cell; once more stops at once and loses the cell", highlight=False)

    signal.signal(signal.SIGINT, note_interrupt)
    try:
        with estimated_bar(console) as show:
            results = run_cells(found, context, planned, listen=lambda progress: show(*progress), stop=lambda: stopped)
    finally:
        signal.signal(signal.SIGINT, previous)
    for result in results:
        if result.failure:
            console.print(f"failed: {result.cell.name}: {result.failure}", style="yellow", highlight=False)
    command = _command(name, prior, precision_of(loaded), asked, clip)
    made = write_all(found, results, folder, _heading(command, loaded, weights, len(results), len(planned)))
    is_whole = len(results) == len(planned) and not all(result.failure for result in results)
    if write is not None and is_whole:
        made += publish(name, made, write)
    for path in made:
        console.print(f"  {path}", highlight=False)
    if write is not None and not is_whole:
        console.print(f"{write} is left as it was", highlight=False)
    if len(results) < len(planned):
        console.print(f"stopped after {len(results)} of {len(planned)} cells; the same command goes on from there", highlight=False)
        raise typer.Exit(130)
    if results and all(result.failure for result in results):
        raise typer.Exit(1)


def _fingerprints(prior: "Prior", clip: str) -> list[str]:
    """Of everything beside a cell's spec that its outcome depends on: the prior's weights, card and precision,
    the judge, the CLIP folder's name."""
    import hashlib

    from backend.evaluate.judge import WEIGHTS

    judge = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() if WEIGHTS.is_file() else ""
    return [prior.fingerprint(), digest_of(prior.card), judge, clip, precision_of(prior)]


def precision_of(prior: "Prior") -> str:
    """ "bf16" or "fp32": what the prior's networks compute in."""
    return next(word for word, name in PRECISIONS.items() if f"torch.{name}" == str(getattr(prior, "dtype", "torch.float32")))


def digest_of(card: "PriorCard") -> str:
    """SHA-256 of the card."""
    import hashlib

    import msgspec

    return hashlib.sha256(msgspec.json.encode(card)).hexdigest()


def _command(name: str, prior: str, precision: str, plan: "Plan", clip: str) -> str:
    """What repeats the experiment."""
    words = [name, "--budget", plan.size, "--precision", precision]
    for option in ("seeds", "captions", "steps", "equal"):
        if value := getattr(plan, option):
            words += [f"--{option}", str(value)]
    if plan.methods:
        words += ["--methods", ",".join(plan.methods)]
    if prior != "starter":
        words += ["--prior", prior]
    if clip:
        words += ["--clip", clip]
    return shlex.join(["sketchbridge", "experiment", *words])


def _heading(command: str, prior: "Prior", weights: list[str], done: int, cells: int) -> str:
    """What the tables below were measured with, and how to measure them again."""
    part = "" if done == cells else f" {done} of {cells} cells."
    priors, card, judge = (digest[:8] for digest in weights[:3])
    return f"`{command}`, prior {prior.card.name} {priors}, card {card}, judge {judge}.{part}"
