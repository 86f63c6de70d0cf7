"""`sketchbridge evaluate`: what the judge says about an asset, a prior or a folder of pictures."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.options import make_folder
from protocol.errors import UserError
from protocol.job import PICTURE_MODES

ASSET_FILES = ("asset.glb", "asset.obj")


def evaluate_command(
    target: Annotated[Path | None, typer.Argument(help="Folder of a finished run, or a mesh file (GLB, glTF, OBJ, PLY, STL).")] = None,
    prompt: Annotated[str, typer.Option(help="What the asset should be; a run's folder knows it.")] = "",
    views: Annotated[int, typer.Option(min=6, max=360, help="Sides to judge an asset from.")] = 24,
    prior: Annotated[str, typer.Option(help="Judge the samples of a prior: starter, a folder or a hub id.")] = "",
    pairs: Annotated[str, typer.Option(help="What a prior draws: held-out (pairs no training picture shows) or all.")] = "held-out",
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Samples of each pair.")] = 16,
    guidance: Annotated[float | None, typer.Option(help="Guidance of the sampler; the prior's card says it otherwise.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="DDIM steps.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same samples.")] = 0,
    pictures: Annotated[
        Path | None, typer.Option(help="Judge a folder of captioned pictures (metadata.jsonl or .txt beside them).")
    ] = None,
    clip: Annotated[Path | None, typer.Option(help="Folder of a CLIP model: adds CLIP similarity.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a sheet of pictures and verdict.json.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for the prior and CLIP.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON object instead of a table.")] = False,
) -> None:
    """Judge an asset, a prior or pictures: right noun, colour, pattern and view, Frechet distance, IQ, IV and IG."""
    if sum((target is not None, bool(prior.strip()), pictures is not None)) != 1:
        raise UserError(
            "One thing to judge was expected.", "Name a run's folder or a mesh file, or give --prior NAME, or give --pictures FOLDER."
        )
    if out is not None:
        make_folder(out)

    from rich.console import Console

    from backend.cli.verdicts import asset_table, pictures_table, prior_table
    from backend.evaluate.judge import load_judge

    judge = load_judge()
    similarity = _clip(clip, device)
    console = Console(stderr=True)
    found: dict[str, Any]
    if target is not None:
        found, sheet = _asset(judge, target, prompt, views, similarity, console)
        table = asset_table(found)
    elif pictures is not None:
        found, sheet = _pictures(judge, pictures, similarity, console)
        table = pictures_table(found)
    else:
        options = {"samples": samples, "guidance": guidance, "steps": steps, "seed": seed}
        found, sheet = _prior(judge, prior.strip(), pairs, options, similarity, console, device)
        table = prior_table(found)
    found = _plain(found)
    if out is not None:
        from backend.assets.atomic import write_bytes
        from backend.assets.write import write_png

        write_bytes(out / "verdict.json", (json.dumps(found, indent=2) + "\n").encode())
        if sheet is not None:
            console.print(f"  {write_png(out / 'sheet.png', sheet)}", highlight=False)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        Console().print(table)


def _asset(judge: Any, target: Path, prompt: str, views: int, similarity: Any, console: Any) -> tuple[dict[str, Any], Any]:
    from backend.evaluate.asset import front_of, judge_asset
    from backend.evaluate.wanted import unjudged
    from backend.render.sheet import tile

    file, job = _run_in(target) if target.is_dir() else (target, {})
    prompt = prompt.strip() or str(job.get("prompt", "")).strip()
    if not prompt:
        raise UserError("What the asset should be is not known.", 'Say it: --prompt "a red mug".')
    verdict = judge_asset(judge, file, prompt, views, front_deg=front_of(job))
    _warn(console, unjudged(judge, prompt))
    found = {"asset": str(file), **verdict.as_dict()}
    if similarity is not None:
        import torch

        rgb = torch.from_numpy(verdict.pictures[: verdict.views]).permute(0, 3, 1, 2).float() / 255
        found["clip_similarity"] = float(similarity(rgb, [prompt]).mean())
    large = verdict.pictures.repeat(2, 1).repeat(2, 2)
    rows = [
        (f"{prompt}: lit" if i == 0 else "bare colours" if i == verdict.views else "", large[i : i + 8]) for i in range(0, len(large), 8)
    ]
    return found, tile(rows)


def _run_in(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The asset of a finished run and its job. Errors: UserError for a folder that is not a run's, or where no asset lies."""
    report = folder / "report.json"
    if not report.is_file():
        raise UserError(f"'{folder}' holds no report.json of a finished run.", "Name the folder of a run, or its mesh file.")
    try:
        job = json.loads(report.read_text(encoding="utf-8"))["job"]
        mode = job.get("mode", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"'{report}' is not a report of a run.", "Run it again.") from None
    if mode in PICTURE_MODES:
        raise UserError(f"'{folder}' is a run that made a picture, not an asset.", "Judge its pictures, with captions: --pictures FOLDER.")
    file = next((folder / name for name in ASSET_FILES if (folder / name).is_file()), None)
    if file is None:
        raise UserError(f"There is no {' or '.join(ASSET_FILES)} in '{folder}'.", "Let the run finish, or name a mesh file.")
    return file, job


