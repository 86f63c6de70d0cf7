"""The end of a run: clean, unwrap, bake, measure, write."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.appearance.bake import bake
from backend.assets.retexture import retexture
from backend.assets.write import write_glb, write_png
from backend.geometry.clean import clean
from backend.geometry.contract import Mesh
from backend.geometry.unwrap import unwrap
from backend.refine.studio import Studio
from backend.refine.subject import Subject
from protocol.job import RefineJob

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
