"""What the three experiments on shapes share: stages driven without a run around them, and what came of them in numbers."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image

from backend.assets.mesh import TriangleMesh
from backend.assets.read import read_mesh
from backend.errors import NumericalError, UserError
from backend.evaluate.asset import judge_asset
from backend.experiments.charts import sheet as picture_sheet
from backend.experiments.contract import Cell, Context, Result, Table
from backend.experiments.judged import judge_of
from backend.experiments.report import spread
from backend.geometry.contract import Mesh
from backend.priors.card import PriorCard
from backend.priors.counting import CountingPrior
from backend.refine.estimate import Cost, seconds_of
from backend.refine.inputs import Inputs
from backend.refine.object_workpiece import ObjectWorkpiece
from backend.refine.prepare import prepare
from backend.refine.resolve import resolve
from backend.refine.subject import Subject
from backend.refine.texts import texts_of
from backend.refine.workpiece import Stepper
from backend.render.rasterizer import choose_rasterizer
from backend.render.sheet import cut, render_sheet, tile
from backend.render.silhouette import largest_hole
from protocol.job import RefineJob, Stage

SKETCHES = Path(__file__).parents[2] / "examples" / "sketches"
MEASURES = ("noun", "colour", "clay_noun", "recall", "growth", "moved", "roughness", "pieces", "severed", "genus", "hole")
NAMES = {
    "noun": "noun",
    "colour": "colour",
    "clay_noun": "noun in clay",
    "recall": "recall",
    "growth": "growth",
    "moved": "moved > h/2",
    "roughness": "roughness",
    "pieces": "pieces",
    "severed": "severed",
    "genus": "genus",
    "hole": "largest hole",
}
AROUND_S = 8.0  # start, warm start and measurements
VIEW_SHARE = 3.0
CHECK_EVERY = 50
SHEET_PX = 96


def sketch(name: str) -> TriangleMesh:
    """An example sketch. UserError where the examples are not beside the package."""
    return read_mesh(_file_of(name))


def settled(cell: Cell, job: RefineJob, card: PriorCard) -> Cell:
    """The cell with what else its outcome depends on in its spec: the stages of its job, and the hash of its sketch's file if it has one.

    Errors: UserError for a job that `resolve` refuses or a sketch that is not there.
    """
    spec = {**cell.spec, "stages": msgspec.to_builtins(resolve(job, card).stages)}
    if "sketch" in spec:
        spec["sketch_sha256"] = hashlib.sha256(_file_of(spec["sketch"]).read_bytes()).hexdigest()
    return cell._replace(spec=spec)


def workpiece_of(job: RefineJob, inputs: Inputs, context: Context) -> ObjectWorkpiece:
    """A job's object before its first step; the job comes back resolved as `.job`."""
    prior = context.prior if isinstance(context.prior, CountingPrior) else CountingPrior(context.prior)
    job = resolve(job, prior.card)
    subject = prepare(job, inputs, prior.device)
    made = ObjectWorkpiece(subject, choose_rasterizer(job.rasterizer, prior.device), prior, job, None)
    made.begin(job.stages)
    return made


def run_stages(
    made: ObjectWorkpiece,
    stages: Sequence[Stage],
    *,
    tell: Callable[[float], None] = lambda share: None,
    stepper: Callable[[Stage, int], Stepper] | None = None,
) -> dict[str, Any]:
    """Every stage to its end, as a run does it without commands, previews and files.

    `stepper` stands in for the workpiece's own. Gives `rows` of the denoiser and `notes`. Errors: NumericalError.
    """
    texts = texts_of(made.job, made.job.prompt, stages, made.prior)
    total, done, notes = sum(stage.steps for stage in stages), 0, list(made.notes)
    before = made.prior.rows
    if made.wants_start(stages):
        made.start(texts, lambda: False)
    for stage in stages:
        if not stage.steps:
            continue
        under_way = (stepper or made.stepper)(stage, done)
        try:
            for index in range(stage.steps):
                report = under_way.step(index, texts, averages=done >= 0.7 * total)
                done += 1
                if done % CHECK_EVERY == 0 or index + 1 == stage.steps:
                    if bool(report.bad):
                        raise NumericalError(f"Stage '{stage.name}' left the finite numbers by step {index}.", "Lower its rates.")
                    made.check(stage, done)
                tell(done / total)
            notes += under_way.settle()
        finally:
            under_way.close()
    made.finish()
    return {"rows": made.prior.rows - before, "notes": notes}


def seconds_of_run(job: RefineJob, context: Context, *, around_s: float = AROUND_S, view_share: float = VIEW_SHARE) -> float:
    """Of its steps, from the prior's own times; a rendered view with its way back costs about as much as its encoding twice over.

    `around_s` is what a run takes beside its steps, `view_share` a view in encodings.
    """
    prior = context.prior if isinstance(context.prior, CountingPrior) else CountingPrior(context.prior)
    cost = Cost(context.costs.row, view_share * context.costs.encode)
    return around_s + seconds_of(resolve(job, prior.card).stages, prior, cost)


