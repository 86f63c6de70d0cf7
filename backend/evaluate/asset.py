"""What the judge says about an asset: 24 views around it as a run would see it, in light and as bare colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from backend.appearance.texture import TextureField
from backend.assets.mesh import TriangleMesh
from backend.assets.read import read_mesh
from backend.colour import linear_to_srgb, srgb_to_linear
from backend.errors import UserError
from backend.evaluate.judge import Judge, Verdict
from backend.evaluate.metrics import Inception, inception
from backend.evaluate.wanted import Wanted, hits, wanted_of
from backend.geometry.contract import Mesh
from backend.geometry.normalise import fit_domain, move
from backend.priors.card import CameraCard, LightCard, PriorCard
from backend.render.cameras import clip, orbit
from backend.render.contract import Fragments, Shade
from backend.render.fragments import interpolate
from backend.render.pipeline import Raster, shade_and_blend
from backend.render.rasterizer import TensorPipeline, choose_rasterizer
from backend.render.shading import CLAY
from backend.render.sheet import display_pictures
from backend.views import BACK, FRONT, OVERHEAD, view_words

SIZE_PX, SUPERSAMPLE = 64, 2
LIGHT = (0.35, 0.45, 0.8)  # direction towards the light in camera axes: right, up, towards the viewer
TONES = (1.0, 0.5)  # backgrounds in turn, display values
BACKGROUND_GAP = 0.15  # display; closer to the asset's mean colour than this, another tone stands behind it


@dataclass(frozen=True)
class AssetVerdict:
    """The judge on one asset. Shares are of the lit views, 0..1, and None where the prompt asks for nothing the judge knows."""

    prompt: str
    wanted: Wanted
    views: int
    noun_share: float | None
    colour_share: float | None  # also None for an asset without colours
    pattern_share: float | None
    albedo_noun_share: float | None  # the same over views of the bare colours
    albedo_colour_share: float | None
    view_accuracy: float | None  # share of views judged to be what they are; None for a noun that has no front
    back_share: float | None  # of the back views, those judged a back view
    false_fronts: float | None  # of the side and back views, those judged a front view: the Janus measure
    inception: Inception  # over noun and view together: what is seen, and from where
    noun_inception: Inception
    view_inception: Inception
    said: dict[str, dict[str, int]]  # head -> label -> lit views in which it is the likeliest
    verdict: Verdict  # of the lit views
    pictures: np.ndarray  # [2 views, S, S, 3] uint8: the lit ones, then the bare colours

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("verdict", "pictures", "wanted")}
        for name in ("inception", "noun_inception", "view_inception"):
            value: Inception = plain[name]
            plain[name] = {"iq": value.iq, "iv": value.iv, "ig": value.ig}
        return {**plain, "wanted": {head: self.wanted.of(head) for head in ("noun", "colour", "pattern", "view")}}


class _Exported(Protocol):
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    base_colour: np.ndarray


class FinishedRun(Protocol):
    """What of a run's result is needed here (`refine.result.Result` has it)."""

    exported: Any  # as `_Exported`, or None
    job: Any


