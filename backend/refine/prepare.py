"""From a job's inputs to the subject of its run: placed in the domain, turned into a surface, given its start colours."""

import numpy as np
import torch
from torch import Tensor

from backend.appearance.start_colours import fit_start_colours
from backend.appearance.triplane import TriplaneField
from backend.assets.mesh import PolygonMesh, TriangleMesh
from backend.assets.triangulate import triangulate
from backend.errors import UserError
from backend.geometry.contract import Mesh, Surface
from backend.geometry.density import DensityVolume
from backend.geometry.dmtet import DMTet
from backend.geometry.fidelity import FidelityMeter, tolerance
from backend.geometry.fixed_mesh import FixedMesh
from backend.geometry.kuhn import KuhnGrid
from backend.geometry.normalise import LONGEST_SIDE, fit_domain, move
from backend.geometry.sketch_sdf import SketchField, fit_sdf
from backend.refine.inputs import Inputs
from backend.refine.keep import keep_on_grid, with_kept_colours
from backend.refine.seeds import generator
from backend.refine.subject import Subject
from protocol.job import RefineJob

SMALLEST_GRID, LARGEST_GRID_CPU, LARGEST_GRID_CUDA = 32, 64, 128
CELLS_PER_RADIUS = 1.5
THINNEST_CELLS = 1.1  # radius below which a tube may slip between grid vertices: sqrt(3)/2, and a margin for the estimate
JUNCTION_CELLS = 2
GROWTH_CELLS_PER_SLACK = 10.0
PROMPT_RADIUS, PROMPT_NOISE = 0.42, 0.04
PROMPT_LATTICE = 4  # finer ones grow warts long before a silhouette
VOLUME_CELLS_CPU, VOLUME_CELLS_CUDA = 40, 64
PROMPT_REACH = 0.9  # of the sphere that cameras frame: the asset is expected to fill it


def prepare(job: RefineJob, inputs: Inputs, device: torch.device) -> Subject:
    """The subject of a job in mode sketch, prompt or texture.

    Errors: UserError where the mode's input is missing or cannot be used.
    """
    if job.mode == "prompt":
        return _from_nothing(job, device)
    if job.mode == "texture":
        if inputs.polygons is None:
            raise UserError("Mode 'texture' needs a mesh.", "Name a mesh file.")
        return _from_polygons(job, inputs.polygons, device)
    if inputs.sketch is None:
        raise UserError(f"Mode '{job.mode}' needs a sketch.", "Name a mesh file, or use mode prompt.")
    return _from_sketch(job, inputs.sketch, inputs.keep, device)


def shape_bound(sketch: SketchField, grid: KuhnGrid, slack: float) -> Tensor:
    """Largest rise of the signed distance [N]: what recall tolerates, so that no stroke can be lost by it.

    Never more than half the local stroke radius, since the centreline of a stroke of radius r has distance -r and must stay inside;
    never so much that the grid could no longer hold what remains; and near a junction no more than the thinner stroke bears.
    """
    radius = sketch.radius
    allowed = torch.from_numpy(tolerance(radius.cpu().numpy(), grid.h, slack)).to(radius)
    allowed = torch.minimum(torch.minimum(allowed, radius / 2), (radius - THINNEST_CELLS * grid.h).clamp_min(0.0))
    window = 2 * JUNCTION_CELLS + 1
    least = -torch.nn.functional.max_pool3d(-allowed.view(1, 1, *grid.shape), window, stride=1, padding=JUNCTION_CELLS)
    return least.flatten()


def growth_bound(bound: Tensor, h: float, slack: float) -> Tensor:
    """Largest fall of the signed distance [N]: growing loses no stroke, so it may go farther than the shape may shrink.

    At the default slack 2.5 cells: enough for petals drawn as loops to fill, and for a pot to form around a stem.
    """
    return bound.clamp_min(GROWTH_CELLS_PER_SLACK * slack * h)


def _from_sketch(job: RefineJob, sketch: TriangleMesh, keep: np.ndarray | None, device: torch.device) -> Subject:
    if keep is not None and keep.shape != (len(sketch.vertices),):
        raise UserError(f"The keep mask has {len(keep)} values for {len(sketch.vertices)} vertices.", "Send one value for each vertex.")
    matrix = _placement(job, sketch.vertices)
    points = move(sketch.vertices, matrix)
    grid, sketch_field = _fit(job, points, sketch.faces, device)
    mask = None if keep is None else keep_on_grid(grid, sketch_field.sdf, points, keep)
    bound = shape_bound(sketch_field, grid, job.slack)
    surface = DMTet(
        grid,
        sketch_field.sdf,
        keep=mask,
        bound=bound,
        growth=growth_bound(bound, grid.h, job.slack),
        lattice=2 if grid.n % 2 == 0 else 1,
    )
    start = _detached(surface)
    if not len(start.faces):
        raise UserError("The sketch has no volume that the grid can hold.", "Make its strokes thicker or raise the grid resolution.")
    field = _new_field(job, device)
    subject = _subject(job, surface, field, grid.h, matrix, start)
    subject.sketch = sketch_field
    subject.meter = FidelityMeter(sketch_field, grid, slack=job.slack, seed=job.seed)
    subject.notes += sketch_field.notes
    subject.drawn = Mesh(torch.from_numpy(points).to(device), torch.from_numpy(sketch.faces).to(device))
    subject.protected = torch.from_numpy(points).to(device)
    painted = None if sketch.colours is None else _surface_colours(points, sketch, sketch.colours, job.seed)
    if painted is not None:
        where, colours = painted
        subject.start_colours = (where.to(device), colours.to(device))
        fit_start_colours(field, *subject.start_colours, generator=generator(job.seed, "start colours"))
        subject.anchored_steps = -1  # settled once the stages are known
    if mask is not None:
        subject.shown = with_kept_colours(field, grid, mask)
        subject.kept = mask
    subject.set_slack = lambda slack: _set_slack(surface, sketch_field, slack)
    return subject


