"""`sketchbridge batch`: many jobs from one file into one folder."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from backend.cli.options import make_folder, pair
from protocol.errors import UserError

if TYPE_CHECKING:
    from backend.batch.engines import Engine
    from backend.batch.plan import Plan, PlannedJob

SOME_FAILED = 5
STOPPED = 130


def batch_command(
    jobs: Annotated[Path, typer.Argument(help="Job file: .jsonl, .toml, .csv, or .txt with one prompt a line.")],
    out: Annotated[Path, typer.Option(help="Folder of the batch. The same folder again goes on where it stood.")] = Path("out/batch"),
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, with time, memory and disk, and run nothing.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for jobs that do not say otherwise; repeatable.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Worker processes; 0 is one for each device.")] = 0,
    devices: Annotated[str, typer.Option(help="auto, cpu, or for example cuda:0,cuda:1; on Ray auto, cpu or cuda.")] = "auto",
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Processes on this machine, or a Ray cluster.")] = "local",
    ray_address: Annotated[str, typer.Option(help="HOST:PORT, auto for this machine's cluster, local to start one for the batch.")] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try quarantined jobs again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on stdout instead of a table.")] = False,
    rerun: Annotated[Path | None, typer.Option(metavar="FILE.rrd", help="Write the previews as a Rerun log.")] = None,
) -> None:
    """Run a file of jobs, one after the other on every device; exit status 5 says that some failed."""
    from backend.batch.plan import plan_of

    if rerun is not None:
        from backend.batch.preview_log import check_log

        check_log(rerun)
    planned = plan_of(jobs, given_by(set_ or ()))
    if ray_address and engine != "ray":
        raise UserError("--ray-address was given without --engine ray.", "Add it, or leave the address out.")
    machine = engine_on(devices, workers) if engine == "local" else ray_engine(ray_address, devices, workers)
    make_folder(out)
    if plan:
        print_plan(planned.plan, planned.notes, out, machine, as_json)
        return

    from backend.batch.run import run_plan
    from backend.cli.batch_watch import JsonEvents, Lines, LiveTable

    watch = JsonEvents() if as_json else LiveTable() if sys.stderr.isatty() else Lines()
    with watch, logged(watch, rerun, planned.plan) as told:
        for note in planned.notes:
            told.note(note)
        outcome = run_plan(planned.plan, out, machine, told, retry_failed=retry_failed)
    if outcome.stopped:
        watch.note(f"No page was made; `sketchbridge report {out}` makes one of what is done.")
    else:
        write_gallery(out, watch)
    watch.finish(outcome)
    if outcome.stopped:
        raise typer.Exit(STOPPED)
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)


def given_by(pairs: list[str] | tuple[()]) -> dict[str, Any]:
    """Settings from NAME=VALUE; budget.faces=500 for one inside another."""
    given: dict[str, Any] = {}
    for name, value in map(pair, pairs):
        outer, dot, inner = name.partition(".")
        if dot:
            inside = given.setdefault(outer, {})
            if not isinstance(inside, dict):
                raise UserError(f"'--set {name}' goes into '{outer}', which was set to a value.", "Give one of the two.")
            inside[inner] = value
        else:
            given[outer] = value
    return given


def engine_on(devices: str, workers: int) -> "Engine":
    """Worker processes on this machine."""
    from backend.batch.engines import LocalEngine
    from backend.serve.devices import parse_devices

    return LocalEngine(parse_devices(devices), workers)


def logged(watch: Any, rerun: Path | None, plan: "Plan") -> AbstractContextManager[Any]:
    """The watch, and where a Rerun log is wanted one that writes that too."""
    if rerun is None:
        return nullcontext(watch)
    from backend.batch.preview_log import PreviewLog

    log = PreviewLog(watch, rerun, [job.id for job in plan.jobs])
    watch.note(f"Previews go to '{log.path}'.")
    return log


def ray_engine(address: str, devices: str, workers: int) -> "Engine":
    """Actors of a cluster."""
    from backend.batch.engines import on_ray

    return on_ray(address, () if devices == "auto" else (devices,), workers)


def write_gallery(out: Path, watch: Any) -> None:
    """Table and page. A batch that has computed for a night does not fail because its page could not be drawn."""
    from rich.console import Console

    from backend import gallery
    from backend.cli.make_report import make_report

    try:
        made = make_report(out, Console(stderr=True))
    except Exception as error:
        watch.note(gallery.not_made(out, error))
        return
    for note in made.batch.notes:
        watch.note(note)


def print_plan(plan: "Plan", notes: list[str], out: Path, machine: "Engine", as_json: bool) -> None:
    """Every job with how it stands and what it will cost, and the sums."""
    import json
    import shutil

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from backend.batch.pilot import estimates, make_pilots
    from backend.batch.plan import in_words, left_over, named_as_before, standings
    from backend.batch.run import check_devices
    from backend.cli.batch_watch import length

    check_devices(plan, machine.devices())
    plan = named_as_before(plan, out)
    notes = list(notes)
    found = standings(plan, out)
    left: list[PlannedJob] = [job for job in plan.jobs if found[job.id] not in ("done", "failed")]
    device = machine.devices()[0]
    with Progress(console=Console(stderr=True), transient=True) as progress, machine.gauge() as measure:
        task = progress.add_task("Measuring what a job costs")
        costs, failed = make_pilots(
            left, device, out, measure, lambda made, total: progress.update(task, completed=made, total=max(total, 1))
        )
    notes += [f"'{job}' failed when it was measured: {sentence}" for job, sentence in failed.items()]
    guessed = estimates(left, device, costs)
    workers = len(machine.devices())
    times = [each.seconds for each in guessed.values()]
    seconds = max(sum(times) / workers, max(times, default=0.0))  # no job is shared by two
    disk = sum(each.result_bytes for each in guessed.values())
    free = shutil.disk_usage(out).free
    if as_json:
        jobs = [
            {"id": job.id, "standing": found[job.id]}
            | ({} if job.id not in guessed else vars(guessed[job.id]))
            | {"prompt": job.job.prompt, "sketch": job.job.sketch}
            for job in plan.jobs
        ]
        sums = {"jobs": jobs, "workers": workers, "seconds": seconds, "disk_bytes": disk, "disk_free": free, "notes": notes}
        print(json.dumps(sums, indent=1))
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for name in ("job", "", "time", "memory", "disk"):
        table.add_column(name, justify="left" if name in ("job", "") else "right", overflow="fold")
    for job in plan.jobs:
        each = guessed.get(job.id)
        cost = ("", "", "") if each is None else (length(each.seconds), f"{each.memory_mib:,.0f} MB", f"{each.result_bytes / 2**20:.1f} MB")
        table.add_row(job.id, found[job.id], *cost)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False)
    console.print(f"{in_words(found)}.", highlight=False)
    if left:
        on = f"{workers} worker{'s' if workers > 1 else ''} on {', '.join(sorted(set(machine.devices())))}"
        console.print(
            f"About {length(seconds)} with {on}; {disk / 2**20:,.0f} MB of disk, {free / 2**30:,.0f} GB are free.", highlight=False
        )
    if disk > free:
        console.print("The disk is too small for that.", style="yellow")
    if older := left_over(plan, out):
        console.print(
            f"{len(older)} folders of jobs that are not in the file any more lie in '{out}'; they are left alone.",
            highlight=False,
            markup=False,
        )
