"""The end of a run: clean, unwrap, bake, measure, write."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backend.geometry.contract import Mesh

UNWRAP_MEMORY_BYTES = 4 * 2**30


@dataclass
class Exported:
    """The finished asset: arrays in the sketch's own coordinates, and where its files lie."""

    vertices: np.ndarray  # [V,3] float32
    faces: np.ndarray  # [F,3] int64
    uv: np.ndarray  # [V,2], origin bottom-left
    base_colour: np.ndarray  # [S,S,3] uint8 display
    normal_map: np.ndarray | None  # [S,S,3] uint8, tangent space
    mesh: Mesh  # in the domain, for measuring and pictures
    paintable: bool
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
