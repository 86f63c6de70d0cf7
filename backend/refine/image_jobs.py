"""What a job of pictures may ask for, and what its mode fills in."""

from collections.abc import Sequence

import msgspec

from backend.distill.methods import METHODS
from backend.distill.methods import method as method_named
from backend.distill.read_parameters import parse_parameters
from backend.errors import UserError
from backend.refine.image_presets import EDIT
from backend.refine.texts import PICTURE_MODES, SEPARATOR, TURNS
from protocol.job import Canvas, RefineJob, Stage


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


def check_stages(job: RefineJob, stages: Sequence[Stage]) -> None:
    """Errors: UserError where a stage asks of pictures what only an object has."""
    if job.mode not in PICTURE_MODES:
        return
    for stage in stages:
        method = method_named(stage.method)
        if stage.optimise != "colour":
            raise UserError(f"Stage '{stage.name}' moves a shape, and a picture has none.", "Let it optimise colour.")
        if getattr(parse_parameters(stage.method, stage.parameters), "perp_neg", False):
            raise UserError("Perp-Neg needs views of an object, which a picture has not.", "Leave 'perp_neg' out.")
        if method.uses_reference and not job.sketch:
            others = ", ".join(name for name, other in METHODS.items() if not other.uses_reference)
            kind = "an illusion starts from nothing" if job.mode == "illusion" else "none was given"
            hint = "" if job.mode == "illusion" else "Name a picture, or use"
            raise UserError(f"{method.title} edits a given picture, and {kind}.", f"{hint or 'Use'} one of {others}.")
        if stage.image_loss > 0.0 and job.canvas is not None and job.canvas.kind == "latent":
            raise UserError(
                f"Stage '{stage.name}' asks for a loss on pictures, and the canvas of latents has no gradient from there.",
                "Use the canvas pixels or fourier, or leave image_loss out.",
            )