def _from_nothing(job: RefineJob, device: torch.device) -> Subject:
    """A ball, noisy so that there is something to follow on every side; and a haze where a stage works on one (docs/results.md, E3)."""
    grid = KuhnGrid(job.grid or (48 if device.type == "cpu" else 96), device)
    side = grid.n + 1
    coarse = torch.randn(1, 1, 9, 9, 9, generator=generator(job.seed, "start shape")).to(device)
    noise = torch.nn.functional.interpolate(coarse, size=(side, side, side), mode="trilinear", align_corners=True).flatten()
    lattice = PROMPT_LATTICE if grid.n % PROMPT_LATTICE == 0 else 1
    surface = DMTet(grid, grid.positions.norm(dim=-1) - PROMPT_RADIUS + PROMPT_NOISE * noise, lattice=lattice)
    subject = _subject(job, surface, _new_field(job, device), grid.h, np.eye(4), _detached(surface))
    subject.radius = PROMPT_REACH
    if any(stage.optimise == "volume" for stage in job.stages):
        cells = VOLUME_CELLS_CPU if device.type == "cpu" else VOLUME_CELLS_CUDA
        subject.volume = DensityVolume(cells, device, generator=generator(job.seed, "haze"))
    return subject


def _from_polygons(job: RefineJob, polygons: PolygonMesh, device: torch.device) -> Subject:
    matrix = _placement(job, polygons.vertices)
    points = move(polygons.vertices, matrix)
    triangles = triangulate(polygons)
    surface = FixedMesh(torch.from_numpy(points).to(device), torch.from_numpy(triangles.faces).to(device))
    subject = _subject(job, surface, _new_field(job, device), 2.0 / 48, matrix, _detached(surface))
    subject.polygons, subject.triangles = polygons, triangles
    return subject


def _subject(job: RefineJob, surface: Surface, field: TriplaneField, h: float, matrix: np.ndarray, start: Mesh) -> Subject:
    reach = start.vertices.norm(dim=-1).max() if len(start.vertices) else torch.tensor(1.0)
    spread = torch.randint(max(1, len(start.vertices)), (2048,), generator=generator(job.seed, "close-ups"))
    return Subject(
        surface=surface,
        field=field,
        h=h,
        radius=max(float(reach), LONGEST_SIDE / 2),
        to_scene=np.linalg.inv(matrix),
        start=start,
        front_deg=job.front_deg,
        symmetric=job.symmetric,
        surface_points=start.vertices.cpu()[spread] if len(start.vertices) else None,
    )


def _new_field(job: RefineJob, device: torch.device) -> TriplaneField:
    return TriplaneField(generator=generator(job.seed, "colour field")).to(device)


def _detached(surface: Surface) -> Mesh:
    mesh = surface.extract()
    return mesh._replace(vertices=mesh.vertices.detach())


def _placement(job: RefineJob, vertices: np.ndarray) -> np.ndarray:
    if job.placement:
        if len(job.placement) != 16:
            raise UserError(f"The placement should be 16 numbers, but has {len(job.placement)}.", "Give a row-major 4x4 matrix.")
        return np.asarray(job.placement, np.float64).reshape(4, 4)
    return fit_domain(vertices).to_domain


def _fit(job: RefineJob, points: np.ndarray, faces: np.ndarray, device: torch.device) -> tuple[KuhnGrid, SketchField]:
    """Grid and field; the resolution follows the thinnest stroke: h at most its radius / 1.5."""
    largest = LARGEST_GRID_CPU if device.type == "cpu" else LARGEST_GRID_CUDA
    first = KuhnGrid(job.grid or min(48, largest), device)
    field = fit_sdf(points, faces, first)
    if job.grid:
        return first, field
    thinnest = float(np.quantile(field.point_radius[field.point_radius > 0], 0.05))
    wanted = int(np.clip(np.ceil(2 * CELLS_PER_RADIUS / max(thinnest, 1e-6) / 8) * 8, SMALLEST_GRID, largest))
    if wanted == first.n:
        return first, field
    grid = KuhnGrid(wanted, device)
    return grid, fit_sdf(points, faces, grid)


def _surface_colours(points: np.ndarray, sketch: TriangleMesh, vertex_colours: np.ndarray, seed: int) -> tuple[Tensor, Tensor] | None:
    """Points spread by area over the faces that have a colour [S,3] and the colours there [S,3], linear; None if no face has one."""
    painted = np.isfinite(vertex_colours).all(-1)[sketch.faces].all(-1)
    faces = sketch.faces[painted]
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not area.sum() > 0:
        return None
    source = np.random.default_rng(seed)
    chosen = source.choice(len(area), 8192, p=area / area.sum())
    weights = source.dirichlet((1.0, 1.0, 1.0), 8192)[..., None]
    where = (corners[chosen] * weights).sum(1)
    colours = (vertex_colours[faces[chosen]] * weights).sum(1)
    return torch.from_numpy(where.astype(np.float32)), torch.from_numpy(colours.astype(np.float32))


def _set_slack(surface: DMTet, sketch: SketchField, slack: float) -> None:
    """New freedom from here on: the present shape becomes the rest shape, and what was used up counts."""
    surface.rebase()
    change = surface.field().detach() - sketch.sdf
    bound = shape_bound(sketch, surface.grid, slack)
    surface.bound = (bound - change.clamp_min(0)).clamp_min(0.0)
    surface.growth = (growth_bound(bound, surface.grid.h, slack) + change.clamp_max(0)).clamp_min(0.0)
