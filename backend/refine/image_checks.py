"""What a stage may not ask of pictures."""

from collections.abc import Sequence

from backend.distill.methods import METHODS
from backend.distill.methods import method as method_named
from backend.distill.read_parameters import parse_parameters
from backend.errors import UserError
from protocol.job import PICTURE_MODES, RefineJob, Stage


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