def judge_asset(
    judge: Judge,
    asset: TriangleMesh | Path | str,
    prompt: str,
    views: int = 24,
    *,
    front_deg: float = 0.0,
    card: PriorCard | None = None,
    rasterizer: TensorPipeline | None = None,
) -> AssetVerdict:
    """Renders an asset from `views` sides and judges them. The same asset gives the same numbers.

    Args:
        asset: a mesh file, or its arrays; without texture and colours it is shown in clay, and its colour is not judged.
        front_deg: azimuth of the asset's front, 0 where it faces -Y.
        card: cameras and lights; those of a default card by default.

    Errors: UserError as `read_mesh`, or for a mesh without faces; ValueError for fewer than 6 views.
    """
    mesh = asset if isinstance(asset, TriangleMesh) else read_mesh(asset)
    if not len(mesh.faces):
        raise UserError("The asset has no faces.", "Export it again.")
    card = card or PriorCard()
    azimuth, elevation = ring_views(views, card.camera)
    pictures, has_colours = views_of(mesh, azimuth + front_deg, elevation, card.camera, card.light, rasterizer)
    rgb = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    verdict = judge(rgb)
    lit, bare = verdict[:views], verdict[views:]
    wanted = wanted_of(prompt)
    names = [view_words(float(a), float(e)) for a, e in zip(azimuth, elevation, strict=True)]
    right, right_bare = hits(judge, lit, wanted), hits(judge, bare, wanted)
    said_view = [judge.views[i] for i in lit.view.argmax(-1).tolist()]
    fronted = wanted.noun is not None and wanted.noun in judge.fronted
    pairs = list(zip(names, said_view, strict=True))
    return AssetVerdict(
        prompt=prompt,
        wanted=wanted,
        views=views,
        noun_share=_share(right.get("noun")),
        colour_share=_share(right.get("colour")) if has_colours else None,
        pattern_share=_share(right.get("pattern")) if has_colours else None,
        albedo_noun_share=_share(right_bare.get("noun")) if has_colours else None,
        albedo_colour_share=_share(right_bare.get("colour")) if has_colours else None,
        view_accuracy=_mean([name == said for name, said in pairs]) if fronted else None,
        back_share=_mean([said == BACK for name, said in pairs if name == BACK]) if fronted else None,
        false_fronts=_mean([said == FRONT for name, said in pairs if name not in (FRONT, OVERHEAD)]) if fronted else None,
        inception=inception((lit.noun[:, :, None] * lit.view[:, None, :]).flatten(1)),
        noun_inception=inception(lit.noun),
        view_inception=inception(lit.view),
        said={head: _counts(lit, judge, head) for head in ("noun", "colour", "pattern", "view")},
        verdict=lit,
        pictures=pictures,
    )


def judge_result(judge: Judge, result: FinishedRun, views: int = 24, *, card: PriorCard | None = None) -> AssetVerdict:
    """The verdict on a finished run in memory, with the prompt and the front of its job.

    Errors: ValueError for a result without an exported asset; else as `judge_asset`.
    """
    if result.exported is None:
        raise ValueError("this run exported no asset")
    return judge_asset(judge, exported_mesh(result.exported), result.job.prompt, views, front_deg=front_of(result.job), card=card)


def exported_mesh(exported: _Exported) -> TriangleMesh:
    """An exported asset as mesh arrays, its UVs [V,2] brought to the corners."""
    faces = np.asarray(exported.faces).astype(np.int64)
    uv = exported.uv if exported.uv.ndim == 3 else exported.uv[faces]
    return TriangleMesh(
        np.asarray(exported.vertices, np.float32), faces, uv=np.asarray(uv, np.float32), texture=np.asarray(exported.base_colour)
    )


def front_of(job: Any) -> float:
    """The azimuth of the front that a job asks for, 0 where it says nothing."""
    value = job.get("front_deg", 0.0) if isinstance(job, dict) else getattr(job, "front_deg", 0.0)
    return float(value or 0.0)


