"""What a job file comes to: every job with its id, its folder and what is left to do of it. A function of the file and its inputs."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from backend.assets.atomic import write_bytes
from backend.batch.expand import Asked, expand
from backend.batch.fingerprints import content_of, file_digest, prior_digest
from backend.batch.read_jobs import read_jobs
from backend.errors import UserError
from backend.gallery.collect import FAILED_FILE, JOBS_FOLDER, PLAN_FILE, REPORT_FILE
from protocol.job import RefineJob

VERSION = 1
CHECKPOINT_FILE = "checkpoint.pt"
HASH_DIGITS = 8
SLUG_CHARACTERS = 60

Standing = Literal["done", "failed", "unfinished", "changed", "new"]
"""Of a job in its folder; "changed" is new, and an older one of its name is there."""


class Input(msgspec.Struct, frozen=True):
    path: str
    sha256: str


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a batch. `hash`: SHA-256 of all that its result depends on; `id`: a readable name and the first of its digits."""

    id: str
    hash: str
    job: RefineJob
    inputs: tuple[Input, ...] = ()

    @property
    def key(self) -> str:
        """Its name in the store: 32 hexadecimal digits."""
        return self.hash[:32]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of a batch in their order; `plan.json` is this."""

    version: int = VERSION
    jobs: tuple[PlannedJob, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A plan, and the sentences there are to say about it."""

    plan: Plan
    notes: list[str] = field(default_factory=list)


def plan_of(path: Path, given: Mapping[str, Any] | None = None) -> Planned:
    """The plan of a job file. Errors: as `read_jobs` and `expand`; UserError for a file that holds no job."""
    planned = plan_jobs(expand(read_jobs(path), path.absolute().parent, given))
    if not planned.plan.jobs:
        raise UserError(f"The job file '{path}' holds no job.", "Write one job, or one prompt, a line.")
    return planned


def plan_jobs(asked: Iterable[Asked]) -> Planned:
    """Ids and digests. A job that repeats another, and has no id of its own, is left out and noted."""
    jobs: dict[str, PlannedJob] = {}
    repeated: list[str] = []
    priors: dict[str, str] = {}
    for each in asked:
        job = each.job
        if job.prior not in priors:
            priors[job.prior] = prior_digest(job.prior)
        inputs = (Input(job.sketch, file_digest(job.sketch)),) if job.sketch else ()
        digest = content_of(job, each.name, inputs[0].sha256 if inputs else "", priors[job.prior])
        if digest in jobs:
            repeated.append(str(each.place))
            continue
        jobs[digest] = PlannedJob(id=f"{_slug(each)}-{digest[:HASH_DIGITS]}", hash=digest, job=job, inputs=inputs)
    _check_unique(jobs.values())
    notes = [f"{_counted(len(repeated))} repeat others and run once, first in {repeated[0]}."] if repeated else []
    return Planned(Plan(jobs=tuple(jobs.values())), notes)


def write_plan(plan: Plan, out: Path) -> Path:
    """`out/plan.json`, whole or not at all."""
    return write_bytes(out / PLAN_FILE, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")


def named_as_before(plan: Plan, out: Path) -> Plan:
    """The plan with the ids that its jobs have in the folder already: a sweep that has grown gives the same job another readable name."""
    names = _folders(out)
    before = {name[-HASH_DIGITS:]: name for name in sorted(names)}
    jobs = [job if job.id in names else msgspec.structs.replace(job, id=before.get(job.hash[:HASH_DIGITS], job.id)) for job in plan.jobs]
    return msgspec.structs.replace(plan, jobs=tuple(jobs))


def folder_of(out: Path, job: str) -> Path:
    """Where the job of this id leaves its files."""
    return out / JOBS_FOLDER / job


def standings(plan: Plan, out: Path) -> dict[str, Standing]:
    """What is left to do, by job id, from the files in the folder alone."""
    folders = _folders(out)
    older = {_without_hash(name) for name in folders - {job.id for job in plan.jobs}}
    found: dict[str, Standing] = {}
    for job in plan.jobs:
        folder = folder_of(out, job.id)
        if job.id not in folders:
            found[job.id] = "changed" if _without_hash(job.id) in older else "new"
        elif (folder / REPORT_FILE).is_file():
            found[job.id] = "done"
        elif (folder / FAILED_FILE).is_file():
            found[job.id] = "failed"
        else:
            found[job.id] = "unfinished"
    return found


def left_over(plan: Plan, out: Path) -> list[str]:
    """Folders of jobs that are no longer in the plan; they are kept, and nobody looks at them."""
    known = {job.id for job in plan.jobs}
    return sorted(path.name for path in (out / JOBS_FOLDER).glob("*") if path.is_dir() and path.name not in known)


def in_words(found: Mapping[str, Standing]) -> str:
    """ "24 jobs: 20 done, 4 new"."""
    counts = Counter(found.values())
    return f"{_counted(len(found))}: {', '.join(f'{counts[each]} {each}' for each in get_args(Standing) if counts[each])}"


def _folders(out: Path) -> set[str]:
    return {path.name for path in (out / JOBS_FOLDER).iterdir()} if (out / JOBS_FOLDER).is_dir() else set()


def _slug(each: Asked) -> str:
    """A readable name: the job's own id, or its sketch and prompt; and what varies around it."""
    job = each.job
    parts = [each.name] if each.name else [Path(job.sketch).stem, " ".join((job.prompt or job.prompts[0]).split()[:5])]
    for setting, value in each.swept.items():
        if setting in ("sketch", "prompt") and not each.name:
            continue
        text = Path(value).stem if isinstance(value, str) else str(value)
        parts.append(text if isinstance(value, str) else f"{setting}{text}")
    words = re.sub(r"[^a-z0-9.]+", "-", " ".join(parts).lower()).strip("-.")
    return words[:SLUG_CHARACTERS].strip("-.") or "job"


def _check_unique(jobs: Iterable[PlannedJob]) -> None:
    counts = Counter(job.id for job in jobs) + Counter(job.key for job in jobs)
    twice = [each for each, count in counts.items() if count > 1]
    if twice:  # one in four thousand million pairs of jobs of one name
        raise UserError(f"Two jobs come to the same id '{twice[0]}'.", "Give one of them an id of its own.")


def _without_hash(job: str) -> str:
    return job[: -HASH_DIGITS - 1]


def _counted(jobs: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}"
