"""`sketchbridge doctor`: what this machine has, and why not where something is missing."""

import json
import platform
import shutil
from typing import Annotated, Any

import typer

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "warp-lang",
    "trimesh",
    "manifold3d",
    "fast-simplification",
    "xatlas",
    "msgspec",
    "numpy",
)


def doctor_command(as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object.")] = False) -> None:
    """Device, versions, optional libraries (and why not), the shipped prior."""
    found = examine()
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(show_header=False, box=None)
        for name, value in found.items():
            for key, text in value.items() if isinstance(value, dict) else [("", value)]:
                table.add_row(f"{name} {key}".strip(), str(text))
        Console().print(table)
    if not found["ok"]:
        raise typer.Exit(3)


def examine() -> dict[str, Any]:
    """Facts by name; `ok` is whether a run with the shipped prior can start here."""
    import torch

    from backend.priors.resolve import resolve_prior
    from backend.refine.report import installed_version
    from backend.render.rasterizer import availabilities

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    named = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "device": f"{device.type} ({named}), {torch.get_num_threads()} threads",
        "package": {name: installed_version(name) for name in PACKAGES},
        "rasteriser": {name: "ok" if got.ok else got.reason for name, got in availabilities(device).items()},
        "free disk": f"{shutil.disk_usage('.').free / 2**30:.1f} GiB",
    }
    try:
        prior = resolve_prior("starter", device)
        found["shipped prior"] = f"ok, {len(prior.card.nouns)} nouns, {prior.image_size_px} px, weights {prior.fingerprint()[:12]}"
        found["ok"] = True
    except Exception as error:  # doctor's work is to tell, whatever it is
        found["shipped prior"] = str(error)
        found["ok"] = False
    return found
