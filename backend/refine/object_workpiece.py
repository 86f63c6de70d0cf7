"""An object in space under work: a subject, the studio that shows it, and its way to a file."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from backend.distill import methods
from backend.priors.counting import CountingPrior
from backend.refine import health
from backend.refine.descent import Descent
from backend.refine.events import Preview
from backend.refine.export import Exported, export_asset, pictures
from backend.refine.inputs import Original
from backend.refine.report import measure
from backend.refine.retexture import export_texture
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from backend.refine.texts import Texts
from backend.refine.volume_descent import VolumeDescent
from backend.refine.warm_start import warm_start
from backend.render.rasterizer import TensorPipeline
from protocol.job import RefineJob, Stage, Steer


class ObjectWorkpiece:
    """See `Workpiece`; modes sketch, prompt and texture. `original`: the file that texture mode gives back."""

    def __init__(
        self, subject: Subject, rasterizer: TensorPipeline, prior: CountingPrior, job: RefineJob, original: Original | None
    ) -> None:
        self.subject, self.prior, self.job, self.original = subject, prior, job, original
        self.studio = Studio(rasterizer, prior.card, prior.image_size_px, prior.device)
        self.notes = subject.notes

    def begin(self, stages: Sequence[Stage]) -> None:
        if self.subject.anchored_steps < 0:
            self.subject.anchored_steps = sum(stage.steps for stage in stages) // 4
        if any(methods.method(stage.method).uses_reference for stage in stages):
            self.subject.given = deepcopy(self.subject.field)

    def wants_start(self, stages: Sequence[Stage]) -> bool:
        return self.job.warm_start and self.subject.volume is None and any(stage.steps for stage in stages)

    def start(self, texts: Texts, should_stop: Callable[[], bool]) -> None:
        warm_start(self.subject, self.studio, self.prior, texts[0], self.job.seed, should_stop)

    def stepper(self, stage: Stage, first_step: int) -> Descent | VolumeDescent:
        if stage.optimise == "volume" and self.subject.volume is not None:
            return VolumeDescent(self.subject, self.studio, self.prior, stage, seed=self.job.seed, first_step=first_step)
        self.subject.settle_volume(self.job.seed)  # where a new prompt cut its stage short
        return Descent(self.subject, self.studio, self.prior, stage, seed=self.job.seed, first_step=first_step)

    def check(self, stage: Stage, step: int) -> None:
        health.check_subject(self.subject, stage, step)

    def steer(self, command: Steer) -> None:
        if command.slack is not None and self.subject.set_slack is not None:
            self.subject.set_slack(command.slack)
        if command.prompt is not None:
            self.subject.anchored_steps = 0
            self.subject.average = {}

    def preview(self, step: int) -> Preview:
        return Preview(step, *self.subject.scene_mesh())

    def finish(self) -> None:
        self.subject.settle_volume(self.job.seed)
        self.subject.settle_colours()

    def export(self, out: Path | None, should_stop: Callable[[], bool]) -> Exported:
        if self.subject.polygons is not None:
            exported = export_texture(self.subject, self.studio.rasterizer, self.job, out, self.original, should_stop)
        else:
            exported = export_asset(self.subject, self.studio, self.job, out, should_stop)
        exported.pictures = pictures(self.subject, self.studio)
        return exported

    def measure(self, exported: Exported) -> dict[str, Any]:
        return measure(self.subject, self.studio.rasterizer, exported)

    def state(self) -> dict[str, Any]:
        return self.subject.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.subject.load_state(state)
