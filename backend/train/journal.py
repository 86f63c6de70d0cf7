"""What a training run leaves for a person: a line per report, loss curves, sheets of pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from backend.train.curves import draw_curves

Report = Callable[[str, float, str], None]
"""Called with the stage, its fraction in [0, 1] and one line of numbers."""


def quiet(stage: str, fraction: float, line: str) -> None:
    """A report that goes nowhere."""


def to_bytes(pictures: Tensor) -> np.ndarray:
    """Pictures [N, 3, H, W] in [-1, 1] -> [N, H, W, 3] uint8."""
    return ((pictures.float().clamp(-1, 1) + 1) * 127.5 + 0.5).byte().permute(0, 2, 3, 1).cpu().numpy()


def save_sheet(path: Path, pictures: np.ndarray, columns: int, zoom: int = 1) -> None:
    """Pictures [N, H, W, 3] uint8 as one PNG, row by row; the last row is filled with white."""
    n, h, w, _ = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * columns, h, w, 3), 255, np.uint8)
    sheet[:n] = pictures
    sheet = sheet.reshape(rows, columns, h, w, 3).transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.repeat(zoom, 0).repeat(zoom, 1)).save(path)


class Journal:
    """Appends records of a stage to a JSON-lines file and draws them as curves."""

    def __init__(self, folder: Path, stage: str, *, anew: bool = False) -> None:
        self.path, self.stage = folder / f"{stage}.jsonl", stage
        folder.mkdir(parents=True, exist_ok=True)
        if anew:
            self.path.unlink(missing_ok=True)

    def write(self, step: int, values: dict[str, float]) -> None:
        record = {"step": step, "time_s": round(time.time(), 1), **{k: round(float(v), 6) for k, v in values.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def draw(self) -> None:
        """The curves as `<stage>.png` beside the records."""
        records = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        if records:
            draw_curves(records, self.stage, self.path.with_suffix(".png"))
