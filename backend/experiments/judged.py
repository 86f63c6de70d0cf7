"""What the judge says about pictures of known captions, as plain numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.evaluate.judge import Judge, Verdict, load_judge
from backend.experiments.captions import Caption
from backend.experiments.contract import Context, Result

HEADS = ("noun", "colour", "pattern", "view")


def judge_of(context: Context) -> Judge:
    """The judge that ships, loaded once. ResourceError if its weights are missing."""
    found: Judge = context.shared("judge", lambda: load_judge(context.prior.device))
    return found


def rightness(judge: Judge, verdict: Verdict, wanted: Sequence[Caption]) -> dict[str, list[bool]]:
    """For every head, whether each picture's likeliest label is its caption's; "both": noun and colour."""
    found = {}
    for head in HEADS:
        labels, likeliest = judge.labels(head), verdict.of(head).argmax(-1).tolist()
        found[head] = [labels[said] == getattr(caption, head) for said, caption in zip(likeliest, wanted, strict=True)]
    found["both"] = [noun and colour for noun, colour in zip(found["noun"], found["colour"], strict=True)]
    return found


def shares(judge: Judge, verdict: Verdict, wanted: Sequence[Caption]) -> dict[str, float]:
    """Share of the pictures that are right, by head, and "both"."""
    return {head: sum(right) / len(right) for head, right in rightness(judge, verdict, wanted).items()}


def keep_pictures(path: Path, pictures: Tensor, **more: Tensor) -> None:
    """Pictures [N,3,S,S] display values as uint8 [N,S,S,3], and other arrays in half precision, in one compressed file."""
    rgb = (pictures.detach().cpu().permute(0, 2, 3, 1).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    arrays: dict[str, Any] = {name: value.detach().cpu().half().numpy() for name, value in more.items()}
    np.savez_compressed(path, pictures=rgb, **arrays)


def kept(folder: Path, values: Any) -> dict[str, np.ndarray] | None:
    """The arrays of a result's file, or None where it has none or it is gone."""
    path = folder / str(values.get("file", ""))
    if not path.is_file():
        return None
    with np.load(path) as opened:
        return {name: opened[name] for name in opened.files}


def first_kept(folder: Path, results: Sequence[Result]) -> dict[str, np.ndarray] | None:
    """The arrays of the first result that has any, or None."""
    return next((found for result in results if (found := kept(folder, result.values)) is not None), None)
