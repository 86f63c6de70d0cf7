"""The server's store in a batch's folder: jobs are named there by people, not by digits."""

from pathlib import Path

from backend.batch.plan import Plan
from backend.errors import ResourceError
from backend.gallery.collect import JOBS_FOLDER
from backend.serve.store import Store


class BatchStore(Store):
    """The store of a batch: the job of key `PlannedJob.key` writes into `out/jobs/ID`."""

    def __init__(self, out: Path, plan: Plan) -> None:
        """Errors: ResourceError if another batch runs in the folder, or the disk refuses."""
        try:
            super().__init__(out)
        except ResourceError as error:
            sentence = error.sentence.replace("Another server uses", "Another batch runs in")
            raise ResourceError(sentence, error.hint.replace("--data", "--out")) from None
        self._names = {job.key: job.id for job in plan.jobs}
        self._names |= {job.id: job.label for job in self.jobs() if job.id not in self._names}

    def _folder_of(self, job: str) -> Path:
        return self.folder.absolute() / JOBS_FOLDER / self._names[job]
