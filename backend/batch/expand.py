"""From a file's entries to jobs: defaults under what a job says, lists and globs multiplied out, paths from the file's folder."""

import glob
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from backend.batch.check_job import check_job
from backend.batch.places import Place
from backend.batch.read_jobs import ID, Entry
from backend.errors import ResourceError, UserError, first_line
from backend.gallery.collect import JOBS_FOLDER, PLAN_FILE
from backend.priors.exemplar_folder import EXEMPLAR
from protocol.job import RefineJob, job_from

JOBS = 100_000
"""Of one file: a sweep that multiplies to more is a slip."""

FOR_ALL = Place("The settings given for all jobs")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUOTED = re.compile(r"'([\w.-]+)'")
_KINDS = {field.encode_name: msgspec.inspect.type_info(field.type) for field in msgspec.structs.fields(RefineJob)}


@dataclass(frozen=True)
class Asked:
    """One job that a file asks for. `name`: what it gives itself as an id, or nothing; `swept`: the settings that vary around it."""

    place: Place
    job: RefineJob
    name: str
    swept: Mapping[str, Any]


def expand(entries: Iterable[Entry], folder: Path, given: Mapping[str, Any] | None = None) -> Iterator[Asked]:
    """Every job of the entries, in their order, the last sweep of an entry varying fastest.

    `folder`: where relative paths begin. `given`: settings for jobs that do not say otherwise, before the file's own defaults.

    Errors: UserError with file and line for a setting that no job has, a wrong type or value, an id that is no name or was taken, an
    empty list, a glob that matches nothing, a sketch or prior that is not there, and too many jobs.
    """
    taken: dict[str, Place] = {}
    count = 0
    for entry in entries:
        place = entry.place
        source = partial(_source, entry, given or {})
        settings = _over(_over(dict(entry.defaults), given or {}), entry.settings)
        name = settings.pop(ID, "")
        if name != "" or ID in entry.settings:
            _check_name(name, place, taken)
        axes = _axes(settings, folder, place)
        count += math.prod(len(values) for _, values in axes)
        if count > JOBS:
            raise place.refuse(f"The file asks for {count:,} jobs up to here, more than {JOBS:,}.", "Sweep over less.")
        for values in itertools.product(*(values for _, values in axes)):
            chosen = dict(settings)
            for (path, _), value in zip(axes, values, strict=True):
                chosen = _with(chosen, path, value)
            swept = {path[-1]: value for (path, all_), value in zip(axes, values, strict=True) if len(all_) > 1}
            yield Asked(place, _job(chosen, folder, source), name, swept)


