"""Captioned pictures of any origin before the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from backend.evaluate.judge import HEADS, Judge, Verdict
from backend.evaluate.wanted import hits, wanted_of
from backend.priors.exemplar_folder import Exemplar, read_pixels

BATCH = 64


@dataclass(frozen=True)
class PicturesVerdict:
    """The judge on N captioned pictures."""

    accuracy: dict[str, float]  # per head, over the pictures whose captions ask for it
    asked: dict[str, int]  # head -> how many captions ask for it
    rows: list[dict[str, Any]]  # per picture: file, caption, and per head the likeliest label, and whether it was asked for and found
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {"accuracy": self.accuracy, "asked": self.asked, "pictures": self.rows}


def judge_pictures(
    judge: Judge,
    exemplars: Sequence[Exemplar],
    size_px: int = 128,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> PicturesVerdict:
    """Every picture against its caption (and its view tag). Errors: UserError naming a picture that cannot be read."""
    rows: list[dict[str, Any]] = []
    found: dict[str, list[bool]] = {head: [] for head in HEADS}
    verdicts = []
    for start in range(0, len(exemplars), BATCH):
        part = exemplars[start : start + BATCH]
        verdict = judge(torch.from_numpy(read_pixels(part, size_px)))
        verdicts.append(verdict)
        for i, exemplar in enumerate(part):
            view = exemplar.view if exemplar.view and exemplar.view not in exemplar.caption.lower() else ""
            right = hits(judge, verdict[i : i + 1], wanted_of(f"{exemplar.caption}, {view}" if view else exemplar.caption))
            row: dict[str, Any] = {"file": exemplar.path.name, "caption": exemplar.caption}
            for head in HEADS:
                row[head] = judge.labels(head)[int(verdict.of(head)[i].argmax())]
                if head in right:
                    row[f"{head}_right"] = bool(right[head][0])
                    found[head].append(row[f"{head}_right"])
            rows.append(row)
        report(len(rows), len(exemplars))
    whole = Verdict(*(torch.cat([getattr(verdict, name) for verdict in verdicts]) for name in (*HEADS, "embedding")))
    accuracy = {head: float(np.mean(values)) for head, values in found.items() if values}
    return PicturesVerdict(accuracy, {head: len(values) for head, values in found.items() if values}, rows, whole)