def ring_views(views: int, camera: CameraCard) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and elevations [views] in degrees: a third of them near level, a third from above, a sixth each from below and overhead.

    Elevations lie in the card's bands. Azimuths keep off the borders between front, side and back, 24 views by 22.5 degrees, so
    that no view has two right answers.

    Raises:
        ValueError: fewer than 6 views.
    """
    if views < 6:
        raise ValueError(f"an asset is judged from at least 6 sides, got {views}")
    low, high = camera.elevation_deg
    sixth, third = views // 6, (views - 2 * (views // 6)) // 2
    counts = (views - third - 2 * sixth, third, sixth, sixth)
    levels = (
        low + 0.3 * (high - low),
        low + 0.75 * (high - low),
        sum(camera.low_elevation_deg) / 2,
        sum(camera.high_elevation_deg) / 2,
    )
    azimuth = [angle for count in counts for angle in max((_ring(count, shift) for shift in (0.5, 0.25)), key=_to_borders)]
    elevation = [level for level, count in zip(levels, counts, strict=True) for _ in range(count)]
    return np.array(azimuth), np.array(elevation)


def _ring(count: int, shift: float) -> list[float]:
    return [360.0 * (i + shift) / count for i in range(count)]


def _to_borders(azimuth_deg: list[float]) -> float:
    """How far the nearest is from 45, 135, 225 and 315 degrees."""
    return min(abs(angle % 90.0 - 45.0) for angle in azimuth_deg)


@torch.no_grad()
def views_of(
    mesh: TriangleMesh,
    azimuth_deg: np.ndarray,
    elevation_deg: np.ndarray,
    camera: CameraCard,
    light: LightCard,
    rasterizer: TensorPipeline | None = None,
) -> tuple[np.ndarray, bool]:
    """Lit pictures of every view, then those of the bare colours, [2N,S,S,3] uint8; and whether the mesh has colours (else: clay)."""
    rasterizer = rasterizer or choose_rasterizer()
    placed = move(mesh.vertices, fit_domain(mesh.vertices).to_domain)
    # Seams of the UV map double vertices; shading has to see one smooth surface again.
    unique, index = np.unique(placed, axis=0, return_inverse=True)
    surface = Mesh(torch.from_numpy(unique), torch.from_numpy(index.reshape(-1)[mesh.faces].astype(np.int64)))
    radius = float(surface.vertices.norm(dim=-1).max())
    fov, fill = sum(camera.fov_deg) / 2, sum(camera.fill) / 2
    rig = orbit(azimuth_deg.tolist(), elevation_deg.tolist(), fov, fill, radius=radius)
    side = SIZE_PX * SUPERSAMPLE
    raster = rasterizer.prepare(surface, clip(rig, surface.vertices), (side, side))
    colour = _colours(mesh)
    toward = torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)
    direction = (rig.camera_to_world[:, :3, :3] @ toward[None, :, None])[..., 0]
    ambient, key = sum(light.ambient) / 2, sum(light.key) / 2

    def lit(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
        facing = (normals * direction[at.pixel // (side * side)]).sum(-1, keepdim=True).clamp_min(0.0)
        return (_clay if colour is None else colour)(points, normals, at) * (ambient + key * facing)

    behind = srgb_to_linear(_backgrounds(raster, colour, len(azimuth_deg)))
    shaded = [shade_and_blend(raster, shade, behind)[..., :3] for shade in (lit, colour or _clay)]
    return np.concatenate([display_pictures(pictures, SUPERSAMPLE) for pictures in shaded]), colour is not None


def _colours(mesh: TriangleMesh) -> Shade | None:
    """The mesh's own colours as a shade function: its texture, else its vertex colours, else None."""
    if mesh.texture is not None and mesh.uv is not None:
        return TextureField(torch.from_numpy(mesh.texture[..., :3].copy()), torch.from_numpy(mesh.uv).float()).shade()
    if mesh.colours is None:
        return None
    values = torch.from_numpy(np.nan_to_num(mesh.colours, nan=CLAY)).float()
    faces = torch.from_numpy(mesh.faces)
    return lambda points, normals, at: interpolate(values, faces, at)


def _clay(points: Tensor, normals: Tensor, at: Fragments) -> Tensor:
    return torch.full_like(points, CLAY)


def _backgrounds(raster: Raster, colour: Shade | None, views: int) -> Tensor:
    """[views,3] display values: the tones in turn, kept away from the mean colour of what is seen."""
    seen = (colour or _clay)(raster.points, raster.normals, raster.fragments)
    mean = linear_to_srgb(seen).mean(0) if len(seen) else torch.zeros(3)
    chosen = []
    for tone in TONES:
        near = float((mean - tone).abs().max()) < BACKGROUND_GAP
        chosen.append((tone + 0.5) % 1.0 if near else tone)
    return torch.tensor([chosen[i % len(chosen)] for i in range(views)])[:, None].expand(views, 3)


def _counts(verdict: Verdict, judge: Judge, head: str) -> dict[str, int]:
    counted = np.bincount(verdict.of(head).argmax(-1).cpu().numpy(), minlength=len(judge.labels(head)))
    return {judge.labels(head)[i]: int(counted[i]) for i in np.argsort(-counted, kind="stable") if counted[i]}


def _share(right: Tensor | None) -> float | None:
    return None if right is None else float(right.float().mean())


def _mean(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None