def _source(entry: Entry, given: Mapping[str, Any], setting: str) -> Place:
    """Where a setting comes from, whose name may be one within another."""
    outer = setting.partition(".")[0]
    if outer in entry.settings:
        return entry.place
    return FOR_ALL if outer in given else entry.defaults_place if outer in entry.defaults else entry.place


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says; tables are merged."""
    for key, value in above.items():
        beneath = below.get(key)
        below[key] = _over(dict(beneath), value) if isinstance(beneath, dict) and isinstance(value, dict) else value
    return below


def _check_name(name: Any, place: Place, taken: dict[str, Place]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise place.refuse(f"The id {name!r} is not a name.", "Use letters, digits, '.', '-' and '_', at most 64.", ID)
    before = taken.setdefault(name.lower(), place)  # some disks know no capitals
    if before is not place:
        where = f"line {before.line}" if before.line else before.label
        raise place.refuse(f"The id '{name}' was given before, in {where}.", "Give every job its own, or leave ids out.", ID)


def _axes(settings: dict[str, Any], folder: Path, place: Place) -> list[tuple[tuple[str, ...], list[Any]]]:
    """(setting, values) of everything that varies, in the order of the file."""
    axes: list[tuple[tuple[str, ...], list[Any]]] = []
    for key, value in settings.items():
        kind = _KINDS.get(key)
        if isinstance(value, list):
            if isinstance(kind, msgspec.inspect.VarTupleType) and not (value and all(isinstance(each, list) for each in value)):
                continue  # the value itself
            if not value:
                raise place.refuse(f"The list of '{key}' is empty.", "Name at least one value, or leave the setting out.", key)
            values = value
        elif key == "sketch":
            values = [value]
        elif isinstance(value, dict) and key != "parameters":
            for inner, each in value.items():
                if isinstance(each, list):
                    if not each:
                        raise place.refuse(f"The list of '{key}.{inner}' is empty.", "Name at least one value.", key)
                    axes.append(((key, inner), each))
            continue
        else:
            continue
        if key == "sketch":
            values = [found for pattern in values for found in _matches(pattern, folder, place)]
        axes.append(((key,), values))
    return axes


def _matches(pattern: Any, folder: Path, place: Place) -> list[Any]:
    """The files that a glob means, sorted; anything else as it is. What lies in the results of a batch is not meant."""
    if not isinstance(pattern, str) or not glob.has_magic(pattern):
        return [pattern]
    try:
        if _from(folder, pattern).exists():
            return [pattern]
    except (RuntimeError, OSError) as error:
        raise place.refuse(f"The path '{pattern}' cannot be used: {first_line(error)}.", "Correct it.", "sketch") from None
    path = Path(pattern).expanduser()
    found = glob.glob(str(path if path.is_absolute() else Path(glob.escape(str(folder.absolute()))) / path), recursive=True)
    left = sorted(each for each in found if not _is_of_a_batch(Path(each)))
    if not left:
        raise place.refuse(f"No file matches '{pattern}'.", f"Paths begin in '{folder}'.", "sketch")
    return list(left)


def _is_of_a_batch(path: Path) -> bool:
    """Does it lie among the results of a batch? The next one would refine what this one has made."""
    return any(above.name == JOBS_FOLDER and (above.parent / PLAN_FILE).is_file() for above in path.parents)


def _with(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**settings, path[0]: value}
    return {**settings, path[0]: {**settings[path[0]], path[1]: value}}


def _job(settings: dict[str, Any], folder: Path, source: Callable[[str], Place]) -> RefineJob:
    try:
        job = job_from(settings)
        job = msgspec.structs.replace(job, prior=_prior(job.prior, folder), debias=_folder_or_name(job.debias, folder))
        if job.sketch:
            job = msgspec.structs.replace(job, sketch=str(_from(folder, job.sketch)))
        check_job(job)
        is_there = not job.sketch or Path(job.sketch).is_file()
    except (UserError, ResourceError) as error:
        quoted = _QUOTED.findall(error.sentence)
        named = [key for key, value in settings.items() if value in quoted]
        named += [name for each in quoted for name in (each.partition(".")[0], each) if name.partition(".")[0] in settings]
        known = [name for name in reversed(named) if name in source(name).lines] or named[-1:]
        setting = known[0] if known else ""
        raise source(setting).refuse(error.sentence, error.hint, setting) from None
    except (RuntimeError, OSError, ValueError) as error:  # no such home, a name too long for the disk
        raise source("sketch").refuse(f"A path of the job cannot be used: {first_line(error)}.", "Correct it.", "sketch") from None
    if not is_there:
        raise source("sketch").refuse(f"The sketch '{job.sketch}' is not there.", f"Paths begin in '{folder}'.", "sketch")
    return job


def _prior(prior: str, folder: Path) -> str:
    if prior.startswith(EXEMPLAR):
        return EXEMPLAR + str(_from(folder, prior.removeprefix(EXEMPLAR)))
    return _folder_or_name(prior, folder)


def _folder_or_name(name: str, folder: Path) -> str:
    """A folder's path where there is such a folder, else the name."""
    path = _from(folder, name)
    return str(path) if name and name != "starter" and path.is_dir() else name


def _from(folder: Path, path: str) -> Path:
    return (folder / Path(path).expanduser()).absolute()
