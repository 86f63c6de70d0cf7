"""One run, from a job and its inputs to files: a function of `RefineJob`, its journal and nothing else."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.distill import methods
from backend.distill.contract import Role
from backend.distill.parameters import parse_parameters
from backend.distill.prompts import PromptBank
from backend.errors import Cancelled, NumericalError
from backend.priors.card import PriorCard
from backend.priors.contract import Prior
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.refine import health
from backend.refine.checkpoint import moved, read_checkpoint, write_checkpoint
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
LAST_GOOD = "last_good"
# Rough costs in colour steps, for the estimate of the remaining time only.
PREPARE_COST, EXPORT_COST, SHAPE_STEP_COST = 40.0, 100.0, 1.6


@dataclass
class Result:
    """What a run ended with. `outcome`: "done", "finished early" (asked to stop, exported all the same) or "paused" (checkpoint only)."""

    outcome: str
    asked: RefineJob
    job: RefineJob  # resolved: its stages written out; with the journal it repeats the run
    journal: tuple[JournalEntry, ...]
    ran: tuple[Stage, ...]  # the stages after all steering, cut where they were cut short
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
    journal are then read from it, and of the job given only a device that is not "auto" counts.

    Errors: UserError (input), ResourceError (weights, disk), NumericalError (the run left the numbers it can work with; the last good
    state is exported first, to `out/last_good`, where there is one), Cancelled.
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
        held = read_checkpoint(out / CHECKPOINT, torch.device("cpu")) if resume and out is not None else None
        self.asked = job
        if held is not None:
            self.asked = msgspec.json.decode(held["asked"], type=RefineJob)
            resolved = msgspec.json.decode(held["job"], type=RefineJob)
            job = msgspec.structs.replace(resolved, device=resolved.device if job.device == "auto" else job.device)
            inputs = Inputs.from_state(held["inputs"])
        self.inputs = inputs
        resolve(job, PriorCard())  # every name is checked before weights are loaded
        self.device = choose_device(job.device)
        self.rasterizer = choose_rasterizer(job.rasterizer, self.device)
        with self._phase("load"):
            self.prior = CountingPrior(prior or resolve_prior(job.prior, self.device))
        self.job = resolve(job, self.prior.card)
        self.held = None if held is None else moved(held, self.device)
        self.stages = list(self.job.stages) if held is None else msgspec.json.decode(held["stages"], type=list[Stage])
        self.prompt: str = self.job.prompt if held is None else held["prompt"]
        self.journal: list[JournalEntry] = []
        self.done = 0  # steps over all stages

    def go(self) -> Result:
        self._warn_about_words(self.prompt)
        with self._phase("start"):
            self.subject = prepare(self.job, self.inputs, self.device)
            self.studio = Studio(self.rasterizer, self.prior.card, self.prior.image_size_px, self.device)
            if self.subject.anchored_steps < 0:
                self.subject.anchored_steps = sum(stage.steps for stage in self.stages) // 4
            for note in self.subject.notes:
                self._note(note)
        stage_index, step, descent_state = 0, 0, None
        self.texts = self._texts()
        if self.held is not None:
            stage_index, step, descent_state = self._resume(self.held)
        else:
            self._preview()
            if self.job.warm_start and any(stage.steps for stage in self.stages):
                with self._phase("warm start"):
                    warm_start(self.subject, self.studio, self.prior, self.texts, self.job.seed)
                self._preview()
        try:
            stopped = self._stages(stage_index, step, descent_state)
        except NumericalError as error:
            if not self.done:
                raise
            # Beside, not over, an older asset: nobody asked to replace it by half of one.
            self.out = None if self.out is None else self.out / LAST_GOOD
            self._finish("failed")
            where = "" if self.out is None else f" The last good state lies in '{self.out}'."
            raise NumericalError(error.sentence, error.hint + where) from error
        if stopped == "discard":
            raise Cancelled("The run was cancelled; no asset was written.")
        if stopped == "pause":
            return self._result("paused", None)
        return self._finish("finished early" if stopped else "done")

    def _stages(self, stage_index: int, first: int, descent_state: dict[str, Any] | None) -> str:
        """Run the stages from here on; "" at the end, or how the run was told to stop."""
        while stage_index < len(self.stages):
            stage = self.stages[stage_index]
            if not stage.steps:
                stage_index += 1
                continue
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
                stopped, again = self._steps(stage_index, stage, descent, first)
                if not stopped and again is None and descent.moves_shape:
                    health.tidy(self.subject)
                    for note in settle_shape(self.subject):
                        self._note(note)
            if stopped:
                return stopped
            stage_index = stage_index + 1 if again is None else again
            first = 0
        return ""

    def _steps(self, stage_index: int, stage: Stage, descent: Descent, first: int) -> tuple[str, int | None]:
        """The steps of one stage: (how the run was told to stop, the stage to go on with where a new prompt cut this one short)."""
        watch = health.Watch(stage.steps, self.device)
        index = first
        good = self._good(stage_index, first, descent)
        while index < stage.steps:
            again = None
            for command in self.control.commands(self.done):
                if again is None:
                    self._check(watch, stage, good)
                self.journal.append(JournalEntry(self.done, command))
                at, passed = (stage_index, index) if again is None else (again, 0)
                restart = self._steer(command, at, passed)
                again = again if restart is None else restart
            if again is not None:
                return "", again
            if self.control.stop:
                if self.control.stop != "discard":
                    self._check(watch, stage, good)
                    self._checkpoint(stage_index, index, descent)
                return self.control.stop, None
            report = descent.step(index, self.texts)
            watch.note(index, report)
            index += 1
            self.done += 1
            if descent.moves_colour and self.done > self.averaged_from:
                self.subject.average_colours()
            if descent.moves_shape and index % TIDY_EVERY == 0 and index < stage.steps:
                health.tidy(self.subject)
            show = self.job.preview_every and self.done % self.job.preview_every == 0
            hold = self.job.checkpoint_every and self.done % self.job.checkpoint_every == 0
            if show or hold or index % CHECK_EVERY == 0 or index == stage.steps:
                losses = self._check(watch, stage, good)
                good = self._good(stage_index, index, descent)
                self._progress(stage.name, losses)
            if show:
                self._preview()
            if hold:
                self._checkpoint(stage_index, index, descent)
        return "", None

    def _check(self, watch: health.Watch, stage: Stage, good: dict[str, Any]) -> dict[str, float]:
        """The losses of a healthy run; where it is not, the last good state is put back before the error goes on."""
        try:
            losses = watch.check(stage)
            health.check_subject(self.subject, stage, self.done)
        except NumericalError:
            self._restore(good)
            raise
        return losses

    def _steer(self, command: Steer, stage_index: int, index: int) -> int | None:
        """Apply a command; the stage to go on with where it cuts the current one short at `index` (refinement.md 6)."""
        if command.slack is not None and self.subject.set_slack is not None:
            self.subject.set_slack(command.slack)
        if command.prompt is None or not command.prompt.strip():
            return None
        self.prompt = command.prompt
        self._warn_about_words(self.prompt)
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
        before = self.stages[:stage_index] + ([msgspec.structs.replace(rest[0], steps=index)] if index else [])
        self.stages = [*before, again, *after]
        self.texts = self._texts()
        return len(before)

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
        held = {
            "asked": encode_job(self.asked),
            "job": encode_job(self.job),
            "inputs": self.inputs.state(),
            "pending": msgspec.json.encode(self.control.pending),
            "rows": self.prior.rows,
            "seconds": dict(self.seconds),
            "notes": list(self.notes),
            **self._good(stage_index, step, descent),
        }
        write_checkpoint(self.out / CHECKPOINT, held)

    def _resume(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Go on from a checkpoint, counts and unplayed commands included: as `_restore`."""
        self.control.replay(msgspec.json.decode(held["pending"], type=tuple[JournalEntry, ...]))
        self.prior.rows += held["rows"]
        self.notes = [*held["notes"], *(note for note in self.notes if note not in held["notes"])]
        for name, passed in held["seconds"].items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + passed, 3)
        return self._restore(held)

    def _restore(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Put a held state back: (stage, step, the stage's optimiser state)."""
        self.subject.load_state(held["subject"])
        self.subject.anchored_steps = held["anchored_steps"]
        stages = msgspec.json.decode(held["stages"], type=list[Stage])
        other = (held["prompt"], stages) != (self.prompt, self.stages)
        self.prompt, self.stages = held["prompt"], stages
        self.journal = msgspec.json.decode(held["journal"], type=list[JournalEntry])
        self.done = held["done"]
        if other:
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
        if outcome != "failed":
            total = sum(stage.steps for stage in self.stages)
            self.listen(Progress("done", self.done, total, 1.0, time.perf_counter() - self.began, 0.0))
        return result

    def _result(self, outcome: str, exported: Exported | None) -> Result:
        prior = {"name": self.prior.card.name, "licence": self.prior.card.licence, "weights": self.prior.fingerprint()}
        facts = measure(self.subject, self.studio.rasterizer, exported) if exported is not None else {}
        return Result(
            outcome, self.asked, self.job, tuple(self.journal), tuple(self.stages), self.done, self.prior.rows, str(self.device), prior,
            exported, facts, self.seconds, self.notes,
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
