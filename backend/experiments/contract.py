"""What an experiment is: cells of work that do not depend on each other, and what their numbers say together."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import torch

from backend.errors import UserError
from backend.evaluate.clip_similarity import ClipSimilarity, load_clip
from backend.priors.card import PriorCard
from backend.priors.contract import Prior

Size = Literal["quick", "full"]
TIMED_ROWS = 8


@dataclass(frozen=True)
class Plan:
    """What was asked for. Zero and () mean: as the experiment sets it for this size; `pick` chooses."""

    card: PriorCard
    size: Size = "full"
    seeds: int = 0
    captions: int = 0
    steps: int = 0
    methods: tuple[str, ...] = ()
    equal: Literal["", "rows", "steps"] = ""  # what every method gets the same number of

    def pick(self, asked: int, *, quick: int, full: int) -> int:
        """A number that was asked for, or else the experiment's own."""
        return asked or (quick if self.size == "quick" else full)

    def chosen(self, offered: Sequence[str]) -> tuple[str, ...]:
        """The methods asked for, in the order of `offered`, or all of it. UserError for one that the experiment does not have."""
        for name in self.methods:
            if name not in offered:
                raise UserError(f"This experiment has no '{name}'.", f"It has {', '.join(offered)}.")
        return tuple(name for name in offered if not self.methods or name in self.methods)

    def refuse(self, experiment: str, *options: Literal["captions", "methods", "equal"]) -> None:
        """UserError for the first of `options`, which the experiment does not have, that was asked for all the same."""
        for option in options:
            if getattr(self, option):
                raise UserError(f"The experiment '{experiment}' has no option --{option}.", "Leave it out.")

    def refuse_single(self) -> None:
        """UserError where one caption was asked for."""
        if self.captions == 1:
            raise UserError("The distance between two sets of pictures needs more than one picture.", "Give --captions 2 or more.")


class Cell(NamedTuple):
    """One piece of work. Its outcome depends on `spec` (plain JSON values) and the weights alone; `name` is for people."""

    name: str
    spec: Mapping[str, Any]


class Result(NamedTuple):
    """What came of a cell: `values` are plain JSON values, empty if `failure` says why there are none."""

    cell: Cell
    values: Mapping[str, Any]
    failure: str = ""
    seconds: float = 0.0


class Spread(NamedTuple):
    """Mean and standard deviation (n - 1) over repetitions; the deviation of a single one is 0."""

    mean: float
    deviation: float
    repetitions: int


@dataclass(frozen=True)
class Table:
    """A table of what was measured. An entry is a text, a number, a `Spread`, or None where there is nothing.

    `digits`: after the point, of the numbers of a column; 3 where it says nothing. `note` stands below. A table that is not `on_page` is
    too long for one and comes as CSV alone.
    """

    name: str  # of the file, like a variable
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | int | float | Spread | None]]
    digits: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    on_page: bool = True


class Costs(NamedTuple):
    """Measured seconds on this machine, per row or picture in a batch of `TIMED_ROWS`."""

    row: float  # one denoiser row
    encode: float  # with its way back
    decode: float


@dataclass
class Context:
    """What a cell may use. `tell` takes the share of the cell that is done, 0..1. Files that a cell makes go below `folder`, with the
    cell's `key` in their names, so that cells of other plans keep theirs."""

    prior: Prior
    folder: Path
    plan: Plan
    tell: Callable[[float], None] = lambda share: None
    clip: str = ""  # folder of a CLIP model of the user's own
    key: str = ""
    held: dict[str, Any] = field(default_factory=dict)  # what cells share and is dear to make

    @cached_property
    def costs(self) -> Costs:
        """Measured once, at the first question: about 6 denoiser calls."""
        prior = self.prior
        latents = torch.zeros(TIMED_ROWS, *prior.latent_shape, device=prior.device)
        levels = torch.full((TIMED_ROWS,), prior.timesteps // 2)
        condition = prior.embed([""]).expand(TIMED_ROWS)
        picture = torch.zeros(TIMED_ROWS, 3, prior.image_size_px, prior.image_size_px, device=prior.device, requires_grad=True)

        def best(work: Callable[[], object]) -> float:
            return min(_seconds(work, prior.device) for _ in range(3)) / TIMED_ROWS

        def encode() -> None:
            with torch.enable_grad():
                prior.encode(picture).sum().backward()

        return Costs(best(lambda: prior.predict_noise(latents, levels, condition)), best(encode), best(lambda: prior.decode(latents)))

    @cached_property
    def clip_model(self) -> ClipSimilarity:
        """Of the folder `clip`. Errors: as `load_clip`."""
        return load_clip(self.clip, self.prior.device)

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made by the first cell that asks under this name."""
        if name not in self.held:
            self.held[name] = make()
        return self.held[name]

    def file(self, *parts: str) -> Path:
        """A place below the folder, whose own folder is there; `path.relative_to(context.folder)` belongs into the cell's values."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class Experiment(Protocol):
    """A value named `EXPERIMENT` in its module, which `registry` lists by name.

    Cells run in the order of `cells`, one at a time; a finished one is not run again while its spec and the weights are the same. What
    is measured in another way than before therefore needs another spec: a `"version"` in it.
    """

    name: str
    title: str

    def cells(self, plan: Plan) -> Sequence[Cell]:
        """All of the work, without doing any. UserError for a plan that the experiment cannot follow."""
        ...

    def seconds(self, cell: Cell, context: Context) -> float:
        """How long the cell will take on this machine, roughly; `context.costs` has the times of the prior."""
        ...

    def run(self, cell: Cell, context: Context) -> dict[str, Any]:
        """The numbers of one cell, and paths relative to `context.folder`, as plain JSON values. Seeded by the spec alone.

        An error becomes the cell's failure, by its sentence, and the other cells go on.
        """
        ...

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """From all results there are, failures among them, in the order of `cells`; some cells may not have run yet."""
        ...

    def figures(self, results: Sequence[Result], folder: Path) -> Sequence[Path]:
        """PNG files in `folder`, of the same results; none if there is nothing to show."""
        ...


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
