"""What a job of pictures says beside its stages, and what its mode fills in. No torch: a server asks before it starts a worker."""

import msgspec

from backend.refine.image_presets import EDIT
from protocol.errors import UserError
from protocol.job import PICTURE_MODES, Canvas, RefineJob

SEPARATOR, TURNS = "|", 4
"""Between the prompts of an illusion, where they are one text; and how many there are."""


def prompts_of(job: RefineJob, prompt: str) -> list[str]:
    """The prompts that `prompt`, the job's or a later one, stands for: itself, or the four of an illusion.

    Errors: UserError where an illusion's are not four.
    """
    if job.mode != "illusion":
        return [prompt]
    parts = [part.strip() for part in prompt.split(SEPARATOR)]
    if len(parts) != TURNS or not all(parts):
        raise UserError(
            f"An illusion has {TURNS} prompts, one for each quarter turn, but '{prompt}' has {sum(map(bool, parts))}.",
            f"Write them one after another with '{SEPARATOR}' between them.",
        )
    return parts


def fill_in(job: RefineJob) -> RefineJob:
    """The job with its mode's own canvas, the preset that suits a given picture, and an illusion's prompts as one text.

    Errors: UserError for canvas and prompts in a mode that has none, for prompts that are not four, and for inputs nobody takes.
    """
    if job.mode != "illusion" and job.prompts:
        raise UserError(f"Mode '{job.mode}' takes one prompt, but {len(job.prompts)} prompts were given.", "Give it as the prompt.")
    if job.mode not in PICTURE_MODES:
        if job.canvas is not None:
            raise UserError(f"Mode '{job.mode}' has no canvas.", "Leave it out, or use mode image or illusion.")
        return job
    if job.debias:
        raise UserError(f"Mode '{job.mode}' has no views, and so no words for 'debias' to take out.", "Leave it out.")
    if job.mode == "image":
        preset = EDIT if job.sketch and job.preset == "default" else job.preset
        if preset == EDIT and not job.sketch:
            raise UserError("The preset 'edit' starts from a picture, and there is none.", "Name a picture, or use preset default.")
        return msgspec.structs.replace(job, preset=preset, canvas=job.canvas or Canvas())
    canvas = job.canvas or Canvas(kind="fourier")
    if canvas.kind == "latent":
        raise UserError("An illusion cannot consist of latents: overlays are made of pictures.", "Use the canvas pixels or fourier.")
    if job.sketch:
        raise UserError("Mode 'illusion' starts from nothing and takes no file.", "Leave it out, or use mode image.")
    empty = [k for k, text in enumerate(job.prompts, 1) if not text.strip()]
    if len(job.prompts) != TURNS or empty:
        given = f"{len(job.prompts)} were given" if len(job.prompts) != TURNS else f"number {empty[0]} is empty"
        raise UserError(f"An illusion needs {TURNS} prompts, one for each quarter turn, but {given}.", "Give --prompts four times.")
    if any(SEPARATOR in text for text in job.prompts):
        raise UserError(f"The prompts of an illusion cannot hold the sign '{SEPARATOR}'.", "Leave it out.")
    return msgspec.structs.replace(job, canvas=canvas, prompt=f" {SEPARATOR} ".join(text.strip() for text in job.prompts))
