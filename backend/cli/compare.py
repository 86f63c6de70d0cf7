"""`sketchbridge compare`: every distillation gradient side by side, on densities known exactly and on a prior of pictures."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.options import make_folder, pair
from protocol.errors import UserError
from protocol.strict import nearest


def compare_command(
    methods: Annotated[str, typer.Option(help="all, or names with commas between: sds,bridge.")] = "all",
    beds: Annotated[str, typer.Option(help="Test beds: modes,circles,gaussian, some of them, or none.")] = "modes,circles,gaussian",
    prior: Annotated[str, typer.Option(help="Prior of pictures: starter, a diffusers folder, a hub id, or none.")] = "none",
    prompt: Annotated[str, typer.Option(help="What the pictures show.")] = "a red apple",
    source_prompt: Annotated[str, typer.Option(help="What the pictures that DDS edits show to begin with.")] = "",
    budget: Annotated[str, typer.Option(help="rows:N or steps:N, the same for every method; full: until it has arrived.")] = "rows:2000",
    out: Annotated[Path, typer.Option(help="Folder for the table and the figures.")] = Path("out/compare"),
    set_: Annotated[list[str] | None, typer.Option("--set", help="METHOD.PARAMETER=VALUE; repeatable.")] = None,
    variants: Annotated[bool, typer.Option(help="Also more settings of the same methods.")] = False,
    particles: Annotated[int, typer.Option(min=0, max=100_000, help="Particles per method; 0: as the bed says.")] = 0,
    pictures: Annotated[int, typer.Option(min=1, max=16, help="Pictures per method.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed repeats the comparison.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for the prior of pictures.")] = "auto",
) -> None:
    """Compare gradients: one table and one figure per test bed."""
    from backend.distill.parameters import PARAMETERS, parameters_of
    from backend.study.beds import BEDS
    from backend.study.budget import read_budget
    from backend.study.entries import check

    given: dict[str, dict[str, Any]] = {}
    for text in set_ or ():
        name, value = pair(text)
        method, dot, parameter = name.partition(".")
        if not dot or not parameter:
            raise UserError(f"'--set {text}' is not METHOD.PARAMETER=VALUE.", "Write for example --set sds.guidance=15.")
        parameters_of(method)
        given.setdefault(method, {})[parameter] = value
    names = tuple(PARAMETERS) if methods.strip() == "all" else _names(methods)
    wanted_beds = () if beds.strip() == "none" else _names(beds)
    for name in wanted_beds:
        if name not in BEDS:
            raise UserError(f"There is no test bed '{name}'.", nearest(name, [*BEDS, "none"]))
    read = read_budget(budget)
    check(names, given)
    if prior.strip() == "none" and not wanted_beds:
        raise UserError("There is nothing to compare on.", "Name a test bed with --beds, or a prior with --prior.")
    if prior.strip() != "none" and not prompt.strip():
        raise UserError("The prompt is empty.", 'Say in a few words what the pictures show: --prompt "a red apple".')
    make_folder(out)

    from rich.console import Console

    from backend.cli.progress import estimated_bar
    from backend.priors.resolve import resolve_prior
    from backend.priors.wording import prompt_warnings
    from backend.refine.device import choose_device
    from backend.refine.estimate import in_words
    from backend.study.compare import Request, compare, plan
    from backend.study.write import write_all

    loaded = None if prior.strip() == "none" else resolve_prior(prior, choose_device(device))
    request = Request(
        methods=names,
        beds=wanted_beds,
        budget=read,
        prior=loaded,
        prompt=prompt,
        source_prompt=source_prompt,
        given=given,
        variants=variants,
        particles=particles,
        pictures=pictures,
        seed=seed,
    )
    console = Console(stderr=True)
    for warning in prompt_warnings(loaded, prompt, source_prompt) if loaded is not None else ():
        console.print(f"warning: {warning}", style="yellow", highlight=False)
    stopped = False

    def note_interrupt(*_: Any) -> None:
        nonlocal stopped
        stopped = True

    previous = signal.signal(signal.SIGINT, note_interrupt)
    try:
        planned = plan(request, stop=lambda: stopped)
        runs = [entry for entry in planned if not entry.reason]
        console.print(f"{len(runs)} runs, about {in_words(sum(entry.seconds for entry in runs))}.", highlight=False)
        for entry in planned:
            if entry.reason:
                console.print(f"not run: {entry.title} on {entry.bed}: {entry.reason}", style="yellow", highlight=False)
        with estimated_bar(console) as show:
            outcomes = compare(request, planned, listen=lambda progress: show(*progress), stop=lambda: stopped)
    finally:
        signal.signal(signal.SIGINT, previous)
    for path in write_all(outcomes, out, seed):
        console.print(f"  {path}", highlight=False)
    if stopped:
        console.print("stopped early: the table says what is missing", highlight=False)
        raise typer.Exit(130)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
