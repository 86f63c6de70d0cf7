"""A batch's jobs on a machine that has neither the batch's folder nor the sketches."""

import platform
from pathlib import Path

from backend.batch.job_engine import JobEngine
from backend.batch.ray_actor import Carried
from backend.errors import UserError
from backend.priors.contract import Prior
from backend.priors.exemplar_folder import EXEMPLAR
from backend.refine.inputs import Inputs
from backend.serve.orders import Run
from protocol.job import RefineJob


class NodeEngine(JobEngine):
    """Runs jobs whose inputs were read elsewhere. `carried`: those of the next job."""

    carried: Carried = None

    def inputs(self, run: Run) -> Inputs:
        if isinstance(self.carried, Exception):
            raise self.carried
        return super().inputs(run) if self.carried is None else self.carried

    def _load(self, job: RefineJob) -> Prior:
        check_prior_here(job.prior)
        return super()._load(job)


def check_prior_here(prior: str) -> None:
    """Errors: UserError for a folder that this machine lacks."""
    folder = Path(prior.removeprefix(EXEMPLAR))
    if folder.is_absolute() and not folder.is_dir():
        raise UserError(
            f"The machine '{platform.node()}' of the cluster has no prior '{folder}'.",
            "Put it at the same path on every machine, or use 'starter' or a hub id.",
        )
