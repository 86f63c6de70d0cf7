"""One run, from a job and its inputs to files: a function of `RefineJob`, its journal and nothing else."""

import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.errors import Cancelled, NumericalError, UserError
from backend.priors.card import PriorCard
from backend.priors.contract import Prior
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.priors.wording import prompt_warnings
from backend.refine import health
from backend.refine.checkpoint import moved, read_checkpoint, write_checkpoint
from backend.refine.control import Control
from backend.refine.course import Course
from backend.refine.device import choose_device
from backend.refine.distillation import check_critics
from backend.refine.estimate import estimate
from backend.refine.events import Checkpointed, Listener, Note, Steered
from backend.refine.export import Exported, write_sheet
from backend.refine.image_jobs import prompts_of
from backend.refine.inputs import Inputs
from backend.refine.object_workpiece import ObjectWorkpiece
from backend.refine.picture_workpiece import PictureWorkpiece
from backend.refine.prepare import prepare
from backend.refine.resolve import resolve
from backend.refine.result import Result
from backend.refine.runlog import RunLog
from backend.refine.steering import came_too_late
from backend.refine.texts import roles_of, texts_of
from backend.refine.workpiece import Stepper, Workpiece
from backend.render.rasterizer import choose_rasterizer
from protocol.job import PICTURE_MODES, JournalEntry, RefineJob, Stage, Steer, encode_job

