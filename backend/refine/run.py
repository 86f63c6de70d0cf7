"""One run, from a job and its inputs to files: a function of `RefineJob`, its journal and nothing else."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from backend.distill import methods
from backend.distill.contract import Role
from backend.distill.parameters import parse_parameters
from backend.distill.prompts import PromptBank
from backend.errors import Cancelled, NumericalError
from backend.priors.contract import Prior
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.refine import health
from backend.refine.checkpoint import read_checkpoint, write_checkpoint
from backend.refine.control import Control
from backend.refine.descent import Descent
from backend.refine.device import choose_device
from backend.refine.events import Listener, Note, Preview, Progress
from backend.refine.export import Exported, export_asset, pictures, write_sheet
from backend.refine.guard import settle_shape
from backend.refine.inputs import Inputs
from backend.refine.prepare import prepare
from backend.refine.report import measure
from backend.refine.resolve import resolve
from backend.refine.retexture import export_texture
from backend.refine.studio import Studio
from backend.refine.warm_start import warm_start
from backend.render.rasterizer import choose_rasterizer
from protocol.job import JournalEntry, RefineJob, Stage, Steer, Timesteps, encode_job

CHECK_EVERY = 25
TIDY_EVERY = 200
AVERAGED_SHARE = 0.3
STEERED_STEPS = 150
STEERED_HIGH = 0.8
CHECKPOINT = "checkpoint.pt"
# Rough costs in colour steps, for the estimate of the remaining time only.
PREPARE_COST, EXPORT_COST, SHAPE_STEP_COST = 40.0, 100.0, 1.6


@dataclass
class Result:
    """What a run ended with. `outcome`: "done", "finished early" (asked to stop, exported all the same) or "paused" (checkpoint only)."""

    outcome: str
    asked: RefineJob
    job: RefineJob  # resolved: every stage and parameter written out
    journal: tuple[JournalEntry, ...]
    steps_done: int
    rows: int  # of the denoiser
    device: str
    prior: dict[str, str]
    exported: Exported | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def refine(
    job: RefineJob,
    inputs: Inputs,
    *,
    out: Path | None = None,
    prior: Prior | None = None,
    control: Control | None = None,
    listen: Listener | None = None,
    resume: bool = False,
) -> Result:
    """Run a job to its end, or until `control` stops it; files go to `out` (None: nothing is written).

    `prior` given: already loaded weights are used instead of `job.prior`. `resume`: go on from `out`'s checkpoint; job, inputs and
    journal are then read from it and the ones given are ignored.

    Errors: UserError (input), ResourceError (weights, disk), NumericalError (the run left the numbers it can work with; the last good
    state is exported first where there is one), Cancelled.
    """
    return _Run(job, inputs, out, prior, control or Control(), listen or (lambda event: None), resume).go()


class _Run:
    def __init__(
        self, job: RefineJob, inputs: Inputs, out: Path | None, prior: Prior | None, control: Control, listen: Listener, resume: bool
    ) -> None:
        self.began = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        self.out, self.control, self.listen = out, control, listen
        self.device = choose_device(job.device)
        held = read_checkpoint(out / CHECKPOINT, self.device) if resume and out is not None else None
        if held is not None:
            job = msgspec.json.decode(held["job"], type=RefineJob)
            inputs = Inputs.from_state(held["inputs"])
        self.inputs = inputs
        with self._phase("load"):
            self.prior = CountingPrior(prior or resolve_prior(job.prior, self.device))
        self.asked = job
        self.job = resolve(job, self.prior.card)
        self.stages = list(self.job.stages)
        self.journal: list[JournalEntry] = []
        self.held = held
        self.prompt = self.job.prompt
        self.done = 0  # steps over all stages

    def go(self) -> Result:
        self._warn_about_words(self.prompt)
        with self._phase("start"):
            self.subject = prepare(self.job, self.inputs, self.device)
            self.studio = Studio(
                choose_rasterizer(self.job.rasterizer, self.device), self.prior.card, self.prior.image_size_px, self.device
            )
            if self.subject.anchored_steps < 0:
                self.subject.anchored_steps = sum(stage.steps for stage in self.stages) // 4
            for note in self.subject.notes:
                self._note(note)
        stage_index, step, descent_state = 0, 0, None
        self.texts = self._texts()
        if self.held is not None:
            stage_index, step, descent_state = self._restore(self.held)
        else:
            self._preview()
            if self.job.warm_start and any(stage.steps for stage in self.stages):
                with self._phase("warm start"):
                    warm_start(self.subject, self.studio, self.prior, self.texts, self.job.seed)
                self._preview()
        try:
            stopped = self._stages(stage_index, step, descent_state)
        except NumericalError:
            if self.done:
                self._finish("failed")
            raise
        if stopped == "discard":
            raise Cancelled("The run was cancelled; nothing was written.")
        if stopped == "pause":
            return self._result("paused", None)
        return self._finish("finished early" if stopped else "done")

    def _stages(self, stage_index: int, first: int, descent_state: dict[str, Any] | None) -> str:
        """Run the stages from here on; "" at the end, or how the run was told to stop."""
        while stage_index < len(self.stages):
            stage = self.stages[stage_index]
            method = methods.method(stage.method)
            with self._phase(stage.name):
                descent = Descent(
                    self.subject,
                    self.studio,
                    self.prior,
                    method,
                    parse_parameters(stage.method, stage.parameters, self.prior.card),
                    stage,
                    seed=self.job.seed,
                    first_step=self.done - first,
                )
                if descent_state is not None:
                    descent.load_state(descent_state)
                    descent_state = None
                stopped, steered = self._steps(stage_index, stage, descent, first)
                if not stopped and not steered and descent.moves_shape:
                    health.tidy(self.subject)
                    for note in settle_shape(self.subject):
                        self._note(note)
            if stopped:
                return stopped
            if not steered:
                stage_index += 1
            first = 0
        return ""

    def _steps(self, stage_index: int, stage: Stage, descent: Descent, first: int) -> tuple[str, bool]:
        """The steps of one stage: (how the run was told to stop, whether a new prompt cut the stage short)."""
        watch = health.Watch(stage.steps, self.device)
        index = first
        good = self._good(stage_index, first, descent)
        while index < stage.steps:
            for command in self.control.commands(self.done):
                self.journal.append(JournalEntry(self.done, command))
                if self._steer(command, stage_index, index):
                    return "", True
            if self.control.stop:
                if self.control.stop != "discard":
                    self._check(watch, stage, good)
                    self._checkpoint(stage_index, index, descent)
                return self.control.stop, False
            report = descent.step(index, self.texts)
            watch.note(index, report)
            index += 1
            self.done += 1
            if descent.moves_colour and self.done > self.averaged_from:
                self.subject.average_colours()
            if descent.moves_shape and index % TIDY_EVERY == 0 and index < stage.steps:
                health.tidy(self.subject)
            if index % CHECK_EVERY == 0 or index == stage.steps:
                losses = self._check(watch, stage, good)
                good = self._good(stage_index, index, descent)
                self._progress(stage.name, losses)
            if self.job.preview_every and self.done % self.job.preview_every == 0:
                self._preview()
            if self.job.checkpoint_every and self.done % self.job.checkpoint_every == 0:
                self._checkpoint(stage_index, index, descent)
        return "", False

    def _check(self, watch: health.Watch, stage: Stage, good: dict[str, Any]) -> dict[str, float]:
        """The losses of a healthy run; where it is not, the last good state is put back before the error goes on."""
        try:
            losses = watch.check(stage)
            health.check_subject(self.subject, stage, self.done)
        except NumericalError:
            self._restore(good)
            raise
        return losses

    def _steer(self, command: Steer, stage_index: int, index: int) -> bool:
        """Apply a command; True where it starts the current stage over (refinement.md 6)."""
        if command.slack is not None and self.subject.set_slack is not None:
            self.subject.set_slack(command.slack)
        if command.prompt is None or not command.prompt.strip():
            return False
        self.prompt = command.prompt
        self._warn_about_words(self.prompt)
        self.texts = self._texts()
        self.subject.anchored_steps = 0
        self.subject.average = {}
        first = next((stage for stage in self.stages if stage.method == "sds"), self.stages[0])
        rest = self.stages[stage_index:]
        left = rest[0].steps - index if rest[0].method == first.method else STEERED_STEPS
        again = msgspec.structs.replace(
            first,
            name="steered",
            optimise="colour",
            steps=max(STEERED_STEPS, left),
            timesteps=Timesteps(kind=first.timesteps.kind, low=first.timesteps.low, high=(max(STEERED_HIGH, first.timesteps.high[0]), 0.5)),
        )
        after = rest[1:] if rest[0].method == first.method else rest
        self.stages = self.stages[:stage_index] + [again, *after]
        return True

    @property
    def averaged_from(self) -> int:
        return int((1 - AVERAGED_SHARE) * sum(stage.steps for stage in self.stages))

    def _texts(self) -> PromptBank:
        """Every text the run's methods read, embedded."""
        roles: dict[Role, None] = {"target": None, "null": None}
        for stage in self.stages:
            parameters = parse_parameters(stage.method, stage.parameters, self.prior.card)
            roles |= dict.fromkeys(methods.method(stage.method).roles(parameters))
        return PromptBank(self.prior, self.prompt, roles, clay=any(stage.shading.clay > 0 for stage in self.stages))

    def _warn_about_words(self, prompt: str) -> None:
        unknown = self.prior.unknown_words(prompt)
        if unknown:
            listed = ", ".join(f"'{word}'" for word in unknown)
            self._note(f"The prior '{self.prior.card.name}' does not know {listed}; it will paint the nearest thing it knows.", "warning")

    def _good(self, stage_index: int, step: int, descent: Descent) -> dict[str, Any]:
        return {
            "stage": stage_index,
            "step": step,
            "done": self.done,
            "prompt": self.prompt,
            "stages": msgspec.json.encode(self.stages),
            "journal": msgspec.json.encode(self.journal),
            "anchored_steps": self.subject.anchored_steps,
            "subject": self.subject.state(),
            "descent": descent.state(),
        }

    def _checkpoint(self, stage_index: int, step: int, descent: Descent) -> None:
        if self.out is None:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        held = {"job": encode_job(self.asked), "inputs": self.inputs.state(), **self._good(stage_index, step, descent)}
        write_checkpoint(self.out / CHECKPOINT, held)

    def _restore(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Put a held state back: (stage, step, the stage's optimiser state)."""
        self.subject.load_state(held["subject"])
        self.subject.anchored_steps = held["anchored_steps"]
        self.stages = msgspec.json.decode(held["stages"], type=list[Stage])
        self.journal = msgspec.json.decode(held["journal"], type=list[JournalEntry])
        self.done = held["done"]
        if held["prompt"] != self.prompt:
            self.prompt = held["prompt"]
            self.texts = self._texts()
        return held["stage"], held["step"], held["descent"]

    def _finish(self, outcome: str) -> Result:
        self.subject.settle_colours()
        with self._phase("export"):
            self._progress("export", {})
            if self.subject.polygons is not None:
                exported = export_texture(self.subject, self.studio.rasterizer, self.job, self.out, self.inputs.original)
            else:
                exported = export_asset(self.subject, self.studio, self.job, self.out, lambda: self.control.stop == "discard")
            exported.pictures = pictures(self.subject, self.studio)
            if self.out is not None:
                write_sheet(exported, self.out)
            for note in exported.notes:
                self._note(note)
        with self._phase("measure"):
            result = self._result(outcome, exported)
        if self.out is not None and outcome == "done":
            (self.out / CHECKPOINT).unlink(missing_ok=True)
        total = sum(stage.steps for stage in self.stages)
        elapsed = time.perf_counter() - self.began
        self.listen(Progress("done", total, total, 1.0, elapsed, 0.0))
        return result

    def _result(self, outcome: str, exported: Exported | None) -> Result:
        job = msgspec.structs.replace(self.job, stages=tuple(self.stages))
        prior = {"name": self.prior.card.name, "licence": self.prior.card.licence, "weights": self.prior.fingerprint()}
        facts = measure(self.subject, self.studio.rasterizer, exported) if exported is not None else {}
        return Result(
            outcome, self.asked, job, tuple(self.journal), self.done, self.prior.rows, str(self.device), prior, exported, facts,
            self.seconds, self.notes,
        )  # fmt: skip

    def _phase(self, name: str) -> "_Phase":
        return _Phase(self.seconds, name)

    def _note(self, text: str, level: str = "note") -> None:
        self.notes.append(text)
        self.listen(Note(text, level))

    def _preview(self) -> None:
        self.listen(Preview(self.done, *self.subject.scene_mesh()))

    def _progress(self, phase: str, losses: dict[str, float]) -> None:
        cost = [stage.steps * (SHAPE_STEP_COST if stage.optimise != "colour" else 1.0) for stage in self.stages]
        total = PREPARE_COST + sum(cost) + EXPORT_COST
        passed, left = PREPARE_COST, self.done
        for stage, whole in zip(self.stages, cost, strict=True):
            share = min(1.0, left / stage.steps) if stage.steps else 0.0
            passed += share * whole
            left = max(0, left - stage.steps)
        fraction = min(0.999, passed / total)
        elapsed = time.perf_counter() - self.began
        steps = sum(stage.steps for stage in self.stages)
        self.listen(Progress(phase, self.done, steps, fraction, elapsed, elapsed * (1 - fraction) / fraction, losses))


class _Phase:
    """Adds the seconds of a `with` block to a table under one name."""

    def __init__(self, table: dict[str, float], name: str) -> None:
        self.table, self.name = table, name

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.table[self.name] = round(self.table.get(self.name, 0.0) + time.perf_counter() - self.began, 3)
