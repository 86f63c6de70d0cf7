"""`sketchbridge refine`: one sketch, prompt or mesh into one asset."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.options import make_folder, pair
from protocol.errors import UserError


def refine_command(
    sketch: Annotated[Path | None, typer.Argument(help="Mesh: GLB, glTF, OBJ, PLY or STL; --mode image: PNG, JPEG or none.")] = None,
    prompt: Annotated[str, typer.Option(help="What it is, in a few words.")] = "",
    prompts: Annotated[list[str] | None, typer.Option(help="Of an illusion, four times: one for each quarter turn.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the asset, the contact sheet and the report.")] = Path("out/asset"),
    mode: Annotated[
        str, typer.Option(help="sketch, prompt (no mesh), texture (shape and UVs untouched), image (flat) or illusion (rotation overlays).")
    ] = "sketch",
    canvas: Annotated[str, typer.Option(help="What a picture consists of: latent, pixels or fourier; empty: as the mode likes it.")] = "",
    preset: Annotated[str, typer.Option(help="quick or default; in mode sketch also colour and loose, of a picture edit.")] = "default",
    method: Annotated[str, typer.Option(help="Distillation gradient; empty keeps the preset's.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Parameter of the method, NAME=VALUE; repeatable.")] = None,
    source_prompt: Annotated[str, typer.Option(help="What the given thing is as it stands, for methods that start from words.")] = "",
    domain: Annotated[str, typer.Option(help="Instead of that: what kind of thing it is, such as painting.")] = "",
    debias: Annotated[str, typer.Option(help="Masked language model that takes words which contradict a view out of its prompt.")] = "",
    prior: Annotated[str, typer.Option(help="starter, a diffusers folder, a hub id, or exemplar:FOLDER.")] = "starter",
    keep: Annotated[str, typer.Option(help="Vertex attribute of the sketch (such as _KEEP), 1 where nothing may change.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed repeats the run.")] = 0,
    slack: Annotated[float, typer.Option(min=0.0, max=1.0, help="Freedom: inwards in stroke radii, outwards in tens of cells.")] = 0.25,
    steps: Annotated[int, typer.Option(min=-1, help="Scale the preset to this many steps; 0 exports the start.")] = -1,
    warm_start: Annotated[bool, typer.Option(help="Let the prior paint the first colours before the steps begin.")] = True,
    symmetric: Annotated[bool, typer.Option(help="Looks the same from all sides: no view words.")] = False,
    front: Annotated[float, typer.Option(help="Degrees by which the front is turned from -Y, counter-clockwise from above.")] = 0.0,
    faces: Annotated[int, typer.Option(min=100, help="Largest number of triangles of the asset.")] = 20_000,
    texture: Annotated[int, typer.Option(min=64, max=8192, help="Side of the texture in pixels.")] = 1024,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    rasterizer: Annotated[str, typer.Option(help="auto, warp or torch.")] = "auto",
    job_file: Annotated[Path | None, typer.Option("--job", help="Job (or report.json of a run) instead of the other options.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on stdout instead of a progress bar.")] = False,
) -> None:
    """Turn a sketch (or a prompt alone) into a textured asset, or words into pictures."""
    from protocol.job import job_from

    if job_file is not None:
        job, journal = _job_in(job_file)
    else:
        journal = ()
        settings: dict[str, Any] = {
            "prompt": prompt,
            "prompts": tuple(prompts or ()),
            "canvas": {"kind": canvas} if canvas else None,
            "mode": mode,
            "sketch": str(sketch or ""),
            "keep": keep,
            "preset": preset,
            "method": method,
            "parameters": dict(pair(text) for text in set_ or ()),
            "source_prompt": source_prompt,
            "domain": domain,
            "debias": debias,
            "warm_start": warm_start,
            "prior": prior,
            "seed": seed,
            "slack": slack,
            "steps": steps,
            "symmetric": symmetric,
            "front_deg": front,
            "device": device,
            "rasterizer": rasterizer,
            "budget": {"faces": faces, "texture_px": texture},
        }
        job = job_from(settings)
    if not resume and job.mode != "illusion" and not job.prompt.strip():
        raise UserError("The prompt is empty.", 'Say in a few words what it is: --prompt "a red flower".')
    make_folder(out)

    from backend.cli.listen import JsonLines, ProgressBar
    from backend.refine.control import Control
    from backend.refine.inputs import Inputs
    from backend.refine.read_inputs import read_inputs
    from backend.refine.report import write_report
    from backend.refine.run import refine

    inputs = Inputs() if resume else read_inputs(job)
    control = Control(journal)
    previous = signal.signal(signal.SIGINT, lambda *_: control.cancel() if control.stop else control.finish_now())
    listener = JsonLines(out) if as_json else ProgressBar(out)
    try:
        with listener:
            result = refine(job, inputs, out=out, control=control, listen=listener, resume=resume)
    finally:
        signal.signal(signal.SIGINT, previous)
    files = [] if result.exported is None else [*result.exported.files, write_report(result, out)]
    listener.finish(result, files)
    if result.outcome != "done":
        raise typer.Exit(130)


def _job_in(path: Path) -> tuple[Any, tuple[Any, ...]]:
    """The job of a job file; of a report the job as it was resolved, so that later presets change nothing, and the journal."""
    from protocol.job import Repeat, job_from
    from protocol.strict import convert

    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"The job file '{path}' cannot be read: {error.strerror}.", "Check its name.") from None
    except ValueError as error:
        raise UserError(f"The job file '{path}' is not valid JSON: {error}.", "Correct it, or write it again.") from None
    if not isinstance(data, dict):
        raise UserError(f"The job file '{path}' should hold one JSON object.", "Wrap its settings in braces.")
    if "resolved" not in data:
        return job_from(data), ()
    again = convert(data, Repeat, "The report")
    return again.resolved, again.journal
