"""One run, from a job and its inputs to files: a function of `RefineJob`, its journal and nothing else."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.distill import methods
from backend.distill.read_parameters import parse_parameters
from backend.errors import Cancelled, NumericalError, UserError
from backend.priors.card import PriorCard
from backend.priors.contract import Prior
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.refine import health
from backend.refine.checkpoint import moved, read_checkpoint, write_checkpoint
from backend.refine.control import Control
from backend.refine.descent import Descent
from backend.refine.device import choose_device
from backend.refine.distillation import check_critics
from backend.refine.estimate import estimate
from backend.refine.events import Checkpointed, Listener, Note, Preview, Steered
from backend.refine.export import Exported, export_asset, pictures, write_sheet
from backend.refine.guard import settle_shape
from backend.refine.inputs import Inputs
from backend.refine.prepare import prepare
from backend.refine.report import measure
from backend.refine.resolve import resolve
from backend.refine.result import Result
from backend.refine.retexture import export_texture
from backend.refine.runlog import RunLog
from backend.refine.steering import came_too_late, steered
from backend.refine.studio import Studio
from backend.refine.texts import roles_of, texts_of
from backend.refine.warm_start import warm_start
from backend.render.rasterizer import choose_rasterizer
from protocol.job import JournalEntry, RefineJob, Stage, Steer, encode_job

CHECK_EVERY = 25
TIDY_EVERY = 200
AVERAGED_SHARE = 0.3
CHECKPOINT = "checkpoint.pt"
LAST_GOOD = "last_good"


def refine(
    job: RefineJob,
    inputs: Inputs,
    *,
    out: Path | None = None,
    prior: Prior | None = None,
    control: Control | None = None,
    listen: Listener | None = None,
    resume: bool = False,
    keep_checkpoint: bool = False,
) -> Result:
    """Run a job to its end, or until `control` stops it; files go to `out` (None: nothing is written).

    `prior` given: already loaded weights are used instead of `job.prior`. `resume`: go on from `out`'s checkpoint; job and inputs are
    then read from it, and of the job given only a device that is not "auto" counts. The journal is the checkpoint's, and what that of
    `control` has more is replayed at its steps. `keep_checkpoint`: a finished run leaves it for the caller to remove.

    Errors: UserError (input), ResourceError (weights, disk), NumericalError (the run left the numbers it can work with; the last good
    state is exported first, to `out/last_good`, where there is one), Cancelled.
    """
    return _Run(job, inputs, out, prior, control or Control(), listen or (lambda event: None), resume, keep_checkpoint).go()


class _Run:
    def __init__(
        self,
        job: RefineJob,
        inputs: Inputs,
        out: Path | None,
        prior: Prior | None,
        control: Control,
        listen: Listener,
        resume: bool,
        keep_checkpoint: bool,
    ) -> None:
        self.log = RunLog(listen)
        self.out, self.control, self.listen, self.keep_checkpoint = out, control, listen, keep_checkpoint
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
        with self.log.phase("load"):
            self.prior = CountingPrior(prior or resolve_prior(job.prior, self.device))
        if held is not None and held["weights"] != self.prior.fingerprint():
            raise UserError(
                f"The run was begun with other weights of the prior '{self.prior.card.name}' than there are now.",
                "Put the old weights back, or start the run again.",
            )
        self.job = resolve(job, self.prior.card)
        check_critics(self.job.stages, self.prior)
        self.held = None if held is None else moved(held, self.device)
        self.stages = list(self.job.stages) if held is None else msgspec.json.decode(held["stages"], type=list[Stage])
        self.prompt: str = self.job.prompt if held is None else held["prompt"]
        self.journal: list[JournalEntry] = []
        self.tags: list[int] = []  # of the commands in the journal
        self.done = 0  # steps over all stages

    def go(self) -> Result:
        self._warn_about_words(self.prompt)
        self.texts = texts_of(self.job, self.prompt, self.stages, self.prior)
        if self.job.symmetric and "away" in roles_of(self.stages, self.prior.card):
            self.log.note(
                "Perp-Neg turns away from the words of other views, and a symmetric object has none: it only costs time.", "warning"
            )
        self.log.progress("start", self.done, self.stages, prepared=False)
        with self.log.phase("start"):
            self.subject = prepare(self.job, self.inputs, self.device)
            self.studio = Studio(self.rasterizer, self.prior.card, self.prior.image_size_px, self.device)
            if self.subject.anchored_steps < 0:
                self.subject.anchored_steps = sum(stage.steps for stage in self.stages) // 4
            if any(methods.method(stage.method).uses_reference for stage in self.stages):
                self.subject.given = deepcopy(self.subject.field)
            for note in self.subject.notes:
                self.log.note(note)
        stage_index, step, descent_state = 0, 0, None
        if self.held is not None:
            stage_index, step, descent_state = self._resume(self.held)
        else:
            self._preview()
            if self.job.warm_start and any(stage.steps for stage in self.stages):
                self.log.progress("warm start", self.done, self.stages)
                with self.log.phase("warm start"):
                    warm_start(self.subject, self.studio, self.prior, self.texts, self.job.seed, self._stops_before_stages)
                self._preview()
        if self._stops_before_stages():
            return self._stopped()
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
        if stopped in ("pause", "leave", "discard"):
            return self._stopped()
        try:
            return self._finish("finished early" if stopped else "done")
        except Cancelled:
            return self._stopped()

    def _stops_before_stages(self) -> bool:
        """Whether to end although no step was made; a run that is to finish early first gets its start colours."""
        return self.control.stop in ("pause", "leave", "discard")

    def _stopped(self) -> Result:
        if self.control.stop == "discard":
            raise Cancelled("The run was cancelled; no asset was written.")
        return self._result("paused", None)

    def _stages(self, stage_index: int, first: int, descent_state: dict[str, Any] | None) -> str:
        """Run the stages from here on; "" at the end, or how the run was told to stop."""
        estimated = False
        while stage_index < len(self.stages):
            stage = self.stages[stage_index]
            if not stage.steps:
                stage_index += 1
                continue
            method = methods.method(stage.method)
            self.log.progress(stage.name, self.done, self.stages)
            with self.log.phase(stage.name):
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
                try:
                    if descent_state is not None:
                        descent.load_state(descent_state)
                        descent_state = None
                    if not estimated:
                        # Not among the notes that are kept: it is another number each time.
                        left = [msgspec.structs.replace(stage, steps=stage.steps - first), *self.stages[stage_index + 1 :]]
                        self.listen(Note(estimate(self.asked, left, self.prior, descent, begun=self.done > 0)))
                        estimated = True
                    stopped, again = self._steps(stage_index, stage, descent, first)
                finally:
                    descent.close()
                if not stopped and again is None and descent.moves_shape:
                    health.tidy(self.subject)
                    for note in settle_shape(self.subject):
                        self.log.note(note)
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
                self.journal.append(JournalEntry(self.done, command.steer))
                self.tags.append(command.tag)
                at, passed = (stage_index, index) if again is None else (again, 0)
                restart = self._steer(command.steer, at, passed)
                again = again if restart is None else restart
                self.listen(Steered(self.done, command.steer, self.prompt, command.tag, command.replayed))
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
            # After the last step too: an export that is interrupted then costs no step.
            hold = self.job.checkpoint_every and (self.done % self.job.checkpoint_every == 0 or self.done == self.total)
            if show or hold or index % CHECK_EVERY == 0 or index == stage.steps:
                self.log.losses = self._check(watch, stage, good)
                good = self._good(stage_index, index, descent)
                self.log.progress(stage.name, self.done, self.stages)
            else:
                self.log.tick(stage.name, self.done, self.stages)
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
        self.stages, again = steered(self.stages, stage_index, index)
        self.texts = texts_of(self.job, self.prompt, self.stages, self.prior)
        return again

    @property
    def total(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def averaged_from(self) -> int:
        return int((1 - AVERAGED_SHARE) * self.total)

    def _warn_about_words(self, prompt: str) -> None:
        unknown = self.prior.unknown_words(prompt)
        if unknown:
            listed = ", ".join(f"'{word}'" for word in unknown)
            self.log.note(
                f"The prior '{self.prior.card.name}' does not know {listed}; it will paint the nearest thing it knows.", "warning"
            )

    def _good(self, stage_index: int, step: int, descent: Descent) -> dict[str, Any]:
        return {
            "stage": stage_index,
            "step": step,
            "done": self.done,
            "prompt": self.prompt,
            "stages": msgspec.json.encode(self.stages),
            "journal": msgspec.json.encode(self.journal),
            "tags": list(self.tags),
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
            "weights": self.prior.fingerprint(),
            "rows": self.prior.rows,
            "seconds": dict(self.log.seconds),
            "notes": list(self.log.notes),
            **self._good(stage_index, step, descent),
        }
        write_checkpoint(self.out / CHECKPOINT, held)
        self.listen(Checkpointed(self.done))

    def _resume(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Go on from a checkpoint, counts and unplayed commands included: as `_restore`."""
        self.prior.rows += held["rows"]
        self.log.go_on(held["notes"], held["seconds"])
        place = self._restore(held)
        self.control.go_on(self.journal, msgspec.json.decode(held["pending"], type=tuple[JournalEntry, ...]))
        unheard = []
        for command in self.control.waiting():
            if command.tag and command.tag in self.tags:  # it took effect, and whoever sent it never heard
                entry = self.journal[self.tags.index(command.tag)]
                self.listen(Steered(entry.step, entry.command, self.prompt, command.tag))
            else:
                unheard.append(command)
        self.control.give_back(unheard)
        return place

    def _restore(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Put a held state back: (stage, step, the stage's optimiser state)."""
        self.subject.load_state(held["subject"])
        self.subject.anchored_steps = held["anchored_steps"]
        stages = msgspec.json.decode(held["stages"], type=list[Stage])
        other = (held["prompt"], stages) != (self.prompt, self.stages)
        self.prompt, self.stages = held["prompt"], stages
        self.journal = msgspec.json.decode(held["journal"], type=list[JournalEntry])
        self.tags = list(held["tags"])
        self.done = held["done"]
        if other:
            self.texts = texts_of(self.job, self.prompt, self.stages, self.prior)
        return held["stage"], held["step"], held["descent"]

    def _finish(self, outcome: str) -> Result:
        self.subject.settle_colours()
        self.log.progress("export", self.done, self.stages)
        with self.log.phase("export"):
            if self.subject.polygons is not None:
                exported = export_texture(self.subject, self.studio.rasterizer, self.job, self.out, self.inputs.original, self._abandons)
            else:
                exported = export_asset(self.subject, self.studio, self.job, self.out, self._abandons)
            exported.pictures = pictures(self.subject, self.studio)
            if self.out is not None:
                write_sheet(exported, self.out)
            for note in exported.notes:
                self.log.note(note)
        self.log.progress("measure", self.done, self.stages)
        with self.log.phase("measure"):
            result = self._result(outcome, exported)
        for command in self.control.waiting():
            self.log.note(came_too_late(command.steer), "warning")
        if self.out is not None and outcome == "done" and not self.keep_checkpoint:
            (self.out / CHECKPOINT).unlink(missing_ok=True)
        if outcome != "failed":
            self.log.done(self.done, self.stages)
        return result

    def _abandons(self) -> bool:
        return self.control.abandons

    def _result(self, outcome: str, exported: Exported | None) -> Result:
        prior = {"name": self.prior.card.name, "licence": self.prior.card.licence, "weights": self.prior.fingerprint()}
        facts = measure(self.subject, self.studio.rasterizer, exported) if exported is not None else {}
        return Result(
            outcome, self.asked, self.job, tuple(self.journal), tuple(self.stages), self.done, self.prior.rows, str(self.device), prior,
            exported, facts, self.log.seconds, self.log.notes,
        )  # fmt: skip

    def _preview(self) -> None:
        if self.control.previews:
            self.listen(Preview(self.done, *self.subject.scene_mesh()))
