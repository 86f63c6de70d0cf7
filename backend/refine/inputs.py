"""What is handed over beside a job: meshes as arrays, never paths."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from backend.assets.mesh import PolygonMesh, TriangleMesh


@dataclass(frozen=True)
class Original:
    """A file as it came: texture mode gives it back with nothing new but the picture."""

    name: str
    data: bytes


@dataclass
class Inputs:
    """`sketch` for mode `sketch`, `polygons` for mode `texture`; `keep` [V] float32 0..1 per sketch vertex, or None.

    `original` is the file that `polygons` came from, if it was one. `picture` [H,W,3] uint8 display values, row 0 at the top: what mode
    `image` starts from, if from anything.
    """

    sketch: TriangleMesh | None = None
    polygons: PolygonMesh | None = None
    keep: np.ndarray | None = None
    original: Original | None = None
    picture: np.ndarray | None = None

    def state(self) -> dict[str, Any]:
        """Plain tensors and strings for a checkpoint."""
        held: dict[str, Any] = {}
        if self.keep is not None:
            held["keep"] = torch.from_numpy(np.ascontiguousarray(self.keep))
        if self.picture is not None:
            held["picture"] = torch.from_numpy(np.ascontiguousarray(self.picture))
        if self.original is not None:
            held["original"] = (self.original.name, torch.frombuffer(bytearray(self.original.data), dtype=torch.uint8))
        for name, mesh in (("sketch", self.sketch), ("polygons", self.polygons)):
            if mesh is not None:
                held[name] = {key: _plain(value) for key, value in vars(mesh).items()}
        return held

    @staticmethod
    def from_state(held: dict[str, Any]) -> "Inputs":
        return Inputs(
            sketch=TriangleMesh(**_arrays(held["sketch"])) if "sketch" in held else None,
            polygons=PolygonMesh(**_arrays(held["polygons"])) if "polygons" in held else None,
            keep=held["keep"].cpu().numpy() if "keep" in held else None,
            picture=held["picture"].cpu().numpy() if "picture" in held else None,
            original=Original(held["original"][0], held["original"][1].cpu().numpy().tobytes()) if "original" in held else None,
        )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _arrays(held: dict[str, Any]) -> dict[str, Any]:
    def back(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.cpu().numpy()
        if isinstance(value, dict):
            return {key: back(item) for key, item in value.items()}
        return value

    return {key: back(value) for key, value in held.items()}
