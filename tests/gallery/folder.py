"""Folders of made-up batches: reports, assets and sheets written by the product's own code, without a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import trimesh

from backend.assets.write import write_glb, write_png
from backend.refine.export import SHEET_PX
from backend.refine.report import write_report
from backend.refine.result import Result
from backend.render.sheet import tile
from protocol.job import RefineJob, Stage

COLOURS = {"red": (205, 40, 35), "green": (60, 150, 60), "blue": (40, 80, 200), "yellow": (235, 200, 40)}
FACTS = {
    "vertices": 162, "faces": 320, "paintable": True, "watertight": True, "recall": 0.97, "growth": 0.02, "moved_share": 0.2,
    "pieces": 1, "sketch_pieces": 1, "severed": 0, "parted": 0, "roughness": 0.03, "sketch_roughness": 0.04, "silhouette_iou": 0.88,
}  # fmt: skip


def job(name: str, **settings: Any) -> dict[str, Any]:
    """An entry of a plan."""
    return {"id": name, "hash": name.encode().hex().ljust(64, "0"), "job": settings, "inputs": []}


def jobs_of(prompts: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """An entry for each of them together, as a sweep makes them."""
    return [
        job(f"{prompt.replace(' ', '-')}-{method}-{seed}", prompt=prompt, method=method, seed=seed, sketch=f"/art/{prompt.split()[-1]}.glb")
        for prompt in prompts
        for method in methods
        for seed in seeds
    ]


def write_plan(out: Path, entries: Sequence[dict[str, Any]]) -> Path:
    """`plan.json` as a batch writes it, every setting of the jobs written out."""
    full = [entry | {"job": msgspec.to_builtins(RefineJob(**entry["job"]))} for entry in entries]
    out.mkdir(parents=True, exist_ok=True)
    (out / "plan.json").write_text(json.dumps({"version": 1, "jobs": full}))
    return out


def finish(out: Path, entry: dict[str, Any], **facts: Any) -> Path:
    """What a finished job leaves in its folder; `facts` beside those of `FACTS`."""
    folder = out / "jobs" / entry["id"]
    asked = RefineJob(**entry["job"])
    stage = Stage(name="colour", method=asked.method or "sds", steps=40)
    result = Result(
        outcome="done",
        asked=asked,
        job=msgspec.structs.replace(asked, stages=(stage,)),
        journal=(),
        ran=(stage,),
        steps_done=40,
        rows=320,
        device="cpu",
        prior={"name": "made up", "licence": "Apache-2.0", "weights": "ab" * 32},
        facts=FACTS | facts,
        seconds={"load": 1.0, "colour": 20.5, "export": 3.25},
    )
    write_report(result, folder)
    colour = next((COLOURS[word] for word in asked.prompt.split() if word in COLOURS), (128, 128, 128))
    write_ball(folder / "asset.glb", colour)
    write_sheet(folder / "sheet.png", colour)
    return folder


def write_ball(path: Path, colour: Sequence[int], subdivisions: int = 2) -> Path:
    """A textured ball, darker below, away from the origin."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4)
    direction = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    uv = np.column_stack([np.arctan2(direction[:, 1], direction[:, 0]) / (2 * np.pi) + 0.5, direction[:, 2] / 2 + 0.5])
    ramp = np.linspace(1.0, 0.4, 64)[:, None, None] * np.ones((1, 64, 1))
    texture = (ramp * np.array(colour)).round().astype(np.uint8)
    return write_glb(path, ball.vertices + [3.0, -2.0, 1.0], ball.faces, uv, texture)


def write_sheet(path: Path, colour: Sequence[int]) -> Path:
    """A contact sheet in the run's layout; in its row of results the shade tells the view."""

    def row(shades: Sequence[float], tint: Sequence[int]) -> np.ndarray:
        pictures = np.full((8, SHEET_PX, SHEET_PX, 3), 255, np.uint8)
        for picture, shade in zip(pictures, shades, strict=True):
            picture[30:130, 30:130] = (np.array(tint) * shade).round().astype(np.uint8)
        return pictures

    grey = row([0.5] * 8, (255, 255, 255))
    result = row([1 - 0.1 * view for view in range(8)], colour)
    return write_png(path, tile([("sketch", grey), ("start", grey), ("result", result), ("result as clay", grey)]))


def fail(out: Path, entry: dict[str, Any], sentence: str, hint: str = "", code: str = "numerical") -> Path:
    """What a quarantined job leaves in its folder."""
    folder = out / "jobs" / entry["id"]
    folder.mkdir(parents=True, exist_ok=True)
    attempts = [{"sentence": sentence, "worker": f"w{i}", "step": 12} for i in range(2)]
    (folder / "failed.json").write_text(json.dumps({"sentence": sentence, "hint": hint, "code": code, "attempts": attempts}))
    return folder
