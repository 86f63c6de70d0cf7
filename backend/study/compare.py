"""A comparison: the same seed and the same budget for every method, on test beds and on a prior of pictures."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from backend.errors import UserError
from backend.priors.contract import Prior
from backend.study.beds import Bed, bed
from backend.study.budget import Budget
from backend.study.clouds import Family
from backend.study.entries import TITLES, check, chosen
from backend.study.images import PictureRun, sampled_latents
from backend.study.metrics import fit, gaussian_fit
from backend.study.outcome import Outcome
from backend.study.particles import BedRun

PICTURES = "pictures"
SAMPLE = 3000  # points of which the energy distance is taken
CHECK_EVERY = 50
NOT_BEGUN = "not begun"


class Run(Protocol):
    """A method at work on something."""

    steps_done: int
    seconds: float

    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def full_steps(self) -> int: ...
    @property
    def rows(self) -> float: ...
    def mean_rows(self) -> float: ...
    def step(self, steps: int) -> None: ...
    def is_finite(self) -> bool: ...


@dataclass(frozen=True)
class Request:
    """What to compare. `given`: settings by method over those of the bed or the prior's card. `particles` 0: as many as the bed says."""

    methods: tuple[str, ...]
    beds: tuple[str, ...]
    budget: Budget
    prior: Prior | None = None
    prompt: str = ""
    source_prompt: str = ""
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variants: bool = False
    particles: int = 0
    pictures: int = 4
    seed: int = 0


class Progress(NamedTuple):
    """Seconds done and in all, as estimated, and what is under way."""

    done_s: float
    total_s: float
    what: str


@dataclass
class Planned:
    """An entry before it runs. `steps` and `seconds` are what it is estimated to take; `reason` why it cannot run."""

    bed: str
    method: str
    title: str
    make: Callable[[], Run]
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    reason: str = ""


def plan(request: Request, *, stop: Callable[[], bool] = lambda: False) -> list[Planned]:
    """Every entry, each tried for two steps, so that what cannot run and how long the rest takes are known before anything is begun.

    Once `stop` says so, the rest is not tried and will not run. Errors: UserError for unknown methods, beds or settings.
    """
    check(request.methods, request.given, None if request.prior is None else request.prior.card)
    planned = [entry for name in request.beds for entry in _on_bed(request, bed(name, request.seed))]
    if request.prior is not None:
        planned += [_on_prior(request, request.prior, name) for name in request.methods]
    for entry in planned:
        if stop():
            entry.reason = NOT_BEGUN
        else:
            _rehearse(entry, request.budget)
    return planned


def compare(
    request: Request,
    planned: list[Planned],
    *,
    listen: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """One outcome per planned entry, in order, after the references of its group; once `stop` says so, the rest is listed as not begun."""
    done_s, total_s = 0.0, sum(entry.seconds for entry in planned)
    beds = {name: bed(name, request.seed) for name in request.beds}
    outcomes: list[Outcome] = []
    groups: set[str] = set()
    for entry in planned:
        if entry.bed not in groups:
            groups.add(entry.bed)
            outcomes += _references(request, beds.get(entry.bed))
        outcome = Outcome(entry.bed, entry.method, entry.title, entry.settings, reason=entry.reason)
        outcomes.append(outcome)
        if entry.reason:
            continue
        if stop():
            outcome.reason = NOT_BEGUN
            continue
        run = entry.make()
        try:
            _go(run, entry, outcome, request.budget, partial(_tell, listen, done_s, total_s, entry), stop)
            _measure(run, outcome, beds.get(entry.bed), request.seed)
        finally:
            _close(run)
        done_s += entry.seconds
        _tell(listen, done_s, total_s, entry, 0.0)
    return outcomes


def _tell(listen: Callable[[Progress], None], done_s: float, total_s: float, entry: Planned, share: float) -> None:
    listen(Progress(done_s + share * entry.seconds, total_s, f"{entry.bed}: {entry.title}"))


def _go(run: Run, entry: Planned, outcome: Outcome, budget: Budget, tell: Callable[[float], None], stop: Callable[[], bool]) -> None:
    told = time.monotonic()
    while budget.allows(run.steps_done, run.rows, entry.steps):
        if stop():
            outcome.reason = f"stopped at step {run.steps_done} of {entry.steps}"
            break
        run.step(entry.steps)
        if run.steps_done % CHECK_EVERY == 0 and not run.is_finite():
            break
        if time.monotonic() - told > 0.1:
            told = time.monotonic()
            tell(min(1.0, run.steps_done / entry.steps))
    if not run.is_finite():
        outcome.reason = f"left the finite numbers by step {run.steps_done}"


def _measure(run: Run, outcome: Outcome, on: Bed | None, seed: int) -> None:
    outcome.steps, outcome.rows, outcome.seconds = run.steps_done, run.rows, run.seconds
    if not run.is_finite():
        return
    if isinstance(run, PictureRun):
        outcome.pictures = run.pictures()
    elif isinstance(run, BedRun) and on is not None:
        points = run.cloud.points(SAMPLE)
        outcome.points, outcome.fit = points, fit(points, on.target(SAMPLE, seed), on)
        if isinstance(run.cloud, Family):
            mean, covariance = run.cloud.moments
            outcome.gaussian = gaussian_fit(mean, covariance, on)


def _references(request: Request, on: Bed | None) -> list[Outcome]:
    """On a bed: a fresh sample of the target, and the start. On a prior: its own sampler."""
    if on is None:
        assert request.prior is not None
        latents = sampled_latents(request.prior, request.prompt, request.pictures, request.seed)
        return [Outcome(PICTURES, "", "the prior's own sampler", pictures=request.prior.decode(latents).cpu())]
    target = on.target(SAMPLE, request.seed)
    count = SAMPLE if on.is_family else request.particles or on.particles
    both = (("target", on.sample(SAMPLE, request.seed)), ("start", on.start(count, request.seed)))
    made = [Outcome(on.name, "", title, points=points, fit=fit(points, target, on)) for title, points in both]
    if on.is_family:
        made[1].gaussian = gaussian_fit(on.start_mean, on.start_root @ on.start_root.mT, on)
    return made


def _on_bed(request: Request, on: Bed) -> list[Planned]:
    count = request.particles or on.particles
    return [
        Planned(on.name, entry.method, entry.title, partial(BedRun, on, entry, particles=count, seed=request.seed))
        for entry in chosen(on.name, request.methods, request.given, variants=request.variants)
    ]


def _on_prior(request: Request, prior: Prior, name: str) -> Planned:
    def make() -> Run:
        return PictureRun(
            prior,
            name,
            request.given.get(name, {}),
            request.prompt,
            count=request.pictures,
            seed=request.seed,
            source_prompt=request.source_prompt,
        )

    return Planned(PICTURES, name, TITLES[name], make)


def _rehearse(entry: Planned, budget: Budget) -> None:
    try:
        run = entry.make()
    except UserError as error:  # of this entry alone; names and settings were checked before
        entry.reason = str(error)
        return
    try:
        entry.settings = run.settings
        entry.steps = budget.steps(run.mean_rows(), run.full_steps)
        run.step(entry.steps)
        before = run.seconds
        run.step(entry.steps)
        entry.seconds = (run.seconds - before) * entry.steps
    finally:
        _close(run)


def _close(run: Run) -> None:
    if isinstance(run, PictureRun):
        run.close()
