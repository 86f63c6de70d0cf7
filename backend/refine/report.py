"""What came of a run, as one JSON file: enough to repeat it, and how well the result keeps to the sketch."""

import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backend.assets.atomic import write_bytes
from backend.geometry.clean import is_watertight
from backend.refine.subject import Subject
from backend.render.rasterizer import TensorPipeline
from backend.render.silhouette import silhouette_iou

if TYPE_CHECKING:
    from backend.refine.export import Exported
    from backend.refine.result import Result

PACKAGES = ("sketchbridge", "torch", "diffusers", "transformers", "warp-lang", "numpy", "trimesh", "manifold3d", "xatlas")


def measure(subject: Subject, rasterizer: TensorPipeline, exported: "Exported") -> dict[str, Any]:
    """Facts about the finished asset: recall, growth, moved share, pieces, severed strokes, roughness, silhouette IoU, size."""
    facts: dict[str, Any] = {
        "vertices": len(exported.vertices),
        "faces": len(exported.faces),
        "paintable": exported.paintable,
        "watertight": bool(is_watertight(exported.welded, int(exported.welded.max(initial=-1)) + 1)),
    }
    if subject.meter is None:
        return facts
    now = subject.meter.measure(exported.mesh)
    return facts | {
        "recall": now.recall,
        "recall_by_stroke": [round(share, 4) for share in now.stroke_recall],
        "growth": now.growth,
        "moved_share": now.moved,
        "pieces": now.result_pieces,
        "sketch_pieces": now.sketch_pieces,
        "severed": len(set(now.severed) - set(subject.at_start.severed)),
        "parted": len(set(now.parted) - set(subject.at_start.parted)),
        "roughness": now.roughness,
        "sketch_roughness": now.sketch_roughness,
        "silhouette_iou": silhouette_iou(subject.start, exported.mesh, rasterizer),
    }


def report(result: "Result") -> dict[str, Any]:
    """The report as plain data; `resolved` and `journal` together repeat the run."""
    return {
        "outcome": result.outcome,
        "job": msgspec.to_builtins(result.asked),
        "resolved": msgspec.to_builtins(result.job),
        "journal": msgspec.to_builtins(result.journal),
        "ran": [[stage.name, stage.method, stage.steps] for stage in result.ran],
        "steps": result.steps_done,
        "prior": result.prior,
        "device": result.device,
        "versions": {name: installed_version(name) for name in PACKAGES},
        "seconds": result.seconds,
        "denoiser_rows": result.rows,
        **result.facts,
        "notes": result.notes,
    }


def installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write_report(result: "Result", out: Path) -> Path:
    """`out/report.json`, whole or not at all. Errors: ResourceError where the disk refuses."""
    return write_bytes(out / "report.json", (json.dumps(report(result), indent=2) + "\n").encode())
