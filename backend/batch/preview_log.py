"""The previews of a batch as a Rerun log, which its viewer plays: every job's surface over its steps, and what was said meanwhile."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from backend.assets.write import vertex_normals
from backend.batch.board import Board, Watch
from backend.errors import ResourceError, UserError

if TYPE_CHECKING:
    from rerun.blueprint import Blueprint

SUFFIX = ".rrd"
SHOWN_JOBS = 36
"""Jobs that get a view of their own; the viewer opens views of the others by hand."""


class PreviewLog:
    """A watch that passes everything on to another and logs it: meshes at `jobs/ID`, on the time lines "step" and "elapsed", and
    sentences at `log/batch` and `log/jobs/ID`. `jobs`: ids, in their order.

    A file that is there already is kept, and this one gets a number. Both name the same recording: opened together they are one.
    """

    previews = True

    def __init__(self, watch: Watch, path: Path, jobs: Sequence[str]) -> None:
        """Errors: as `check_log`; ResourceError where the file cannot be made."""
        check_log(path)
        import rerun

        self._rerun, self._watch, self._began = rerun, watch, time.monotonic()
        self.path = _free(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
        except OSError as error:
            raise ResourceError(
                f"The Rerun log '{self.path}' cannot be written: {error.strerror or error}.", "Name another file."
            ) from None
        recording = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
        self._log = rerun.RecordingStream("sketchbridge_batch", recording_id=recording)
        self._log.save(self.path, default_blueprint=_layout(jobs[:SHOWN_JOBS]))
        self._log.set_log_tick_enabled(False)
        self._log.log("jobs", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, sentence: str) -> None:
        self._say("log/batch", sentence, "WARN")
        self._watch.note(sentence)

    def job(self, job: str, state: str, told: Mapping[str, object]) -> None:
        self._say(f"log/jobs/{job}", f"{job}: {state}. {told.get('sentence', '')}".strip(), "ERROR" if state == "failed" else "INFO")
        self._watch.job(job, state, told)

    def preview(self, job: str, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        vertices, faces = arrays["vertices"], arrays["faces"]
        mesh = self._rerun.Mesh3D(
            vertex_positions=vertices,
            triangle_indices=faces.astype(np.uint32),
            vertex_normals=vertex_normals(vertices, faces),  # the viewer shades only what has them
            vertex_colors=arrays["colours"],
        )
        self._log.set_time("step", sequence=step)
        self._log.set_time("elapsed", duration=time.monotonic() - self._began)
        self._log.log(f"jobs/{job}", mesh)
        self._watch.preview(job, step, arrays)

    def show(self, board: Board) -> None:
        self._watch.show(board)

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        self._log.flush()
        self._log.disconnect()

    def _say(self, where: str, sentence: str, level: str) -> None:
        self._log.disable_timeline("step")
        self._log.set_time("elapsed", duration=time.monotonic() - self._began)
        self._log.log(where, self._rerun.TextLog(sentence, level=level))


def check_log(path: Path) -> None:
    """Errors: UserError for a name that does not end in .rrd or is a folder's, ResourceError where rerun-sdk is not installed."""
    if path.suffix != SUFFIX or path.is_dir():
        raise UserError(f"The Rerun log should be a file that ends in '{SUFFIX}', but it is '{path}'.", f"Name it previews{SUFFIX}, say.")
    try:
        from rerun import RecordingStream  # noqa: F401
    except ImportError:
        raise ResourceError(
            "A Rerun log needs the package rerun-sdk, which is not installed.",
            "Install it with `python -m pip install -c constraints.txt -e '.[rerun]'`, or leave --rerun out.",
        ) from None


def _layout(jobs: Sequence[str]) -> "Blueprint":
    """Side by side, at the same step."""
    from rerun import blueprint

    views = [blueprint.Spatial3DView(origin=f"jobs/{job}", name=job) for job in jobs]
    said = blueprint.TextLogView(origin="log", name="log")
    return blueprint.Blueprint(
        blueprint.Vertical(blueprint.Grid(*views), said, row_shares=[4, 1]),
        blueprint.BlueprintPanel(state="collapsed"),
        blueprint.SelectionPanel(state="collapsed"),
        blueprint.TimePanel(timeline="step"),
    )


def _free(path: Path) -> Path:
    """The path, or that with the first number that no file has."""
    if not path.exists():
        return path
    return next(each for k in count(2) if not (each := path.with_stem(f"{path.stem}-{k}")).exists())
