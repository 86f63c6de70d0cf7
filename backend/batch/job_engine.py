"""A batch's jobs on one device: files in, and in the job's folder what `sketchbridge refine --out` leaves."""

import json
from pathlib import Path

import msgspec

from backend.batch.attempts import MEMORY
from backend.batch.check_job import card_of
from backend.batch.peak_memory import PeakMemory
from backend.errors import SketchBridgeError
from backend.gallery.collect import REPORT_FILE
from backend.refine.inputs import Inputs
from backend.refine.read_inputs import read_inputs
from backend.refine.report import write_report
from backend.refine.resolve import resolve
from backend.refine.result import Result
from backend.serve.engine import Engine, is_out_of_memory
from backend.serve.orders import Ended, Run
from backend.serve.results import artefact_of
from backend.serve.run_words import Tell
from backend.serve.worker_link import Assignment
from protocol.job import RefineJob, job_from
from protocol.messages import Artefact, Fault


class JobEngine(Engine):
    """Runs the jobs of a batch; `report.json` is written last, and only then is a job finished."""

    def run(self, assignment: Assignment, tell: Tell) -> Ended:
        """As a server's engine; a run that wanted too much memory says in `resolved` what to try instead, if anything is left to try."""
        self._peak = PeakMemory(self.device)
        ended = super().run(assignment, tell)
        if ended.fault is None or ended.fault.code != MEMORY:
            return ended
        return msgspec.structs.replace(ended, resolved=with_fewer_views(assignment.run.job))

    def finished(self, folder: Path) -> Ended | None:
        path = folder / REPORT_FILE
        if not path.is_file():
            return None
        report = json.loads(path.read_bytes())
        steps = sum(stage[2] for stage in report["ran"])
        return Ended(outcome="done", step=report["steps"], steps=steps, resolved=job_from(report["resolved"]), results=(artefact_of(path),))

    def inputs(self, run: Run) -> Inputs:
        return read_inputs(run.job)

    def asked(self, run: Run) -> RefineJob:
        return msgspec.structs.replace(run.job, device=str(self.device))

    def leave(self, result: Result, folder: Path) -> tuple[Artefact, ...]:
        result.facts["peak_memory_mib"] = round(self._peak.bytes() / 2**20, 1) or None
        assert result.exported is not None
        report = write_report(result, folder)
        return tuple(artefact_of(path) for path in (*result.exported.files, report) if path.parent == folder)

    def seal(self, ended: Ended, folder: Path) -> None:
        """The report is the seal."""

    def _fault(self, error: Exception) -> Fault:
        fault = super()._fault(error)
        return msgspec.structs.replace(fault, code=MEMORY) if is_out_of_memory(error) else fault


def with_fewer_views(job: RefineJob) -> RefineJob | None:
    """The same job with half the views in every step; None where one view is all there is."""
    try:
        resolved = resolve(job, card_of(job.prior))
    except SketchBridgeError:
        return None
    stages = tuple(msgspec.structs.replace(stage, views=max(1, stage.views // 2)) for stage in resolved.stages)
    return msgspec.structs.replace(resolved, stages=stages) if stages != resolved.stages else None