CHECK_EVERY = 25
CHECKPOINT_S = 120.0
"""The longest that steps go unsaved, however slow they are."""
CHECKPOINT = "checkpoint.pt"
LAST_GOOD = "last_good"
UNNAMED = "picture"
"""What a picture is called that was handed over without a name."""


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
        self.held_at = time.monotonic()
        held = read_checkpoint(out / CHECKPOINT, torch.device("cpu")) if resume and out is not None else None
        self.asked = job
        if held is not None:
            self.asked = msgspec.json.decode(held["asked"], type=RefineJob)
            resolved = msgspec.json.decode(held["job"], type=RefineJob)
            job = msgspec.structs.replace(resolved, device=resolved.device if job.device == "auto" else job.device)
            inputs = Inputs.from_state(held["inputs"])
        if inputs.picture is not None and not job.sketch:
            job = msgspec.structs.replace(job, sketch=UNNAMED)  # there is one, and stages depend on that
        self.inputs = inputs
        resolve(job, PriorCard())  # every name is checked before weights are loaded
        self.device = choose_device(job.device)
        self.rasterizer = None if job.mode in PICTURE_MODES else choose_rasterizer(job.rasterizer, self.device)
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
        self.course = Course(list(self.job.stages), self.job.prompt) if held is None else Course.from_state(held)

    def go(self) -> Result:
        self._warn_about_words()
        self.texts = texts_of(self.job, self.course.prompt, self.course.stages, self.prior)
        if self.job.symmetric and "away" in roles_of(self.course.stages, self.prior.card):
            self.log.note(
                "Perp-Neg turns away from the words of other views, and a symmetric object has none: it only costs time.", "warning"
            )
        self.log.progress("start", self.course.done, self.course.stages, prepared=False)
        with self.log.phase("start"):
            self.workpiece = self._workpiece()
            self.workpiece.begin(self.course.stages)
            for note in self.workpiece.notes:
                self.log.note(note)
        stage_index, step, held = 0, 0, None
        if self.held is not None:
            stage_index, step, held = self._resume(self.held)
        else:
            self._preview()
            if self.workpiece.wants_start(self.course.stages):
                self.log.progress("warm start", self.course.done, self.course.stages)
                with self.log.phase("warm start"):
                    self.workpiece.start(self.texts, self._stops_before_stages)
                self._preview()
        if self._stops_before_stages():
            return self._stopped()
        try:
            stopped = self._stages(stage_index, step, held)
        except NumericalError as error:
            if not self.course.done:
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

    def _workpiece(self) -> Workpiece:
        if self.rasterizer is None:
            if self.job.sketch and self.inputs.picture is None:
                raise UserError(f"The picture '{self.job.sketch}' was not handed over.", "Hand it over with the job, or name none.")
            return PictureWorkpiece(self.job, self.inputs.picture, self.prior)
        subject = prepare(self.job, self.inputs, self.device)
        return ObjectWorkpiece(subject, self.rasterizer, self.prior, self.job, self.inputs.original)

    def _stops_before_stages(self) -> bool:
        """Whether to end although no step was made; a run that is to finish early first gets its start colours."""
        return self.control.stop in ("pause", "leave", "discard")

    def _stopped(self) -> Result:
        if self.control.stop == "discard":
            raise Cancelled("The run was cancelled; no asset was written.")
        return self._result("paused", None)

    def _stages(self, stage_index: int, first: int, held: dict[str, Any] | None) -> str:
        """Run the stages from here on; "" at the end, or how the run was told to stop."""
        estimated = False
        while stage_index < len(self.course.stages):
            stage = self.course.stages[stage_index]
            if not stage.steps:
                stage_index += 1
                continue
            self.log.progress(stage.name, self.course.done, self.course.stages)
            with self.log.phase(stage.name):
                stepper = self.workpiece.stepper(stage, self.course.done - first)
                try:
                    if held is not None:
                        stepper.load_state(held)
                        held = None
                    if not estimated:
                        # Not among the notes that are kept: it is another number each time.
                        left = self.course.left(stage_index, first)
                        self.listen(Note(estimate(self.asked, left, self.prior, stepper, begun=self.course.done > 0)))
                        estimated = True
                    stopped, again = self._steps(stage_index, stage, stepper, first)
                finally:
                    stepper.close()
                if not stopped and again is None:
                    for note in stepper.settle():
                        self.log.note(note)
            if stopped:
                return stopped
            stage_index = stage_index + 1 if again is None else again
            first = 0
        return ""

    def _steps(self, stage_index: int, stage: Stage, stepper: Stepper, first: int) -> tuple[str, int | None]:
        """The steps of one stage: (how the run was told to stop, the stage to go on with where a new prompt cut this one short)."""
        watch = health.Watch(stage.steps, self.device)
        index = first
        good = self._good(stage_index, first, stepper)
        while index < stage.steps:
            again = None
            for command in self.control.commands(self.course.done):
                if again is None:
                    self._check(watch, stage, good)
                self.course.note(command)
                at, passed = (stage_index, index) if again is None else (again, 0)
                restart = self._steer(command.steer, at, passed)
                again = again if restart is None else restart
                self.listen(Steered(self.course.done, command.steer, self.course.prompt, command.tag, command.replayed))
            if again is not None:
                return "", again
            if self.control.stop:
                if self.control.stop != "discard":
                    self._check(watch, stage, good)
                    self._checkpoint(stage_index, index, stepper)
                return self.control.stop, None
            watch.note(index, stepper.step(index, self.texts, averages=self.course.averages))
            index += 1
            self.course.done += 1
            done = self.course.done
            show = self.job.preview_every and done % self.job.preview_every == 0
            # After the last step too: an export that is interrupted then costs no step.
            late = time.monotonic() - self.held_at >= CHECKPOINT_S
            hold = self.job.checkpoint_every and (late or done % self.job.checkpoint_every == 0 or done == self.course.total)
            if show or hold or index % CHECK_EVERY == 0 or index == stage.steps:
                self.log.losses = self._check(watch, stage, good)
                good = self._good(stage_index, index, stepper)
                self.log.progress(stage.name, self.course.done, self.course.stages)
            else:
                self.log.tick(stage.name, self.course.done, self.course.stages)
            if show:
                self._preview()
            if hold:
                self._checkpoint(stage_index, index, stepper)
        return "", None

    def _check(self, watch: health.Watch, stage: Stage, good: dict[str, Any]) -> dict[str, float]:
        """The losses of a healthy run; where it is not, the last good state is put back before the error goes on."""
        try:
            losses = watch.check(stage)
            self.workpiece.check(stage, self.course.done)
        except NumericalError:
            self._restore(good)
            raise
        return losses

    def _steer(self, command: Steer, stage_index: int, index: int) -> int | None:
        """Apply a command; the stage to go on with where it cuts the current one short at `index`."""
        if command.prompt is not None:
            try:
                prompts_of(self.job, command.prompt)
            except UserError as error:
                self.log.note(str(error), "warning")
                command = msgspec.structs.replace(command, prompt=None)
        if command.prompt is not None and not command.prompt.strip():
            command = msgspec.structs.replace(command, prompt=None)
        self.workpiece.steer(command)
        if command.prompt is None:
            return None
        again = self.course.turn(command.prompt, stage_index, index)
        self._warn_about_words()
        self.texts = texts_of(self.job, self.course.prompt, self.course.stages, self.prior)
        return again

    def _warn_about_words(self) -> None:
        for sentence in prompt_warnings(self.prior, *prompts_of(self.job, self.course.prompt)):
            self.log.note(sentence, "warning")

    def _good(self, stage_index: int, step: int, stepper: Stepper) -> dict[str, Any]:
        return {
            "stage": stage_index,
            "step": step,
            **self.course.state(),
            "subject": self.workpiece.state(),
            "descent": stepper.state(),
        }

    def _checkpoint(self, stage_index: int, step: int, stepper: Stepper) -> None:
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
            **self._good(stage_index, step, stepper),
        }
        write_checkpoint(self.out / CHECKPOINT, held)
        self.held_at = time.monotonic()
        self.listen(Checkpointed(self.course.done))

    def _resume(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Go on from a checkpoint, counts and unplayed commands included: as `_restore`."""
        self.prior.rows += held["rows"]
        self.log.go_on(held["notes"], held["seconds"])
        place = self._restore(held)
        self.control.go_on(self.course.journal, msgspec.json.decode(held["pending"], type=tuple[JournalEntry, ...]))
        unheard = []
        for command in self.control.waiting():
            if command.tag and command.tag in self.course.tags:  # it took effect, and whoever sent it never heard
                entry = self.course.journal[self.course.tags.index(command.tag)]
                self.listen(Steered(entry.step, entry.command, self.course.prompt, command.tag))
            else:
                unheard.append(command)
        self.control.give_back(unheard)
        return place

    def _restore(self, held: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
        """Put a held state back: (stage, step, the stage's optimiser state)."""
        self.workpiece.load_state(held["subject"])
        before, self.course = self.course, Course.from_state(held)
        if (before.prompt, before.stages) != (self.course.prompt, self.course.stages):
            self.texts = texts_of(self.job, self.course.prompt, self.course.stages, self.prior)
        return held["stage"], held["step"], held["descent"]

    def _finish(self, outcome: str) -> Result:
        self.workpiece.finish()
        self.log.progress("export", self.course.done, self.course.stages)
        with self.log.phase("export"):
            exported = self.workpiece.export(self.out, self._abandons)
            if self.out is not None:
                write_sheet(exported, self.out)
            for note in exported.notes:
                self.log.note(note)
        self.log.progress("measure", self.course.done, self.course.stages)
        with self.log.phase("measure"):
            result = self._result(outcome, exported)
        for command in self.control.waiting():
            self.log.note(came_too_late(command.steer), "warning")
        if self.out is not None and outcome == "done" and not self.keep_checkpoint:
            (self.out / CHECKPOINT).unlink(missing_ok=True)
        if outcome != "failed":
            self.log.done(self.course.done, self.course.stages)
        return result

    def _abandons(self) -> bool:
        return self.control.abandons

    def _result(self, outcome: str, exported: Exported | None) -> Result:
        prior = {"name": self.prior.card.name, "licence": self.prior.card.licence, "weights": self.prior.fingerprint()}
        facts = self.workpiece.measure(exported) if exported is not None else {}
        return Result(
            outcome, self.asked, self.job, tuple(self.course.journal), tuple(self.course.stages), self.course.done, self.prior.rows,
            str(self.device), prior, exported, facts, self.log.seconds, self.log.notes,
        )  # fmt: skip

    def _preview(self) -> None:
        if self.control.previews:
            self.listen(self.workpiece.preview(self.course.done))
