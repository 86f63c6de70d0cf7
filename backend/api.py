"""SketchBridge from Python: one job here, one job on a server, many jobs into a folder.

Settings are those of `protocol.job.RefineJob`, by name.
"""

import os
import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backend.batch.board import Watch
from backend.batch.engines import Engine, LocalEngine, on_ray
from backend.batch.expand import expand
from backend.batch.places import Place
from backend.batch.plan import plan_jobs, plan_of
from backend.batch.read_jobs import Entry
from backend.batch.run import Outcome, run_plan
from backend.errors import UserError
from protocol.job import RefineJob, job_from
from protocol.version import DEFAULT_PORT

if TYPE_CHECKING:
    from backend.batch.remote import Submitted
    from backend.refine.events import Event
    from backend.refine.result import Result

__all__ = ["Outcome", "batch", "refine", "submit"]

LOCAL_SERVER = f"tcp://127.0.0.1:{DEFAULT_PORT}"
JOB_HINT = 'Give settings such as {"prompt": "a mug", "mode": "prompt"}, or a RefineJob.'


def refine(
    job: RefineJob | None = None, out: Path | str | None = None, listen: "Callable[[Event], None] | None" = None, **settings: Any
) -> "Result":
    """Run one job here and now; with `out` its asset, sheet and report are written there. Returns the result with its arrays.

    Errors: as `backend.refine.run.refine`.

    Example: `refine(sketch="flower.glb", prompt="a red flower", out="out/flower")`.
    """
    from backend.refine.read_inputs import read_inputs
    from backend.refine.report import write_report
    from backend.refine.run import refine as run

    asked = _job(job, settings)
    folder = None if out is None else Path(out)
    result = run(asked, read_inputs(asked), out=folder, listen=listen)
    if folder is not None and result.exported is not None:
        write_report(result, folder)
    return result


def submit(job: RefineJob | None = None, address: str = LOCAL_SERVER, token: str = "", label: str = "", **settings: Any) -> "Submitted":
    """Send one job to a running server, which has it when this returns; `.wait(out)` of what is returned fetches its files.

    Errors: as `backend.batch.remote.send`.
    """
    from backend.batch.remote import send

    return send(_job(job, settings), address, token, label)


def batch(
    jobs: Path | str | RefineJob | Mapping[str, Any] | Iterable[RefineJob | Mapping[str, Any]],
    out: Path | str,
    *,
    workers: int = 0,
    devices: tuple[str, ...] = (),
    engine: Engine | Literal["local", "ray"] = "local",
    ray_address: str = "",
    watch: Watch | None = None,
    retry_failed: bool = False,
    report: bool = True,
    **defaults: Any,
) -> Outcome:
    """Run many jobs into the folder `out`: a job file, or one or more jobs as structs or as settings, sweeps included (relative to here).

    The same again does only what is left. `engine` "ray": on the cluster at `ray_address`, as `on_ray`. `defaults`: settings for
    jobs that do not say otherwise. `report`: table and page at the end; where they cannot be made, `watch` is told, or a warning
    says so. Call it under `if __name__ == "__main__":`.

    Errors: as `plan_of`, `on_ray` and `run_plan`; UserError for another engine and for what is no job.
    """
    given = _plain(defaults)
    if isinstance(jobs, str | Path):
        planned = plan_of(Path(jobs), given)
    else:
        planned = plan_jobs(expand(_entries(jobs), Path.cwd(), given))
        if not planned.plan.jobs:
            raise UserError("There is no job to run.", "Give at least one.")
    if engine == "local":
        engine = LocalEngine(devices, workers)
    elif engine == "ray":
        engine = on_ray(ray_address, devices, workers)
    elif isinstance(engine, str):
        raise UserError(f"There is no engine '{engine}'.", "Use local or ray.")
    outcome = run_plan(planned.plan, Path(out), engine, watch, retry_failed=retry_failed)
    if report:
        _report(Path(out), watch, judge=not outcome.stopped)
    return outcome


def _report(out: Path, watch: Watch | None, judge: bool) -> None:
    """Table and page. Whatever goes wrong with them, the caller is still told what became of the batch."""
    from backend import gallery

    try:
        gallery.make(out, judge=judge)
    except Exception as error:
        sentence = gallery.not_made(out, error)
        if watch is not None:
            watch.note(sentence)
        else:
            warnings.warn(sentence, stacklevel=3)


def _job(job: RefineJob | None, settings: Mapping[str, Any]) -> RefineJob:
    if job is not None and settings:
        raise UserError("Both a job and settings were given.", "Give one of them.")
    return job if job is not None else job_from(_plain(settings))


def _entries(jobs: Any) -> Iterator[Entry]:
    """The jobs as a job file would give them. Errors: UserError for what is no job."""
    if isinstance(jobs, RefineJob | Mapping):
        jobs = [jobs]
    if not isinstance(jobs, Iterable):
        raise UserError(f"{reprlib.repr(jobs)} is no list of jobs.", JOB_HINT)
    for number, each in enumerate(jobs, 1):
        place = Place("jobs", label=f"job {number}")
        if not isinstance(each, RefineJob | Mapping):
            raise place.refuse(f"{reprlib.repr(each)} is no job.", JOB_HINT)
        yield Entry(place, _settings(each), {}, place)


def _settings(each: RefineJob | Mapping[str, Any]) -> dict[str, Any]:
    """As a job file would give them; a struct's empty lists are values, not sweeps."""
    from msgspec import to_builtins

    if isinstance(each, RefineJob):
        settings: dict[str, Any] = to_builtins(each)
        return {name: value for name, value in settings.items() if value is not None}
    plain: dict[str, Any] = _plain(each)
    return plain


def _plain(value: Any) -> Any:
    """Settings with paths as text, at any depth."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
