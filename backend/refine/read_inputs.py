"""From the files a job names to arrays."""

from pathlib import Path

from backend.assets.polygons import read_polygons
from backend.assets.read import read_mesh
from backend.assets.read_picture import read_picture
from backend.errors import UserError
from backend.refine.inputs import Inputs, Original
from protocol.job import RefineJob
from protocol.strict import nearest


def read_inputs(job: RefineJob) -> Inputs:
    """The arrays of `job.sketch`, and of the vertex attribute `job.keep` in it; in mode image, its pixels.

    Errors: UserError for a missing or unreadable file, no file where the mode needs one, and an attribute that is not there.
    """
    if job.mode == "image":
        return Inputs(picture=read_picture(job.sketch)) if job.sketch else Inputs()
    if job.mode in ("prompt", "illusion"):
        return Inputs()
    if not job.sketch:
        raise UserError(f"Mode '{job.mode}' needs a mesh file.", "Name it, or use --mode prompt.")
    path = Path(job.sketch)
    if job.mode == "texture":
        polygons = read_polygons(path)
        return Inputs(polygons=polygons, original=Original(path.name, path.read_bytes()))
    sketch = read_mesh(path)
    if not job.keep:
        return Inputs(sketch=sketch)
    if job.keep not in sketch.scalars:
        known = list(sketch.scalars)
        hint = nearest(job.keep, known) if known else "Export the sketch with its attributes."
        raise UserError(f"The sketch has no vertex attribute '{job.keep}'.", hint)
    return Inputs(sketch=sketch, keep=sketch.scalars[job.keep].clip(0, 1))