@torch.no_grad()
def judged(subject: Subject, prompt: str, context: Context) -> dict[str, Any]:
    """Shares of 24 views in which the judge sees noun and colour of the prompt, and the noun in clay."""
    judge = judge_of(context)
    mesh = subject.still()
    vertices, faces = mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy()
    coloured = TriangleMesh(vertices, faces, colours=subject.colour(mesh.vertices).cpu().numpy())
    seen = judge_asset(judge, coloured, prompt, card=context.prior.card)
    bare = judge_asset(judge, TriangleMesh(vertices, faces), prompt, card=context.prior.card)
    return {"noun": seen.noun_share, "colour": seen.colour_share, "clay_noun": bare.noun_share}


@torch.no_grad()
def shape_facts(subject: Subject) -> dict[str, Any]:
    """Fidelity where there is a sketch; of every shape its genus, pieces and the largest opening that one can look through."""
    mesh = subject.still()
    pieces, genus = topology(mesh)
    rasterizer = choose_rasterizer("auto", mesh.vertices.device)
    facts: dict[str, Any] = {"genus": genus, "pieces": pieces, "hole": largest_hole(mesh, rasterizer)}
    if subject.meter is not None:
        now = subject.meter.measure(mesh)
        facts |= {
            "recall": now.recall,
            "growth": now.growth,
            "moved": now.moved,
            "roughness": now.roughness,
            "drawn_roughness": now.sketch_roughness,
            "pieces": now.result_pieces,
            "severed": len(set(now.severed) - set(subject.at_start.severed)),
        }
    return facts


def topology(mesh: Mesh) -> tuple[int, int]:
    """(closed pieces, genus of all together) of a watertight mesh, by its Euler characteristic."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces = mesh.faces.cpu().numpy()
    count = len(mesh.vertices)
    if not count:
        return 0, 0
    graph = coo_matrix((np.ones(2 * len(faces)), (faces[:, [0, 0]].ravel(), faces[:, [1, 2]].ravel())), shape=(count, count))
    pieces = int(connected_components(graph, directed=False)[0])
    return pieces, pieces - (count - len(faces) // 2) // 2


@torch.no_grad()
def outcome(subject: Subject, cell: Cell, context: Context) -> dict[str, Any]:
    """What is measured of a finished shape, and its sheet: eight views in colour and eight in clay."""
    mesh = subject.still()
    rasterizer = choose_rasterizer("auto", mesh.vertices.device)
    rows = [(name, render_sheet(mesh, paint, rasterizer, size_px=SHEET_PX)) for name, paint in ((cell.name, subject.colour), ("", None))]
    path = context.file("sheets", f"{context.key}.png")
    Image.fromarray(tile(rows)).save(path)
    sheet = str(path.relative_to(context.folder))
    return {**shape_facts(subject), **judged(subject, cell.spec["prompt"], context), "sheet": sheet}


def tables(
    name: str, title: str, results: Sequence[Result], columns: Sequence[str], group: Callable[[Result], tuple[str, ...]], note: str = ""
) -> list[Table]:
    """Means over what `group` puts together, in the order of first appearance, and every run by itself under the keys of its spec."""
    done = [result for result in results if result.values]
    shown = [measure for measure in MEASURES if any(result.values.get(measure) is not None for result in done)]
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in done:
        groups.setdefault(group(result), []).append(result)
    heads = tuple(NAMES[measure] for measure in shown)
    means = [[*key, *(spread(_present(own, measure)) for measure in shown), spread(r.seconds for r in own)] for key, own in groups.items()]
    each = [[result.cell.name, *(result.values.get(measure) for measure in shown), result.seconds] for result in done]
    return [
        Table(name, title, (*columns, *heads, "seconds"), means, {"seconds": 0}, f"{note} Every run by itself: {name}_each.csv."),
        Table(f"{name}_each", f"{title}, every run", ("run", *heads, "seconds"), each, {"seconds": 0}, on_page=False),
    ]


def comparison(
    results: Sequence[Result],
    folder: Path,
    path: Path,
    row: Callable[[Result], str],
    column: Callable[[Result], str],
    views: Sequence[int] = (0,),
) -> list[Path]:
    """A figure with what was varied down and what it was tried on across: `views` in colour, then the first in clay, of the first seed.

    Nothing where no result has a sheet in `folder`.
    """
    cells: dict[tuple[str, str], list[np.ndarray]] = {}
    for result in results:
        place = row(result), column(result)
        if place not in cells and result.values and (file := folder / result.values["sheet"]).is_file():
            drawn = np.asarray(Image.open(file).convert("RGB"))
            cells[place] = [cut(drawn, line, view, SHEET_PX) for line, view in [*((0, view) for view in views), (1, views[0])]]
    if not cells:
        return []
    across = dict.fromkeys(name for _, name in cells)
    nothing = [np.full((SHEET_PX, SHEET_PX, 3), 255, np.uint8)] * (len(views) + 1)
    rows = {
        name: np.stack([picture for other in across for picture in cells.get((name, other), nothing)])
        for name in dict.fromkeys(name for name, _ in cells)
    }
    return [picture_sheet(path, list(rows.items()), [text for name in across for text in (name, *[""] * len(views))])]


def _file_of(name: str) -> Path:
    path = SKETCHES / f"{name}.glb"
    if not path.exists():
        raise UserError(f"The example sketch '{name}' is not there.", "Run this in a checkout of the project.")
    return path


def _present(results: Sequence[Result], measure: str) -> list[float]:
    return [result.values[measure] for result in results if result.values.get(measure) is not None]