def _pictures(judge: Any, folder: Path, similarity: Any, console: Any) -> tuple[dict[str, Any], None]:
    from backend.evaluate.picture_folder import judge_pictures
    from backend.evaluate.wanted import unjudged
    from backend.priors.exemplar_folder import read_exemplars, read_pixels

    exemplars = read_exemplars(folder, fewest=1)
    with _bar(console, "pictures") as report:
        verdict = judge_pictures(judge, exemplars, report=report)
    strange = [exemplar.caption for exemplar in exemplars if unjudged(judge, exemplar.caption)]
    if strange:
        more = f" (and so for {len(strange) - 1} more captions)" if len(strange) > 1 else ""
        _warn(console, unjudged(judge, strange[0]).removesuffix(".") + f"{more}.")
    found = {"folder": str(folder), **verdict.as_dict()}
    if similarity is not None:
        import torch

        near = [
            similarity(torch.from_numpy(read_pixels(exemplars[i : i + 32], 256)), [e.caption for e in exemplars[i : i + 32]])
            for i in range(0, len(exemplars), 32)
        ]
        found["clip_similarity"] = float(torch.cat(near).mean())
    return found, None


def _prior(
    judge: Any, name: str, pairs: str, options: dict[str, Any], similarity: Any, console: Any, device: str
) -> tuple[dict[str, Any], Any]:
    from backend.evaluate.prior_samples import judge_prior, noun_colour_pairs
    from backend.priors.resolve import resolve_prior
    from backend.refine.device import choose_device
    from backend.render.sheet import tile

    loaded = resolve_prior(name, choose_device(device))
    chosen = noun_colour_pairs(pairs, loaded, judge)
    near: list[float] = []

    def keep(caption: str, shown: Any) -> None:
        if similarity is not None:
            near.extend(similarity(shown, [caption]).tolist())

    with _bar(console, "pairs") as report:
        verdict = judge_prior(judge, loaded, chosen, report=report, keep=keep, **options)
    found = {"prior": loaded.card.name, **verdict.as_dict()}
    if near:
        found["clip_similarity"] = sum(near) / len(near)
    rows = [
        (f"{pair.caption}: noun {pair.accuracy['noun']:.0%}, colour {pair.accuracy['colour']:.0%}", pair.pictures) for pair in verdict.pairs
    ]
    return found, tile(rows)


def _clip(folder: Path | None, device: str) -> Any:
    if folder is None:
        return None
    from backend.evaluate.clip_similarity import load_clip
    from backend.refine.device import choose_device

    return load_clip(folder, choose_device(device))


def _warn(console: Any, sentence: str) -> None:
    if sentence:
        console.print(f"warning: {sentence}", style="yellow", highlight=False)


@contextmanager
def _bar(console: Any, what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the time left; in a log file, nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _plain(value: Any) -> Any:
    """The same with None for numbers that JSON cannot hold (an infinite gain)."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
